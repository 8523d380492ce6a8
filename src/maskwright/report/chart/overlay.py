"""The same quantity of several runs, one curve a run, named where it ends.

Up to eight curves have a colour (from the seventh on also dashes) and a name; further ones are thin and grey, with their
name in the tip.
"""

from __future__ import annotations

import math
import statistics
from collections.abc import Callable, Sequence

from maskwright.report.chart.axis import Axis, nice_axis, span_axis, thin
from maskwright.report.chart.curve import COLOURS, MARK_UP_TO, SMOOTH_ABOVE, Series, extremes, smoothed
from maskwright.report.chart.drawing import WIDE, Drawing, frame, width_of
from maskwright.report.numbers import number, tick

__all__ = ["LABELLED", "overlay_chart", "swatch"]

LABELLED = 8
POINTS = 240
EARLY = 0.05
HEADROOM = 4.0
LINE = 15.0
ROOM = 124.0
Point = tuple[float, float]


def overlay_chart(
    title: str,
    series: Sequence[Series],
    x_label: str,
    y_label: str,
    *,
    x_format: Callable[[float], str] = tick,
    y_format: Callable[[float], str] = tick,
    falls: bool = False,
) -> tuple[str, bool]:
    """Return the chart, and whether a curve leaves it at the top.

    A curve of more than 200 points is smoothed.  ``colour`` of a series is its place among the labelled, 0 to 7; without
    one it is grey.  Of what ``falls`` the height fits the part after the first twentieth of each curve: how a loss falls at
    first is alike in all runs and would flatten where they differ.  What is higher is cut off, never drawn lower.
    """
    draw = Drawing(WIDE)
    curves = [(one, _curve(one)) for one in series if extremes(one.ys)]
    if not curves:
        draw.text(draw.size.width / 2, draw.size.height / 2, "no finite value to draw", "label middle")
        return draw.svg(title, f"{title}: no finite value to draw."), False
    low, high, top = _heights([points for _, points in curves])
    top = top if falls else high
    y_axis = nice_axis(low, top)
    xs = [x for _, points in curves for x, _ in points]
    # Runs begin at step 1, but an axis that begins with 0 is easier to read.
    first, last = min(xs), max(xs)
    x_axis = span_axis(0 if 0 < first <= 0.1 * last else first, last, 6)
    draw.left = 16 + max(width_of(y_format(value)) for value in y_axis.ticks)
    named = [(one, points) for one, points in curves if one.colour is not None]
    draw.right = 30 + min(max((width_of(one.name) for one, _ in named), default=0), ROOM)
    frame(draw, x_axis, y_axis, y_format, f"{y_label} by {x_label}", x_format)
    # The named ones lie above the grey ones, and the first above all.
    for one, points in sorted(curves, key=lambda pair: -math.inf if pair[0].colour is None else -pair[0].colour):
        _draw(draw, one, points, x_axis, y_axis, lambda x, y: f"{x_label} {x_format(x)}: {y_format(y)}")
    _name(draw, named, x_axis, y_axis)
    told = " ".join(f"{one.name} ends at {number(points[-1][1])}." for one, points in curves)
    return draw.svg(title, told), high > y_axis.high


def swatch(colour: int | None) -> str:
    """Return a short piece of the line that a run has in the charts, to stand beside its name in a table."""
    return f'<svg class="chart swatch" viewBox="0 0 18 8" aria-hidden="true"><path d="M1 4H17" class="{_css(colour)}"/></svg>'


def _css(colour: int | None) -> str:
    if colour is None:
        return "line muted"
    return f"line s{colour % COLOURS}" + (" dashed" if colour >= COLOURS else "")


def _curve(one: Series) -> list[Point]:
    """Return the points to draw; what is not finite is left out here, and told by the page of its run."""
    many = len(one.ys) > SMOOTH_ABOVE
    xs, ys = smoothed(one.xs, one.ys) if many else (one.xs, one.ys)
    return [point for run in thin(xs, ys, POINTS).runs for point in run]


def _heights(curves: Sequence[Sequence[Point]]) -> tuple[float, float, float]:
    """Return the lowest and the highest value of all, and the highest to show."""
    late = [y for points in curves for _, y in points[math.floor(EARLY * len(points)) :]]
    low = min(y for points in curves for _, y in points)
    high = max(y for points in curves for _, y in points)
    middle = statistics.median(late)
    return low, high, min(max(late), low + HEADROOM * (middle - low)) if middle > low else max(late)


def _draw(
    draw: Drawing, one: Series, points: Sequence[Point], x_axis: Axis, y_axis: Axis, tip: Callable[[float, float], str]
) -> None:
    left, top, right, bottom = draw.plot
    css = _css(one.colour)

    def at(x: float, y: float) -> Point:
        return left + x_axis.place(x) * (right - left), bottom - y_axis.place(y) * (bottom - top)

    for run in _below(points, y_axis.high):
        draw.path((at(x, y) for x, y in run), css, one.name)
    if len(points) <= MARK_UP_TO and one.colour is not None:
        for x, y in points:
            if y <= y_axis.high:
                draw.dot(*at(x, y), f"fill s{one.colour % COLOURS}", f"{one.name}, {tip(x, y)}")


def _below(points: Sequence[Point], high: float) -> list[list[Point]]:
    """Cut a curve where it crosses the top of the chart."""
    runs: list[list[Point]] = [[]]
    for before, point in zip([points[0], *points], points, strict=False):
        (x0, y0), (x1, y1) = before, point
        if (y0 > high) != (y1 > high):
            crossing = (x0 + (x1 - x0) * (high - y0) / (y1 - y0), high)
            runs.append([crossing]) if y0 > high else runs[-1].append(crossing)
        if y1 <= high:
            runs[-1].append(point)
        elif runs[-1]:
            runs.append([])
    return [run for run in runs if run]


def _name(draw: Drawing, named: Sequence[tuple[Series, Sequence[Point]]], x_axis: Axis, y_axis: Axis) -> None:
    """Write each name beside the end of its curve, moved up or down until none covers another."""
    left, top, right, bottom = draw.plot
    ends = [(bottom - y_axis.place(points[-1][1]) * (bottom - top), one, points) for one, points in named]
    wanted = sorted(ends, key=lambda each: each[0])
    ys: list[float] = []
    for y, _, _ in wanted:
        ys.append(max(y, ys[-1] + LINE) if ys else max(y, top + 4))
    # What has been pushed below the chart pushes back up.
    floor = bottom
    for at in range(len(ys) - 1, -1, -1):
        ys[at] = min(ys[at], floor)
        floor = ys[at] - LINE
    for y, (end, one, points) in zip(ys, wanted, strict=True):
        assert one.colour is not None
        reach = left + x_axis.place(points[-1][0]) * (right - left)
        # Only where a curve ends near its name does a line between them say more than the colour.
        if right - reach < 0.1 * (right - left):
            draw.line(reach, end, right + 8, y, f"leader s{one.colour % COLOURS}")
        draw.path([(right + 8, y), (right + 22, y)], _css(one.colour))
        draw.text(right + 26, y + 4, _elided(one.name), "name")


def _elided(name: str) -> str:
    """Shorten a name in its middle: runs of one series differ at the end."""
    for kept in range(len(name) - 1, 3, -1):
        if width_of(name) <= ROOM:
            break
        head = kept // 3
        name = f"{name[:head]}…{name[len(name) - (kept - head) :]}"
    return name
