"""Regression of a text, or of a pair of texts, from the pooled first token: STS-B as GLUE scores it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import torch.nn.functional as F
from numpy.typing import NDArray

from maskwright.model import Model
from maskwright.objective import Loss, Part, Pass
from maskwright.tasks.base import LabelFirst, Task
from maskwright.tasks.rows import Rows

__all__ = ["Regression"]


class Regression(Task):
    """Squared error of one value.

    forward: the B targets ``regress`` (values) -> one part, summed over the sequences.
    """

    name = "regress"
    heads = ("classify",)

    def __init__(self, metric: str = "pearson_spearman") -> None:
        super().__init__()
        self.metric = metric

    @classmethod
    def of(cls, rows: Rows) -> Regression:
        """Make the task of a training file."""
        return cls()

    @classmethod
    def of_card(cls, facts: Mapping[str, Any], labels: Sequence[str]) -> Regression:
        """Make the task again from a model folder's card."""
        return cls(facts["metric"])

    def prepare(self, model: Model) -> None:
        """Give the model a head of one output."""
        model.add_head(self.head, 1)

    def stage(self, model: Model) -> LabelFirst:
        """Return the labelling step."""
        return LabelFirst(self.name, whole=False)

    def forward(self, run: Pass) -> Loss:
        """Return the part ``regress``."""
        target = run.batch.targets[self.name]
        values_B = run.scores(self.head).float().squeeze(-1)
        return {self.name: Part(F.mse_loss(values_B, target.labels, reduction="sum"), target.count)}

    def numbers(self, rows: Rows) -> NDArray[np.float64]:
        """Return the values."""
        return np.array(rows.numbers())

    def answers(self, logits_BC: NDArray[np.float32]) -> NDArray[np.float64]:
        """Return the values that were scored."""
        return logits_BC[:, 0].astype(np.float64)

    def mean_loss(self, logits_BC: NDArray[np.float32], truth: NDArray[np.float64]) -> float:
        """Return the mean squared error."""
        return float(((logits_BC[:, 0] - truth) ** 2).mean())

    def decode(self, logits_BC: NDArray[np.float32]) -> list[dict[str, Any]]:
        """Return ``label``, the value, for each row."""
        return [{"label": round(float(row[0]), 6)} for row in logits_BC]

    def card(self) -> tuple[dict[str, Any], Sequence[str]]:
        """Return the task's name and metric."""
        return {"name": "regress", "metric": self.metric, "problem_type": "regression"}, ("value",)
