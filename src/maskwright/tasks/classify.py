"""Classification of a text, or of a pair of texts, from the pooled first token.

Devlin et al. 2019, section 4.1, https://arxiv.org/abs/1810.04805
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import torch.nn.functional as F
from numpy.typing import NDArray

from maskwright.errors import InputError
from maskwright.model import Model
from maskwright.objective import Loss, Part, Pass
from maskwright.tasks.base import LabelFirst, Task
from maskwright.tasks.rows import Rows, label_numbers

__all__ = ["Classification"]


class Classification(Task):
    """Cross-entropy over the classes.

    forward: the B targets ``classify`` (class numbers) -> one part, summed over the sequences.
    """

    name = "classify"
    heads = ("classify",)

    def __init__(
        self,
        labels: Sequence[str],
        metric: str = "accuracy",
        *,
        label_smoothing: float = 0.0,
        weights: Sequence[float] | None = None,
        temperature: float = 1.0,
    ) -> None:
        """Name the classes.

        label_smoothing: share of a label spread over all classes (Szegedy et al. 2016, https://arxiv.org/abs/1512.00567).
        weights: what a row of each class counts in the loss.  temperature: what scores are divided by before they become
        probabilities (Guo et al. 2017, https://arxiv.org/abs/1706.04599); answers do not depend on it.
        """
        super().__init__()
        if len(labels) < 2:
            raise InputError(f"classification needs at least two labels, and there is {list(labels)}")
        self.labels, self.metric, self.temperature = tuple(labels), metric, temperature
        self.label_smoothing, self.weights = label_smoothing, weights

    @classmethod
    def of(cls, rows: Rows) -> Classification:
        """Make the task of a training file: its labels, sorted by name."""
        if len(labels := sorted(set(rows.labels or ()))) == 1:
            raise InputError(
                f"{rows.file}: every row has the label {labels[0]!r}; classification needs at least two labels"
            )
        return cls(labels)

    @classmethod
    def of_card(cls, facts: Mapping[str, Any], labels: Sequence[str]) -> Classification:
        """Make the task again from a model folder's card."""
        return cls(labels, facts.get("metric", "accuracy"), temperature=facts.get("temperature", 1.0))

    def weigh(self, weights: Sequence[float]) -> None:
        """Weigh the classes by hand."""
        self.weights = list(weights)

    def balance(self, rows: Rows) -> None:
        """Weigh the classes by these rows: n / (C x n_c), which is 1 on average over the rows."""
        counts = np.bincount(self.targets(rows).astype(np.int64), minlength=len(self.labels))
        # A class without a row has nothing to weigh.
        self.weights = (counts.sum() / (np.count_nonzero(counts) * np.maximum(counts, 1))).tolist()

    def prepare(self, model: Model) -> None:
        """Give the model a classification head of the right size."""
        model.add_head(self.head, len(self.labels))

    def stage(self, model: Model) -> LabelFirst:
        """Return the labelling step."""
        return LabelFirst(self.name, whole=True)

    def forward(self, run: Pass) -> Loss:
        """Return the part ``classify``."""
        target = run.batch.targets[self.name]
        logits_BC = run.scores(self.head).float()
        hits = (logits_BC.detach().argmax(-1) == target.labels).sum()
        weights_C = None if self.weights is None else logits_BC.new_tensor(self.weights)
        loss = F.cross_entropy(
            logits_BC, target.labels, weights_C, reduction="sum", label_smoothing=self.label_smoothing
        )
        return {self.name: Part(loss, target.count, hits=hits)}

    def numbers(self, rows: Rows) -> NDArray[np.float64]:
        """Return class numbers."""
        return np.array(label_numbers(rows, self.labels), dtype=np.float64)

    def classes(self, truth: NDArray[np.float64]) -> NDArray[np.float64]:
        """Return the class numbers of what ``numbers`` gave."""
        return truth

    def answers(self, logits_BC: NDArray[np.float32]) -> NDArray[np.float64]:
        """Return the class of the highest score."""
        return np.asarray(logits_BC.argmax(-1), dtype=np.float64)

    def mean_loss(self, logits_BC: NDArray[np.float32], truth: NDArray[np.float64]) -> float:
        """Return the mean cross-entropy in nats."""
        scores = logits_BC.astype(np.float64)
        peak = scores.max(-1, keepdims=True)
        chosen = np.take_along_axis(scores, self.classes(truth).astype(np.int64)[:, None], -1)
        return float((np.log(np.exp(scores - peak).sum(-1, keepdims=True)) + peak - chosen).mean())

    def probabilities(self, logits_BC: NDArray[np.float32]) -> NDArray[np.float64]:
        """Return the softmax of the scores over the temperature, (rows, C)."""
        scaled = logits_BC.astype(np.float64) / self.temperature
        scores = np.exp(scaled - scaled.max(-1, keepdims=True))
        return np.asarray(scores / scores.sum(-1, keepdims=True))

    def decode(self, logits_BC: NDArray[np.float32]) -> list[dict[str, Any]]:
        """Return ``label`` and ``probabilities`` by label name for each row."""
        return [
            {
                "label": self.labels[int(row.argmax())],
                "probabilities": {name: round(float(p), 6) for name, p in zip(self.labels, row, strict=True)},
            }
            for row in self.probabilities(logits_BC)
        ]

    def card(self) -> tuple[dict[str, Any], Sequence[str]]:
        """Return the task's name, metric and labels."""
        return {
            "name": self.name,
            "metric": self.metric,
            "problem_type": "single_label_classification",
            **({} if self.temperature == 1 else {"temperature": self.temperature}),
        }, self.labels
