"""What was measured once, after the end of a run, as a ``result`` record of its log holds it.

    {"kind": "result", "title": "On text it never saw", "scores": {
        "masked-token loss": {"value": 5.862, "unit": "nats", "count": 112110, "beside": {"unigram entropy": 6.524}},
        "masked-token accuracy": {"value": 0.135, "low": 0.133, "high": 0.137, "unit": "share", "count": 112110,
                                  "beside": {"always ','": 0.056}}}}

Only ``value`` is needed.  ``low`` and ``high`` are its 95 % interval; ``count`` is how many answers were scored; ``beside``
holds what to compare it with, each a number or a score of its own; the unit ``share`` is written in per cent.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any

from maskwright.report import page
from maskwright.report.numbers import number, share
from maskwright.report.page import Section

__all__ = ["score_sections", "score_table", "score_text"]


def score_sections(result: Mapping[str, Any]) -> list[Section]:
    """Return the heading and the table of a result record; empty where it holds no score."""
    scores = result.get("scores")
    if not isinstance(scores, Mapping) or not scores:
        return []
    heading = page.heading(str(result.get("title") or "Result"))
    return [heading, page.table(*score_table(scores))]


def score_table(scores: Mapping[str, Any]) -> tuple[list[str], list[tuple[str, ...]]]:
    """Return columns and rows as text: name, score, and what to compare it with, where there is such a thing."""
    rows: list[tuple[str, ...]] = []
    for name, score in scores.items():
        held = score if isinstance(score, Mapping) else {"value": score}
        unit = str(held.get("unit", ""))
        others = held.get("beside")
        beside = others.items() if isinstance(others, Mapping) else ()
        rows.append(
            (_name(str(name), held), score_text(held), "; ".join(f"{n} {score_text(v, unit)}" for n, v in beside))
        )
    if any(beside for *_, beside in rows):
        return ["", "model", "beside it"], rows
    return ["", "model"], [row[:2] for row in rows]


def score_text(score: object, unit: str = "") -> str:
    """Write a score, or a bare number of a unit: 5.862; 13.5 % [13.3, 13.7]."""
    held = score if isinstance(score, Mapping) else {"value": score}
    unit = str(held.get("unit", unit))
    value, low, high = (held.get(name) for name in ("value", "low", "high"))
    if not isinstance(value, int | float):
        return str(value)
    text = share(value) if unit == "share" else number(value)
    if isinstance(low, int | float) and isinstance(high, int | float) and math.isfinite(low + high):
        ends = [f"{100 * x:.1f}" if unit == "share" else number(x) for x in (low, high)]
        text += f" [{', '.join(ends)}]"
    return text


def _name(name: str, score: Mapping[str, Any]) -> str:
    unit, count = str(score.get("unit", "")), score.get("count")
    name += f" ({unit})" if unit not in ("", "share") else ""
    return name + (f", n = {count:,}" if isinstance(count, int) else "")
