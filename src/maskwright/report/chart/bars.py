"""Bars: a value a row with its interval, or how often values fall into ranges."""

from __future__ import annotations

import bisect
import itertools
import math
from collections.abc import Sequence
from dataclasses import dataclass

from maskwright.report.chart.axis import nice_axis, span_axis
from maskwright.report.chart.drawing import WIDE, Drawing, Size, cut, frame, width_of
from maskwright.report.numbers import number, tick

__all__ = ["Bar", "bar_chart", "histogram"]

ROW = 44


@dataclass(frozen=True)
class Bar:
    """A named value, with the ends of its interval where it has one."""

    label: str
    value: float
    low: float | None = None
    high: float | None = None


def bar_chart(title: str, rows: Sequence[Bar], unit: str = "", *, size: Size = WIDE) -> str:
    """Return one horizontal bar a row under its label and its value, with its interval as a whisker."""
    finite = [v for row in rows for v in (row.value, row.low, row.high) if v is not None and math.isfinite(v)]
    axis = nice_axis(min([0.0, *finite]), max([0.0, *finite]) or 1.0)
    draw = Drawing(Size(size.width, 58 + ROW * len(rows)), left=8, right=14, top=28, bottom=30)
    written = [_bar_text(row) + (f" {unit}" if unit else "") for row in rows]
    left, top, right, bottom = draw.plot

    def at(value: float) -> float:
        return left + axis.place(value) * (right - left)

    for mark in axis.ticks:
        draw.line(at(mark), top, at(mark), bottom, "grid")
        draw.text(at(mark), bottom + 18, tick(mark), "tick middle")
    for place, (row, text) in enumerate(zip(rows, written, strict=True)):
        y = top + ROW * place
        draw.text(left + 6, y + 17, cut(row.label, right - left - width_of(text) - 20), "name")
        draw.text(right, y + 17, text, "name end")
        if math.isfinite(row.value):
            low, high = sorted((at(0.0), at(row.value)))
            draw.rect(low, y + 23, high - low, 13, "fill s0", f"{row.label}: {text}")
        if row.low is not None and row.high is not None and math.isfinite(row.low + row.high):
            draw.line(at(row.low), y + 29.5, at(row.high), y + 29.5, "whisker")
            for end in (row.low, row.high):
                draw.line(at(end), y + 25, at(end), y + 34, "whisker")
    draw.line(at(0.0), top, at(0.0), bottom, "axis")
    return draw.svg(title, "; ".join(f"{row.label} {text}" for row, text in zip(rows, written, strict=True)))


def histogram(
    title: str, values: Sequence[float], x_label: str, y_label: str = "count", bins: int = 30, *, size: Size = WIDE
) -> str:
    """Return how often values fall into ``bins`` ranges of equal width.

    Values that are not finite are counted in the caption.
    """
    finite = sorted(value for value in values if math.isfinite(value))
    draw = Drawing(size)
    if not finite:
        draw.text(size.width / 2, size.height / 2, "no finite value to draw", "label middle")
        return draw.svg(title, f"{title}: no finite value to draw.")
    low, high = finite[0], finite[-1]
    if low == high:
        low, high = low - 0.5, high + 0.5
    edges = [low + (high - low) * at / bins for at in range(bins)] + [math.inf]
    cuts = [bisect.bisect_left(finite, edge) for edge in edges]
    counts = [b - a for a, b in itertools.pairwise(cuts)]
    y_axis = nice_axis(0, max(counts))
    x_axis = span_axis(low, high, 6)
    draw.left = 16 + max(width_of(tick(value)) for value in y_axis.ticks)
    left, top, right, bottom = draw.plot
    lost = len(values) - len(finite)
    frame(draw, x_axis, y_axis, tick, f"{y_label} by {x_label}" + (f" ({lost:,} not finite)" if lost else ""))
    width = (right - left) / bins
    for at, count in enumerate(counts):
        height = y_axis.place(count) * (bottom - top)
        tip = f"{number(edges[at])} to {number(high if at == bins - 1 else edges[at + 1])}: {count:,}"
        draw.rect(left + at * width + 0.5, bottom - height, width - 1, height, "fill s0", tip)
    middle = finite[len(finite) // 2]
    return draw.svg(
        title, f"{len(finite):,} values from {number(finite[0])} to {number(finite[-1])}, median {number(middle)}."
    )


def _bar_text(row: Bar) -> str:
    if row.low is None or row.high is None:
        return number(row.value)
    return f"{number(row.value)} ({number(row.low)} to {number(row.high)})"
