"""Curves over a common axis, with reference lines."""

from __future__ import annotations

import html
import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from maskwright.report.chart.axis import log_axis, nice_axis, smooth, span_axis, thin
from maskwright.report.chart.drawing import WIDE, Drawing, Size, cut, frame, width_of
from maskwright.report.numbers import number, tick

__all__ = ["Series", "line_chart"]

SMOOTH_ABOVE = 200
MARK_UP_TO = 60
COLOURS = 6


@dataclass(frozen=True)
class Series:
    """A named curve; where ``ys`` is not finite it has a gap."""

    name: str
    xs: Sequence[float]
    ys: Sequence[float]


def line_chart(
    title: str,
    series: Sequence[Series],
    x_label: str,
    y_label: str,
    reference_lines: Sequence[tuple[str, float]] = (),
    log_y: bool = False,
    *,
    y_format: Callable[[float], str] = tick,
    y_from: float | None = None,
    size: Size = WIDE,
) -> str:
    """Return curves over a common axis.

    A curve of more than 200 points is drawn thin, at most 600 of its points, under its smoothed copy; one of up to 60
    points has a dot on each.  ``reference_lines`` are (label, y); ``y_from`` makes the axis start there at the latest;
    ``log_y`` leaves out what is not above 0.
    """
    draw = Drawing(size)
    usable = [(x, y) for one in series for x, y in zip(one.xs, one.ys, strict=True) if _usable(y, log_y)]
    if not usable:
        draw.text(size.width / 2, size.height / 2, "no finite value to draw", "label middle")
        return draw.svg(title, f"{title}: no finite value to draw.")
    levels = [y for _, y in usable] + [y for _, y in reference_lines if _usable(y, log_y)]
    levels += [] if y_from is None or log_y else [y_from]
    all_xs = [x for one in series for x in one.xs]
    x_axis = span_axis(min(all_xs), max(all_xs), 6 if size == WIDE else 4)
    y_axis = (log_axis if log_y else nice_axis)(min(levels), max(levels))
    names = [(one.name, f"s{at % COLOURS}") for at, one in enumerate(series)]
    if len(names) > 1:
        draw.top += _legend(draw, names)
    draw.left = 16 + max(width_of(y_format(value)) for value in y_axis.ticks)
    left, top, right, bottom = draw.plot

    def at(x: float, y: float) -> tuple[float, float]:
        return left + x_axis.place(x) * (right - left), bottom - y_axis.place(y) * (bottom - top)

    frame(draw, x_axis, y_axis, y_format, f"{y_label} by {x_label}")
    taken: list[float] = []
    for label, level in sorted(reference_lines, key=lambda line: -line[1]):
        if _usable(level, log_y):
            _reference(draw, at(x_axis.low, level)[1], f"{label} {y_format(level)}", taken)
    for (name, colour), one in zip(names, series, strict=True):
        _curve(draw, one, colour, at, log_y, lambda x, y, name=name: f"{name}, {x_label} {tick(x)}: {y_format(y)}")
    return draw.svg(title, _told(series, x_label))


def _usable(value: float, log: bool) -> bool:
    return math.isfinite(value) and (value > 0 or not log)


def _legend(draw: Drawing, names: Sequence[tuple[str, str]]) -> float:
    """Draw the names under the title, in as many rows as they need, and return the height of these."""
    x, y = 0.0, 37.0
    for name, colour in names:
        text = cut(name, draw.size.width - 30)
        if x and x + 22 + width_of(text) > draw.size.width:
            x, y = 0.0, y + 18
        draw.line(x, y - 4, x + 14, y - 4, f"line {colour}")
        draw.text(x + 19, y, text, "label")
        x += 36 + width_of(text)
    return y - 19


def _reference(draw: Drawing, y: float, text: str, taken: list[float]) -> None:
    """Draw a dashed line with its text over its right end, or over its left end where another text is near."""
    left, _, right, _ = draw.plot
    draw.line(left, y, right, y, "reference")
    crowded = any(abs(y - other) < 15 for other in taken)
    taken.append(y)
    draw.text(left + 4 if crowded else right, y - 5, text, "note" if crowded else "note end")


def _curve(
    draw: Drawing,
    one: Series,
    colour: str,
    at: Callable[[float, float], tuple[float, float]],
    log: bool,
    tip: Callable[[float, float], str],
) -> None:
    ys = [y if _usable(y, log) or not math.isfinite(y) else math.nan for y in one.ys]
    raw = thin(one.xs, ys)
    many = len(ys) > SMOOTH_ABOVE
    for run in raw.runs:
        if len(run) > 1:
            draw.path((at(x, y) for x, y in run), f"raw {colour}" if many else f"line {colour}")
        if len(run) == 1 or len(ys) <= MARK_UP_TO:
            for x, y in run:
                draw.dot(*at(x, y), f"fill {colour}", tip(x, y))
    if many:
        for run in thin(one.xs, smooth(ys, len(ys) // 60), 400).runs:
            if len(run) > 1:
                draw.path((at(x, y) for x, y in run), f"line {colour}")
    top = draw.plot[1]
    for x, y in raw.gaps:
        place = at(x, math.inf)[0]
        draw.parts.append(
            f'<path d="M{place - 4:.1f} {top + 1:.1f}l8 8m0 -8l-8 8" class="broken">'
            f"<title>{html.escape(f'{one.name}, {tick(x)}: {number(y)}')}</title></path>"
        )


def _told(series: Sequence[Series], x_label: str) -> str:
    """Say in words what the curves show, for those who do not see them."""
    told = []
    for one in series:
        finite = [(x, y) for x, y in zip(one.xs, one.ys, strict=True) if math.isfinite(y)]
        lost = len(one.ys) - len(finite)
        if finite:
            (x0, y0), (x1, y1) = finite[0], finite[-1]
            text = f"{one.name} goes from {number(y0)} at {x_label} {tick(x0)} to {number(y1)} at {x_label} {tick(x1)}"
            told.append(text + (f", {lost:,} values not finite" if lost else "") + ".")
    return " ".join(told)
