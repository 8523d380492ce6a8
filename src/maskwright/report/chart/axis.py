"""What a curve needs before it can be drawn: round tick values, a scale, a smoothed copy, fewer points.

Nothing here hides a value that is not finite: smoothing skips it, and thinning hands back where it was.
"""

from __future__ import annotations

import math
import operator
from collections.abc import Sequence
from dataclasses import dataclass

__all__ = ["Axis", "Thinned", "log_axis", "means", "nice_axis", "smooth", "span_axis", "thin"]


TINY = 1e-100
MEANS = 3000


@dataclass(frozen=True)
class Axis:
    """A range of values, the values to mark on it, and where a value lies."""

    low: float
    high: float
    ticks: tuple[float, ...]
    log: bool = False

    def place(self, value: float) -> float:
        """Return where a value lies: 0 at the low end, 1 at the high end, clamped to that range."""
        low, high, at = self.low, self.high, value
        if self.log:
            low, high, at = math.log10(low), math.log10(high), math.log10(max(value, self.low))
        return min(max((at - low) / (high - low), 0.0), 1.0)


def nice_axis(low: float, high: float, count: int = 5) -> Axis:
    """Return an axis over at least [low, high] with about ``count`` ticks at 1, 2, 2.5 or 5 times a power of ten."""
    if not high - low > max(1e-12 * max(abs(low), abs(high)), TINY):
        # One value, or all alike but for rounding: give it room on both sides.
        room = abs(low) / 2 if abs(low) > TINY else 0.5
        low, high = low - room, low + room
    raw = (high - low) / count
    power = 10.0 ** math.floor(math.log10(raw))
    step = next(unit * power for unit in (1, 2, 2.5, 5, 10) if unit * power >= raw * 0.999)
    first, last = math.floor(low / step + 1e-9), math.ceil(high / step - 1e-9)
    # Rounding to the step's own decimals, so that 3 * 0.1 is marked 0.3.
    decimals = max(0, 2 - math.floor(math.log10(step)))
    ticks = tuple(round(at * step, decimals) for at in range(first, last + 1))
    return Axis(ticks[0], ticks[-1], ticks)


def span_axis(low: float, high: float, count: int) -> Axis:
    """Return an axis that ends where the values end, with round ticks inside."""
    nice = nice_axis(low, high, count)
    if low == high:
        return nice
    return Axis(low, high, tuple(value for value in nice.ticks if low <= value <= high))


def log_axis(low: float, high: float) -> Axis:
    """Return a logarithmic axis over [low, high], both above 0, between powers of ten or 2 or 5 times these."""
    marks = [
        unit * 10.0**power
        for power in range(math.floor(math.log10(low)), math.ceil(math.log10(high)) + 1)
        for unit in (1, 2, 5)
    ]
    first = max(at for at, mark in enumerate(marks) if mark <= low * 1.0001)
    last = min((at for at, mark in enumerate(marks) if mark >= high * 0.9999), default=len(marks) - 1)
    inside = marks[first : max(last, first + 1) + 1]
    powers = [mark for mark in inside if math.isclose(math.log10(mark), round(math.log10(mark)), abs_tol=1e-9)]
    ticks = powers if len(powers) >= 3 else inside
    return Axis(inside[0], inside[-1], tuple(ticks[:: max(1, len(ticks) // 6)]), log=True)


def smooth(values: Sequence[float], reach: int) -> list[float]:
    """Return, at each place, the straight line fitted to the finite values within ``reach`` places on both sides.

    A plain mean lags at the ends, where a loss falls fastest or matters most; a fitted line does not.  What is not
    finite stays.  Local linear regression: Cleveland 1979, https://doi.org/10.1080/01621459.1979.10481038
    """
    sums = [(0.0, 0.0, 0.0, 0.0, 0.0)]
    for x, y in enumerate(values):
        terms = (1.0, x, x * x, y, x * y) if math.isfinite(y) else (0.0,) * 5
        sums.append(tuple(map(operator.add, sums[-1], terms)))
    out = []
    for at, value in enumerate(values):
        low, high = max(0, at - reach), min(len(values), at + reach + 1)
        n, x, xx, y, xy = map(operator.sub, sums[high], sums[low])
        spread = n * xx - x * x
        slope = (n * xy - x * y) / spread if spread > 0 else 0.0
        out.append(y / n + slope * (at - x / n) if math.isfinite(value) else value)
    return out


def means(xs: Sequence[float], ys: Sequence[float], limit: int = MEANS) -> tuple[Sequence[float], Sequence[float]]:
    """Return a curve of at most ``limit`` points: itself, or the means of its finite values over equal stretches.

    A stretch without a finite value is NaN.
    """
    if len(ys) <= limit:
        return xs, ys
    stretch = math.ceil(len(ys) / limit)
    middle, level = [], []
    for start in range(0, len(ys), stretch):
        across, part = xs[start : start + stretch], ys[start : start + stretch]
        total = sum(part)
        if not math.isfinite(total):
            part = [y for y in part if math.isfinite(y)]
            total = sum(part)
        middle.append(sum(across) / len(across))
        level.append(total / len(part) if part else math.nan)
    return middle, level


@dataclass(frozen=True)
class Thinned:
    """A curve in unbroken runs of finite points, and the places of the points that are not finite."""

    runs: tuple[tuple[tuple[float, float], ...], ...]
    gaps: tuple[tuple[float, float], ...]


def thin(xs: Sequence[float], ys: Sequence[float], limit: int = 600) -> Thinned:
    """Return at most ``limit`` points (and at most ``limit`` gaps) that look like all of them.

    Each stretch keeps its lowest and its highest point, so a spike of a single step is still seen.
    """
    stretch = 1 if len(ys) <= limit else math.ceil(2 * len(ys) / limit)
    runs: list[list[tuple[float, float]]] = [[]]
    gaps: list[tuple[float, float]] = []
    for start in range(0, len(ys), stretch):
        across, part = xs[start : start + stretch], ys[start : start + stretch]
        broken = None
        # One sum tells that all of a stretch is finite, much sooner than a look at each.
        if not math.isfinite(sum(part)):
            broken = next(((x, y) for x, y in zip(across, part, strict=True) if not math.isfinite(y)), None)
            finite = [(x, y) for x, y in zip(across, part, strict=True) if math.isfinite(y)]
            across, part = [x for x, _ in finite], [y for _, y in finite]
        if part:
            low, high = min(part), max(part)
            runs[-1].extend(sorted({(across[part.index(low)], low), (across[part.index(high)], high)}))
        if broken is not None:
            gaps.append(broken)
            runs.append([])
    return Thinned(tuple(tuple(run) for run in runs if run), tuple(gaps))
