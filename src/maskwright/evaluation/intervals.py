"""How sure a score is: 95 % intervals over examples, over pairs of systems and over seeds.

Over examples an interval says what another test set might have given; over seeds, what another run might.  They answer
different questions and are never mixed.
"""

from __future__ import annotations

import inspect
import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from maskwright.errors import InputError
from maskwright.keys import Key

__all__ = [
    "Interval",
    "PairedDifference",
    "Spread",
    "bootstrap",
    "bootstrap_each",
    "mean_sd",
    "paired_difference",
    "wilson",
]

LEVEL = 0.95
Z = 1.959963984540054  # the normal distribution's 97.5 % point
CHUNK = 1 << 22  # numbers held at once by the vectorised bootstrap


@dataclass(frozen=True)
class Interval:
    """A value and the ends of its 95 % interval."""

    value: float
    low: float
    high: float

    def __str__(self) -> str:
        return f"{self.value:.3f} [{self.low:.3f}, {self.high:.3f}]"


@dataclass(frozen=True)
class PairedDifference:
    """How much better system A is than system B on the same examples."""

    difference: Interval
    """Accuracy of A less accuracy of B."""
    only_a: int
    """Examples that A alone gets right."""
    only_b: int
    p_value: float
    """Exact two-sided McNemar test of the two systems being equally good."""


@dataclass(frozen=True)
class Spread:
    """A score over several seeds.  One seed has no spread: ``sd`` and ``interval`` are None."""

    mean: float
    sd: float | None
    """Standard deviation of the sample (n - 1)."""
    interval: Interval | None
    """Of the mean, by Student's t."""
    count: int


def wilson(successes: int, n: int) -> Interval:
    """Return the interval of a share (Wilson 1927): sound for small n and for shares near 0 and 1.

    Raises InputError where successes is not 0 … n, or n is 0.
    """
    if n < 1 or not 0 <= successes <= n:
        raise InputError(f"evaluate: {successes} successes of {n} is no share. Give 0 … n of at least 1.")
    share, weight = successes / n, Z * Z / n
    centre = (share + weight / 2) / (1 + weight)
    half = Z * math.sqrt(share * (1 - share) / n + weight / (4 * n)) / (1 + weight)
    # At the ends the formula gives exactly 0 or 1, and rounding must not push it past the value.
    low, high = (0.0 if successes == 0 else centre - half), (1.0 if successes == n else centre + half)
    return Interval(share, low, high)


def bootstrap(statistic: Callable[..., Any], *arrays: ArrayLike, draws: int = 2000, seed: int = 0) -> Interval:
    """Return the percentile bootstrap interval of a statistic (Efron 1979).

    statistic: takes the arrays and returns a number.  One that takes ``axis`` too, as NumPy's do, is computed for many
    draws at once.  arrays: (n, …) each; row i of all of them is one example, and examples are drawn with replacement.
    Raises InputError where the arrays are empty, of different lengths, or draws is below 1.
    """
    columns = [np.asarray(array) for array in arrays]
    lengths = {len(column) for column in columns}
    if len(lengths) != 1 or lengths == {0} or draws < 1:
        raise InputError(
            f"evaluate: a bootstrap of {draws} draws over arrays of length {sorted(lengths)}. "
            "Give arrays of one length, at least 1, and at least 1 draw."
        )
    n = lengths.pop()
    stream = Key(seed).stream("evaluate.bootstrap")
    # The same examples are drawn whatever the chunk: the stream goes on from one to the next.
    if _takes_axis(statistic) and all(column.ndim == 1 for column in columns):
        chunk = max(1, CHUNK // n)
        parts = []
        for start in range(0, draws, chunk):
            rows = min(chunk, draws - start)
            places = stream.integers(n, rows * n).reshape(rows, n)
            parts.append(np.asarray(statistic(*(column[places] for column in columns), axis=-1), dtype=np.float64))
        values = np.concatenate(parts)
    else:
        drawn = (stream.integers(n, n) for _ in range(draws))
        values = np.array([float(statistic(*(column[places] for column in columns))) for places in drawn])
    return _percentiles(float(statistic(*columns)), values)


def bootstrap_each(
    measure: Callable[..., Mapping[str, float]], *arrays: ArrayLike, draws: int = 2000, seed: int = 0
) -> dict[str, Interval]:
    """Return the bootstrap interval of each of several statistics by name, all from the same draws; see ``bootstrap``.

    measure: takes the arrays and returns numbers by name.  Draws of which it says by InputError that they cannot be scored,
    such as those without a single label, are left out.
    """
    columns = [np.asarray(array) for array in arrays]
    whole, n = dict(measure(*columns)), len(columns[0])
    stream = Key(seed).stream("evaluate.bootstrap")
    found: dict[str, list[float]] = {name: [value] for name, value in whole.items()}
    for _ in range(draws):
        places = stream.integers(n, n)
        try:
            scores = measure(*(column[places] for column in columns))
        except InputError:
            continue
        for name, value in scores.items():
            found[name].append(float(value))
    # What all rows score stands first, and counts only where no draw could be scored.
    return {name: _percentiles(values[0], np.array(values[1:] or values)) for name, values in found.items()}


def paired_difference(
    correct_a: ArrayLike, correct_b: ArrayLike, *, draws: int = 10_000, seed: int = 0
) -> PairedDifference:
    """Compare two systems on the same n examples; each array says which of them a system got right.

    The interval is a paired bootstrap; the test is McNemar's, exact: of the examples that one system alone got right, is
    half A's?  (McNemar 1947; Dietterich 1998, https://doi.org/10.1162/089976698300017197)
    """
    from scipy.stats import binomtest

    a, b = np.asarray(correct_a, dtype=bool), np.asarray(correct_b, dtype=bool)
    if a.ndim != 1 or a.shape != b.shape or not len(a):
        raise InputError(
            f"evaluate: a paired comparison of {a.shape} with {b.shape} answers. Both systems must answer the same examples."
        )
    only_a, only_b = int(np.sum(a & ~b)), int(np.sum(b & ~a))
    p_value = binomtest(only_a, only_a + only_b).pvalue if only_a + only_b else 1.0
    differences = a.astype(np.int8) - b.astype(np.int8)
    return PairedDifference(bootstrap(np.mean, differences, draws=draws, seed=seed), only_a, only_b, float(p_value))


def mean_sd(values: Sequence[float]) -> Spread:
    """Summarise a score over seeds; the interval holds where the scores are about normal."""
    scores = np.asarray(values, dtype=np.float64)
    if not len(scores) or not np.isfinite(scores).all():
        raise InputError(f"evaluate: the scores over seeds are {list(values)}. Give at least one, and finite ones.")
    mean, count = float(scores.mean()), len(scores)
    if count == 1:
        return Spread(mean, None, None, 1)
    from scipy.stats import t

    sd = float(scores.std(ddof=1))
    half = float(t.ppf((1 + LEVEL) / 2, count - 1)) * sd / math.sqrt(count)
    return Spread(mean, sd, Interval(mean, mean - half, mean + half), count)


def _takes_axis(statistic: Callable[..., Any]) -> bool:
    try:
        return "axis" in inspect.signature(statistic).parameters
    except (TypeError, ValueError):  # a function written in C may hide its parameters
        return False


def _percentiles(value: float, values: NDArray[np.float64]) -> Interval:
    low, high = np.quantile(values, [(1 - LEVEL) / 2, (1 + LEVEL) / 2])
    return Interval(value, float(low), float(high))
