"""From what was measured to ratios paired by round, and to shares of the ceiling.  Plain numbers in and out, no torch.

A ratio says how many times as fast Maskwright is as a peer.  It is formed within a round, where both stood side by side, and
given as the median with the least and the most.  It is withheld where the two did not do the same work.
"""

from __future__ import annotations

import statistics
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from maskwright.bench.cases import CEILING, OURS

__all__ = ["Record", "Share", "Spread", "ceilings", "measured", "ratios", "shares", "unequal", "values"]

_LOSS = 0.02
"""Largest difference of two losses of the same update, as a share: bf16 and fp32 differ by less."""
_SCORED = 0.15
"""Share of the tokens at which an MLM head computes scores."""
Record = Mapping[str, Any]


@dataclass(frozen=True)
class Spread:
    """A median with its least and its most."""

    median: float
    least: float
    most: float

    @classmethod
    def of(cls, values: Sequence[float]) -> Spread:
        """Of at least one value."""
        return cls(statistics.median(values), min(values), max(values))

    def __str__(self) -> str:
        """Write three digits of each: the fourth is noise."""
        if self.least == self.most:
            return _short(self.median)
        return f"{_short(self.median)} ({_short(self.least)}–{_short(self.most)})"


def _short(value: float) -> str:
    if value >= 100:
        return f"{value:,.0f}"
    return f"{value:.1f}" if value >= 10 else f"{value:.2f}" if value >= 1 else f"{value:.3f}"


def measured(record: Record, case: str, side: str) -> dict[int, Record]:
    """Return the measurements of a side that did not fail, by round."""
    found = [one for one in record["measurements"] if (one["case"], one["side"]) == (case, side)]
    return {one["round"]: one for one in found if "error" not in one}


def values(record: Record, case: str, side: str) -> dict[int, float]:
    """Return a side's numbers by round, in the case's unit."""
    facts = record["cases"][case]
    # Amounts of training are tokens, and an example stands for as many as it has on average.
    each = record["texts"][f"{facts['texts']}-{facts['length']}"]["mean"] if facts["unit"] == "ex/s" else 1.0

    def of(one: Record) -> float:
        match facts["by"]:
            case "rate":
                return float(facts["scale"] * one["amount"] / one["seconds"] / each)
            case "lap":
                return float(facts["scale"] * one["seconds"] / one["laps"])
        return float(facts["scale"] * one["median_lap"])

    return {turn: of(one) for turn, one in measured(record, case, side).items()}


def ratios(record: Record, case: str, side: str) -> list[float]:
    """Return how many times as fast we are as a side, once for every round that both were measured in."""
    ours, theirs = values(record, case, OURS), values(record, case, side)
    lower = record["cases"][case]["lower_is_better"]
    both = sorted(ours.keys() & theirs.keys())
    return [theirs[at] / ours[at] if lower else ours[at] / theirs[at] for at in both]


def unequal(record: Record, case: str, side: str) -> str:
    """Return how a side's work differs from ours in some round; empty where it is the same."""
    facts = record["cases"][case]
    rough = next(each["rough"] for each in facts["sides"] if each["name"] == side)
    all_ours, all_theirs = measured(record, case, OURS), measured(record, case, side)
    for turn in sorted(all_ours.keys() & all_theirs.keys()):
        ours, theirs = all_ours[turn]["check"], all_theirs[turn]["check"]
        if ours.get("ids") != theirs.get("ids"):
            return "its token ids are not ours"
        for a, b in zip(ours.get("losses", ()), theirs.get("losses", ()), strict=True):
            # Written so that a NaN is unequal too.
            if not abs(a - b) <= _LOSS * max(abs(b), 0.1):
                return f"its losses are {_list(theirs['losses'])} and ours {_list(ours['losses'])}"
        for name, check in ((OURS, ours), (side, theirs)):
            cosine = check.get("cosine", {}).get("mean", 1.0)
            if not cosine >= facts["cosine"] and not (rough and name == side):
                return f"the vectors of {name} have cosine {cosine:.5f} with the reference's and not {facts['cosine']}"
    return ""


def _list(losses: Sequence[float]) -> str:
    return ", ".join(f"{loss:.4f}" for loss in losses)


def ceilings(record: Record) -> dict[str, dict[int, float]]:
    """Return the operations a second of matrix products, by precision and round; ``ours`` is the one that we take here."""
    found = {turn: one["check"] for turn, one in measured(record, CEILING.name, OURS).items()}
    names = {"bf16": "bf16", "fp32": "fp32"} | ({"ours": next(iter(found.values()))["ours"]} if found else {})
    return {name: {turn: check[of] for turn, check in found.items()} for name, of in names.items()}


@dataclass(frozen=True)
class Share:
    """What a side does beside what the machine can, over the rounds."""

    rate: Spread
    """Operations a second on real tokens."""
    share: Spread
    """Of the ceiling of the same round, from 0 to 1."""


def shares(record: Record, case: str, side: str = OURS) -> Share | None:
    """Return a side's share of the ceiling; None for work whose operations are not known, or where one was not measured."""
    facts, tops = record["cases"][case], ceilings(record).get("ours", {})
    network = record["networks"].get(facts["network"], {}).get("flops", {}).get(str(facts["length"]))
    # Work on tokens, or on sentences of so many; one alone or none at all is not a matter of products.
    tokens = {"ex/s": 1.0, "tok/s": 1.0, "ms": 1.0, "sentences/s": None}.get(facts["unit"], 0.0)
    if network is None or tokens == 0.0 or facts["by"] == "median":
        return None
    texts = record["texts"][f"{facts['texts']}-{facts['length']}"]
    passes = 3.0 if tokens else 1.0  # backward is twice forward
    flops = passes * (tokens or texts["mean"]) * _flops_a_token(record["networks"][facts["network"]], facts, texts)
    rates = {turn: flops * one["amount"] / one["seconds"] for turn, one in measured(record, case, side).items()}
    both = sorted(rates.keys() & tops.keys())
    if not both:
        return None
    return Share(Spread.of([rates[at] for at in both]), Spread.of([rates[at] / tops[at] for at in both]))


def _flops_a_token(network: Record, facts: Record, texts: Record) -> float:
    """Forward operations a real token: of layers over sequences as long as a token sees on average, and of an MLM head."""
    (short, low), (whole, high) = network["flops"][str(facts["length"])]
    layers = low + (high - low) / (whole - short) * (texts["seen"] - short)
    # What our last layer leaves out is no work: a classifier reads one token of a text, a language model those that are hidden.
    unread = {"ex/s": 1 - 1 / texts["mean"], "ms": 1 - _SCORED}.get(facts["unit"], 0.0)
    layers -= unread * network["spared"][str(facts["length"])]
    width = network["width"]
    head = 2 * _SCORED * width * (network["vocabulary"] + width) if facts["texts"] == "running" else 0.0
    return float(layers + head)
