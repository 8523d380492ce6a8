"""What the scores of the study say, by the rules of its protocol and by nothing else."""

from __future__ import annotations

import statistics
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from maskwright.evaluation.cross import ALBERT_CROSS
from maskwright.evaluation.intervals import Spread, mean_sd
from maskwright.studies.protocol import ARMS, CONTROL_LEAST, LOT_WITHIN, MAIN, TASKS, UNTRAINED

__all__ = ["summary"]

Cells = Sequence[Mapping[str, Any]]
_READINGS = ("own", MAIN, "tuned")


def summary(cells: Cells, beside: Mapping[str, Any]) -> dict[str, Any]:
    """Return means over seeds, checks and differences as plain values.

    cells: one of each seed and arm, with accuracies by reading and task; beside: seed -> task -> what knows nothing.
    """
    rules = {task: _best_rule(beside, task) for task in ("mlm", *TASKS)}
    return {
        "scores": {reading: _scores(cells, reading) for reading in _READINGS},
        "beside": {task: statistics.fmean(values) for task, values in rules.items()},
        "checks": [_positive(cells), _negative(cells)],
        "learnt": [_learnt(cells, arm, task, rules[task]) for arm, task in _own_tasks()],
        "differences": [
            _difference(cells, reading, arm, task)
            for reading in (MAIN, "tuned")
            for task in TASKS[:2]
            for arm in ARMS
            if arm != "none"
        ],
    }


def _own_tasks() -> list[tuple[str, str]]:
    """Arm and task: what each arm was asked."""
    return [*((arm, "mlm") for arm in ARMS), ("nsp", "nsp"), ("sop", "sop")]


def _values(cells: Cells, reading: str, arm: str, task: str) -> list[float]:
    """Accuracies by rising seed."""
    found = sorted(
        (cell["seed"], cell[reading][task]["accuracy"]["value"]) for cell in cells if _has(cell, reading, arm, task)
    )
    return [value for _, value in found]


def _has(cell: Mapping[str, Any], reading: str, arm: str, task: str) -> bool:
    return cell["arm"] == arm and task in cell[reading]


def _scores(cells: Cells, reading: str) -> dict[str, dict[str, Any]]:
    tasks = dict.fromkeys(task for cell in cells for task in cell[reading])
    return {
        arm: {task: _plain(values) for task in tasks if (values := _values(cells, reading, arm, task))}
        for arm in (UNTRAINED, *ARMS)
    }


def _plain(values: Iterable[float]) -> dict[str, Any]:
    values = list(values)
    spread: Spread = mean_sd(values)
    ends = spread.interval
    return {
        "mean": spread.mean,
        "sd": spread.sd,
        "low": ends.low if ends else None,
        "high": ends.high if ends else None,
        "values": values,
    }


def _best_rule(beside: Mapping[str, Any], task: str) -> list[float]:
    """Of each seed, the best of the rules that know nothing."""
    return [max(beside[seed][task]["accuracy"].values()) for seed in sorted(beside, key=int)]


def _positive(cells: Cells) -> dict[str, Any]:
    seen = [cell[r]["longer"]["accuracy"]["value"] for cell in cells for r in (MAIN, "tuned") if "longer" in cell[r]]
    least = min(seen)
    return {
        "name": "positive control",
        "passed": least >= CONTROL_LEAST,
        "fact": f"which segment is longer: at least {100 * least:.1f} % in each of {len(seen)} readings "
        f"({100 * CONTROL_LEAST:.0f} % are asked for)",
    }


def _negative(cells: Cells) -> dict[str, Any]:
    mean = statistics.fmean(cell[MAIN]["lot"]["accuracy"]["value"] for cell in cells)
    return {
        "name": "negative control",
        "passed": abs(mean - 0.5) <= LOT_WITHIN,
        "fact": f"labels by lot: {100 * mean:.1f} % over {len(cells)} models (50 % within {100 * LOT_WITHIN:.0f} points are "
        "asked for)",
    }


def _learnt(cells: Cells, arm: str, task: str, rules: Sequence[float]) -> dict[str, Any]:
    score, rule = _plain(_values(cells, "own", arm, task)), statistics.fmean(rules)
    return {"arm": arm, "task": task, "passed": score["low"] > rule, "rule": rule, **score}


def _difference(cells: Cells, reading: str, arm: str, task: str) -> dict[str, Any]:
    """An arm less ``none``, paired by seed, and ALBERT's difference in points."""
    pairs = zip(_values(cells, reading, arm, task), _values(cells, reading, "none", task), strict=True)
    found = _plain(one - none for one, none in pairs)
    says = "more" if found["low"] > 0 else "less" if found["high"] < 0 else "no difference shown"
    albert = round(ALBERT_CROSS[arm][task] - ALBERT_CROSS["none"][task], 1)
    return {"reading": reading, "arm": arm, "task": task, "says": says, "albert": albert, **found}
