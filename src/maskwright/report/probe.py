"""A probe's table: each task's own head, a fresh head on the frozen encoder, and what knows nothing."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from maskwright.report.numbers import number, share

__all__ = ["COLUMNS", "probe_rows"]

COLUMNS = ("", "own head", "fresh head, frozen encoder", "beside them")


def probe_rows(found: Mapping[str, Any]) -> list[tuple[str, str, str, str]]:
    """Return two lines a task, accuracy and loss, as text; found: what ``Probed.as_dict`` gives."""
    rows = []
    for task in found["tasks"].values():
        own, fresh, beside = task["heads"]["own"], task["heads"]["fresh"], task["beside"]
        rules = "; ".join(f"{name} {share(value)}" for name, value in beside["accuracy"].items())
        name = f"{task['title']} accuracy, n = {fresh['count']:,}"
        rows.append((name, _accuracy(own), _accuracy(fresh), rules))
        entropy = "" if beside["entropy"] is None else f"unigram entropy {number(beside['entropy'])}"
        rows.append((f"{task['title']} loss (nats)", _loss(own), _loss(fresh), entropy))
    return rows


def _accuracy(score: Mapping[str, Any] | None) -> str:
    if score is None:
        return "no such head"
    one = score["accuracy"]
    return f"{share(one['value'])} [{100 * one['low']:.1f}, {100 * one['high']:.1f}]"


def _loss(score: Mapping[str, Any] | None) -> str:
    return "" if score is None else number(score["loss"])
