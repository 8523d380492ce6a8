"""Values cut into classes: STS-B as a classification, scored as the regression that it is.

Each value belongs to one of equal intervals, and the answer is the mean of the intervals' middles under the predicted
probabilities.  So the answers are values, and a metric of values (Pearson, Spearman) applies.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from itertools import pairwise
from typing import Any

import numpy as np
from numpy.typing import NDArray

from maskwright.errors import InputError
from maskwright.tasks.classify import Classification
from maskwright.tasks.rows import Rows

__all__ = ["Bins"]

_USUAL = 5
"""Classes, where nothing else is said."""


class Bins(Classification):
    """Cross-entropy over intervals of values.

    edges: the ends of the intervals, one more than there are classes, rising.  A value on an edge belongs to the interval
    above it; what lies beyond the ends belongs to the outermost intervals.
    """

    name = "bins"

    def __init__(self, edges: Sequence[float], metric: str = "pearson_spearman", **options: Any) -> None:
        if len(edges) < 3 or any(b <= a for a, b in pairwise(edges)):
            raise InputError(f"bins: the edges {list(edges)} are not at least three rising numbers")
        self.edges = tuple(map(float, edges))
        names = [f"{a:g} to {b:g}" for a, b in pairwise(self.edges)]
        super().__init__(names, metric, **options)

    @classmethod
    def equal(cls, low: float, high: float, count: int, metric: str = "pearson_spearman") -> Bins:
        """Cut the range into equal intervals."""
        return cls(np.linspace(low, high, count + 1).tolist(), metric)

    @classmethod
    def of(cls, rows: Rows) -> Bins:
        """Make the task of a training file: five intervals over the range of its values."""
        values = rows.numbers()
        if min(values) == max(values):
            raise InputError(f"{rows.file}: every value is {values[0]:g}; there is nothing to cut into classes")
        return cls.equal(min(values), max(values), _USUAL)

    @classmethod
    def of_card(cls, facts: Mapping[str, Any], labels: Sequence[str]) -> Bins:
        """Make the task again from a model folder's card."""
        return cls(facts["edges"], facts["metric"], temperature=facts.get("temperature", 1.0))

    @property
    def middles(self) -> NDArray[np.float64]:
        """(C,): the value that each class stands for."""
        edges = np.asarray(self.edges)
        return np.asarray((edges[:-1] + edges[1:]) / 2)

    def numbers(self, rows: Rows) -> NDArray[np.float64]:
        """Return the values."""
        return np.array(rows.numbers())

    def classes(self, truth: NDArray[np.float64]) -> NDArray[np.float64]:
        """Return the class of each value."""
        return np.digitize(truth, self.edges[1:-1]).astype(np.float64)

    def targets(self, rows: Rows) -> NDArray[np.float64]:
        """Return the classes of the values."""
        return self.classes(self.numbers(rows))

    def answers(self, logits_BC: NDArray[np.float32]) -> NDArray[np.float64]:
        """Return the expected values."""
        return self.probabilities(logits_BC) @ self.middles

    def decode(self, logits_BC: NDArray[np.float32]) -> list[dict[str, Any]]:
        """Return ``label``, the expected value, and ``probabilities`` by interval for each row."""
        values = self.answers(logits_BC)
        return [
            {**row, "label": round(float(value), 6)}
            for row, value in zip(super().decode(logits_BC), values, strict=True)
        ]

    def card(self) -> tuple[dict[str, Any], Sequence[str]]:
        """Return the task's name, metric, edges and labels."""
        facts, labels = super().card()
        return {**facts, "edges": list(self.edges)}, labels
