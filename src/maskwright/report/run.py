"""The page of one training run: what was run, what came out, how it went, on what, and how to do it again.

Works from the records of a run log alone, also where the run was interrupted, resumed, or never evaluated.
"""

from __future__ import annotations

import math
import statistics
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import cached_property
from typing import Any

from maskwright.report import page
from maskwright.report.curves import curve_sections
from maskwright.report.ledger import ledger_sections
from maskwright.report.numbers import compact, duration, number, share
from maskwright.report.page import Page, Section, Stat

__all__ = ["run_page"]

Record = Mapping[str, Any]

MOST_ROWS = 30
MASKED_WORDS = "mlm"


def run_page(
    log_records: Sequence[Record], ledger: Mapping[str, Any] | None = None, extra_sections: Iterable[Section] = ()
) -> Page:
    """Return the report of a run from its log (``read_log``), its corpus's ledger, and sections of the caller's own.

    The extra sections stand right after the result: what the model can do comes before how it was made.
    """
    run = _Run(log_records)
    out = Page(str(run.start.get("name") or "Training run"), _subtitle(run))
    out.add(page.stats(_tiles(run)), *_remarks(run), *extra_sections)
    curves = curve_sections(run.steps, run.evals, run.start)
    if curves:
        out.add(page.heading("Curves"), *curves)
    if run.evals:
        out.add(page.heading("Evaluation"), _evaluation(run))
    accounts = ledger_sections(ledger or {})
    if accounts:
        out.add(page.heading("Data"), page.paragraph("What was read, and what became of it."), *accounts)
    machine = {**_mapping(run.start.get("machine")), **_mapping(run.start.get("versions"))}
    if machine:
        out.add(page.heading("Machine"), page.key_values(machine))
    if config := _mapping(run.start.get("config")):
        out.add(page.heading("Configuration"), *_configuration(config))
    if command := run.start.get("command"):
        out.add(page.heading("Do it again"), page.code(str(command)))
    return out


@dataclass(frozen=True)
class _Run:
    """The records of a log, sorted by kind."""

    records: Sequence[Record]

    @cached_property
    def start(self) -> Record:
        """The last start: after a resume it is what the run went on with."""
        return next((one for one in reversed(self.records) if one["kind"] == "start"), {})

    @cached_property
    def steps(self) -> list[Record]:
        return [one for one in self.records if one["kind"] == "step"]

    @cached_property
    def evals(self) -> list[Record]:
        return [one for one in self.records if one["kind"] == "eval"]

    @cached_property
    def sittings(self) -> list[list[Record]]:
        """The records from each start to the next."""
        out: list[list[Record]] = []
        for one in self.records:
            if one["kind"] == "start" or not out:
                out.append([])
            out[-1].append(one)
        return out

    @property
    def end(self) -> Record | None:
        return next((one for one in self.sittings[-1] if one["kind"] == "end"), None) if self.sittings else None

    @property
    def seconds(self) -> float:
        """Time spent, without the pauses between a stop and a resume."""
        spans = []
        for records in self.sittings:
            end = next((one for one in records if one["kind"] == "end"), {})
            spans.append(end.get("seconds", records[-1]["time"] - records[0]["time"]))
        return sum(spans)

    @property
    def best(self) -> int | None:
        """The place of the evaluation that says it is the best one, else of the one with the lowest loss."""
        named = [at for at, one in enumerate(self.evals) if one.get("best")]
        if named:
            return named[-1]
        losses = [(one["loss"], at) for at, one in enumerate(self.evals) if math.isfinite(one.get("loss", math.nan))]
        return min(losses)[1] if losses else None

    @property
    def late(self) -> list[Record]:
        """The last twentieth of the steps, at most 50: a single step's loss says little."""
        return self.steps[-min(50, max(1, len(self.steps) // 20)) :]


def _subtitle(run: _Run) -> str:
    facts = []
    if run.records:
        facts.append(datetime.fromtimestamp(run.records[0]["time"], UTC).strftime("%-d %B %Y, %H:%M UTC"))
        facts.append(duration(run.seconds))
    if "parameters" in run.start:
        facts.append(f"{compact(run.start['parameters'])} parameters")
    machine = _mapping(run.start.get("machine"))
    if device := machine.get("gpu") or machine.get("cpu") or machine.get("device"):
        facts.append(str(device))
    # A line breaks between facts, not inside a short one such as a time.
    return "\u00a0· ".join(fact.replace(" ", "\u00a0") if len(fact) < 20 else fact for fact in facts)


def _tiles(run: _Run) -> list[Stat]:
    tiles = []
    if run.best is not None:
        best = run.evals[run.best]
        for name, value in _mapping(best.get("metrics")).items():
            tiles.append(Stat(name, number(value), f"evaluation at step {best['step']:,}"))
        if "loss" in best and len(tiles) < 3:
            tiles.append(
                Stat("evaluation loss", number(best["loss"]), f"best of {len(run.evals)}, step {best['step']:,}")
            )
    if losses := [one["loss"] for one in run.late if "loss" in one]:
        first = next(one["loss"] for one in run.steps if "loss" in one)
        tiles.append(Stat("training loss", number(statistics.fmean(losses)), f"from {number(first)} at the start"))
    for name, value in _mapping((run.evals or run.steps or [{}])[-1].get("accuracy")).items():
        where = "evaluation" if run.evals else "training"
        tiles.append(Stat(f"{name} accuracy", share(value), f"{where}, last"))
    if run.steps:
        last = run.steps[-1]
        seen = f"{compact(last['tokens'])} tokens seen" if "tokens" in last else ""
        tiles.append(Stat("steps", number(last["step"]), seen))
    speeds = [one["tokens_per_second"] for one in run.steps if math.isfinite(one.get("tokens_per_second", math.nan))]
    if speeds:
        tiles.append(Stat("tokens per second", compact(statistics.median(speeds)), "median over the steps"))
    tiles.append(Stat("time", duration(run.seconds), _outcome(run)))
    return tiles


def _outcome(run: _Run) -> str:
    resumed = len(run.sittings) - 1
    again = "" if resumed < 1 else ", resumed once" if resumed == 1 else f", resumed {resumed} times"
    return (str(run.end["reason"]) if run.end else "no end recorded") + again


def _remarks(run: _Run) -> list[Section]:
    """Say what the numbers mean, and what is wrong with them."""
    remarks = []
    if run.end is None:
        last = f"after step {run.steps[-1]['step']:,}" if run.steps else "before its first step"
        remarks.append(page.callout(f"The log stops {last}: the run was interrupted or is still going.", "warning"))
    broken = [one for one in run.steps if not all(math.isfinite(one.get(k, 0.0)) for k in ("loss", "grad_norm"))]
    if broken:
        where = ", ".join(f"{one['step']:,}" for one in broken[:5]) + (" …" if len(broken) > 5 else "")
        steps = "1 step" if len(broken) == 1 else f"{len(broken):,} steps"
        text = f"{steps} had a loss or a gradient that is not finite (step {where}); marked × in the curves."
        remarks.append(page.callout(text, "warning"))
    verdicts = (_verdict(run, name, value) for name, value in _mapping(run.start.get("reference")).items())
    return remarks + [one for one in verdicts if one is not None]


def _verdict(run: _Run, name: str, level: float) -> Section | None:
    """Compare the loss with a reference: where there are several parts, the masked-word loss alone."""
    source = [run.evals[run.best]] if run.best is not None else run.late
    losses = [value for one in source if (value := _comparable(one)) is not None]
    if not losses or not math.isfinite(statistics.fmean(losses) + level):
        return None
    loss = statistics.fmean(losses)
    kind = "evaluation" if run.best is not None else "training"
    kind += f" {MASKED_WORDS}" if len(_mapping(source[0].get("parts"))) > 1 else ""
    unigram = "unigram" in name
    if loss < level:
        meaning = ": the model has learnt more than how often each word occurs" if unigram else ""
        text = (
            f"The {kind} loss came to {number(loss)}, {number(level - loss)} below {name} ({number(level)}){meaning}."
        )
        return page.callout(text, "good")
    meaning = ": so far the model knows no more than how often each word occurs" if unigram else ""
    return page.callout(f"The {kind} loss, {number(loss)}, is not below {name} ({number(level)}){meaning}.", "warning")


def _comparable(record: Record) -> float | None:
    parts = _mapping(record.get("parts"))
    loss: float | None = parts.get(MASKED_WORDS) if len(parts) > 1 else record.get("loss")
    return loss


def _evaluation(run: _Run) -> Section:
    names: dict[tuple[str, str], None] = {}
    for one in run.evals:
        names.update({("", "loss"): None} if "loss" in one else {})
        names.update({(group, n): None for group in ("parts", "accuracy", "metrics") for n in _mapping(one.get(group))})
    parts = [name for group, name in names if group == "parts"]
    # One part is the loss itself: no second column for it.
    columns = [(group, name) for group, name in names if group != "parts" or len(parts) > 1]
    stride = math.ceil(len(run.evals) / MOST_ROWS)
    shown = [at for at in range(len(run.evals)) if at % stride == 0 or at in (run.best, len(run.evals) - 1)]
    rows = []
    for at in shown:
        one = run.evals[at]
        values = [one.get(name) if not group else _mapping(one.get(group)).get(name) for group, name in columns]
        texts = [share(v) if group == "accuracy" else number(v) for (group, _), v in zip(columns, values, strict=True)]
        rows.append([one["step"], *texts])
    titles = {"parts": "{} loss", "accuracy": "{} accuracy"}
    head = [titles.get(group, "{}").format(name) for group, name in columns]
    caption = f"{len(shown)} of {len(run.evals):,} evaluations. " if stride > 1 else ""
    caption += "Highlighted: the best one." if run.best is not None else ""
    highlight = shown.index(run.best) if run.best is not None else None
    return page.table(["step", *head], rows, caption=caption.strip(), highlight=highlight)


def _configuration(config: Mapping[str, Any]) -> list[Section]:
    branches = {name: value for name, value in config.items() if isinstance(value, Mapping) and value}
    leaves = {name: value for name, value in config.items() if name not in branches}
    sections = [page.details(name, value) for name, value in branches.items()]
    return ([page.details("general", leaves)] if leaves else []) + sections


def _mapping(value: object) -> Mapping[str, Any]:
    return value if isinstance(value, Mapping) else {}
