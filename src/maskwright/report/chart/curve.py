"""Curves over a common axis, with reference lines."""

from __future__ import annotations

import html
import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from maskwright.report.chart.axis import log_axis, means, nice_axis, smooth, span_axis, thin
from maskwright.report.chart.drawing import SMALL, WIDE, Drawing, Size, cut, frame, width_of
from maskwright.report.numbers import number, tick

__all__ = ["Series", "extremes", "line_chart", "smoothed"]

SMOOTH_ABOVE = 200
MARK_UP_TO = 60
COLOURS = 6


@dataclass(frozen=True)
class Series:
    """A named curve; where ``ys`` is not finite it has a gap.

    ``colour`` 0 to 5 pairs it with another curve of that colour; without one it takes its place's.  ``ends`` are each point's
    interval, drawn as a bar.
    """

    name: str
    xs: Sequence[float]
    ys: Sequence[float]
    colour: int | None = None
    ends: Sequence[tuple[float, float]] = ()


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
    if log_y:
        series = [_above_zero(one) for one in series]
    usable = [level for one in series for level in extremes([*one.ys, *(end for ends in one.ends for end in ends)])]
    if not usable:
        draw.text(size.width / 2, size.height / 2, "no finite value to draw", "label middle")
        return draw.svg(title, f"{title}: no finite value to draw.")
    references = [(label, y) for label, y in reference_lines if math.isfinite(y) and (y > 0 or not log_y)]
    levels = usable + [y for _, y in references]
    levels += [] if y_from is None or log_y else [y_from]
    first = min(min(one.xs) for one in series if len(one.xs))
    last = max(max(one.xs) for one in series if len(one.xs))
    # Steps are counted from 1, but an axis that begins with 0 is easier to read.
    x_axis = span_axis(0 if 0 < first <= 0.02 * last else first, last, 6 if size.width > SMALL.width else 3)
    y_axis = (log_axis if log_y else nice_axis)(min(levels), max(levels))
    colours = [f"s{(at if one.colour is None else one.colour) % COLOURS}" for at, one in enumerate(series)]
    if len(series) > 1:
        draw.top += _legend(draw, series, colours)
    draw.left = 16 + max(width_of(y_format(value)) for value in y_axis.ticks)
    left, top, right, bottom = draw.plot

    def at(x: float, y: float) -> tuple[float, float]:
        return left + x_axis.place(x) * (right - left), bottom - y_axis.place(y) * (bottom - top)

    def tip(name: str, x: float, y: float) -> str:
        return f"{name}, {x_label} {tick(x)}: {y_format(y) if math.isfinite(y) else number(y)}"

    frame(draw, x_axis, y_axis, y_format, f"{y_label} by {x_label}")
    taken: list[float] = []
    for label, level in sorted(references, key=lambda line: -line[1]):
        _reference(draw, at(x_axis.low, level)[1], f"{label} {y_format(level)}", taken)
    for colour, one in zip(colours, series, strict=True):
        _curve(draw, one, colour, at, tip, log_y)
    return draw.svg(title, _told(series, x_label))


def _above_zero(one: Series) -> Series:
    kept = [(x, y) for x, y in zip(one.xs, one.ys, strict=True) if not y <= 0]
    return Series(one.name, [x for x, _ in kept], [y for _, y in kept])


def _legend(draw: Drawing, series: Sequence[Series], colours: Sequence[str]) -> float:
    """Draw the names under the title, in as many rows as they need, and return the height of these."""
    x, y = 0.0, 37.0
    for one, colour in zip(series, colours, strict=True):
        text = cut(one.name, draw.size.width - 30)
        if x and x + 22 + width_of(text) > draw.size.width:
            x, y = 0.0, y + 18
        draw.line(x, y - 4, x + 14, y - 4, f"line {colour}")
        if len(one.ys) <= MARK_UP_TO:
            draw.dot(x + 7, y - 4, f"fill {colour}", one.name)
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
    tip: Callable[[str, float, float], str],
    log_y: bool,
) -> None:
    for x, ends in zip(one.xs, one.ends, strict=False):
        draw.line(*at(x, ends[0]), *at(x, ends[1]), f"line {colour}")
    raw = thin(one.xs, one.ys)
    many = len(one.ys) > SMOOTH_ABOVE
    for run in raw.runs:
        if len(run) > 1:
            draw.path((at(x, y) for x, y in run), f"raw {colour}" if many else f"line {colour}")
        if len(run) == 1 or len(one.ys) <= MARK_UP_TO:
            for x, y in run:
                draw.dot(*at(x, y), f"fill {colour}", tip(one.name, x, y))
    if many:
        for run in thin(*smoothed(one.xs, one.ys, log_y), 400).runs:
            if len(run) > 1:
                draw.path((at(x, y) for x, y in run), f"line {colour}")
    for x, y in raw.gaps:
        left, top = at(x, math.inf)[0] - 4, draw.plot[1] + 1
        mark = html.escape(tip(one.name, x, y))
        draw.parts.append(f'<path d="M{left:.1f} {top:.1f}l8 8m0 -8l-8 8" class="broken"><title>{mark}</title></path>')


def smoothed(xs: Sequence[float], ys: Sequence[float], log_y: bool = False) -> tuple[Sequence[float], list[float]]:
    """Return the smoothed copy of a curve: a line fitted to the sixtieth of all points on either side of each."""
    if log_y:
        # On a scale of powers of ten the middle between 1 and 100 is 10.
        xs, logs = means(xs, [math.log(y) for y in ys])
        return xs, [math.exp(y) for y in smooth(logs, len(logs) // 60)]
    xs, ys = means(xs, ys)
    return xs, smooth(ys, len(ys) // 60)


def extremes(ys: Sequence[float]) -> list[float]:
    """Return the lowest and the highest finite value; empty where there is none."""
    finite = list(filter(math.isfinite, ys))
    return [min(finite), max(finite)] if finite else []


def _told(series: Sequence[Series], x_label: str) -> str:
    """Say in words what the curves show, for those who do not see them."""
    told = []
    for one in series:
        finite = [at for at, y in enumerate(one.ys) if math.isfinite(y)]
        lost = len(one.ys) - len(finite)
        if finite:
            (x0, y0), (x1, y1) = ((one.xs[at], one.ys[at]) for at in (finite[0], finite[-1]))
            text = f"{one.name} goes from {number(y0)} at {x_label} {tick(x0)} to {number(y1)} at {x_label} {tick(x1)}"
            told.append(text + (f", {lost:,} values not finite" if lost else "") + ".")
    return " ".join(told)
