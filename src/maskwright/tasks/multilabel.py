"""Any number of labels for a text, or for a pair of texts, from the pooled first token.

One yes or no a label.  Focal loss: Lin et al. 2017, https://arxiv.org/abs/1708.02002, without its balance factor, which
``balance`` is: each label's given rows count (rows without it / rows with it) ^ balance, times a weight by hand.
Needs: labels separated in one column, or one column each (``tasks.labelsets``).   Relatives: classify.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Literal

import numpy as np
import torch
import torch.nn.functional as F
from numpy.typing import NDArray
from pydantic import Field
from torch import Tensor, nn

from maskwright.config import Config
from maskwright.errors import InputError
from maskwright.model import Model
from maskwright.objective import Loss, Part, Pass
from maskwright.tasks.base import LabelFirst, Task
from maskwright.tasks.labelsets import names_of, read_sets, set_matrix
from maskwright.tasks.rows import Columns, Rows
from maskwright.tasks.thresholds import USUAL, best_thresholds, rescaled

__all__ = ["MultiLabel", "MultiLabelConfig"]


class MultiLabelConfig(Config):
    """Options of the task."""

    loss: Literal["bce", "focal"] = "bce"
    """Binary cross-entropy, or focal loss: rows that are right already count less."""
    gamma: float = Field(2.0, ge=0)
    """How much less, with the focal loss."""
    balance: float = Field(0.0, ge=0, le=1)
    """What a label's given rows count: (rows without / rows with) ^ balance; 0: the same, 1: both sides weigh the same."""
    thresholds: Literal["fixed", "global", "per-label"] = "per-label"
    """From which probability a label is given: 0.5, or what the dev rows say is best for all labels, or for each."""
    separator: str = Field(",", min_length=1)
    """What stands between labels in one column."""


class MultiLabel(Task):
    """Yes or no for every label.

    forward: the targets ``multilabel``, (B, C) of 0 and 1 -> one part, the mean over labels summed over the sequences.
    """

    name = "multilabel"
    heads = ("classify",)
    metric = "multilabel"

    def __init__(
        self, labels: Sequence[str], config: MultiLabelConfig | None = None, thresholds: Sequence[float] | None = None
    ) -> None:
        super().__init__()
        if not labels:
            raise InputError("multilabel needs at least one label, and no row has any")
        self.labels, self.config = tuple(labels), config or MultiLabelConfig()
        self.thresholds_C = np.full(len(labels), USUAL) if thresholds is None else np.array(thresholds, np.float64)
        self.weights_C: Tensor | None = None
        self.prior_C: Tensor | None = None
        self.by_hand_C = np.ones(len(labels))

    @classmethod
    def read(cls, path: str | Path, columns: Columns, options: Mapping[str, Any]) -> Rows:
        """Read a file whose rows have any number of labels."""
        return read_sets(path, columns, separator=str(options.get("separator", ",")))

    @classmethod
    def of(cls, rows: Rows) -> MultiLabel:
        """Make the task of a training file: its labels, sorted by name."""
        return cls(sorted({name for label in rows.labels or () for name in names_of(label)}))

    @classmethod
    def of_card(cls, facts: Mapping[str, Any], labels: Sequence[str]) -> MultiLabel:
        """Make the task again from a model folder's card."""
        options = {
            name: facts[name] for name in MultiLabelConfig.model_fields if name in facts and name != "thresholds"
        }
        return cls(labels, MultiLabelConfig.of(options), facts["thresholds"])

    def weigh(self, weights: Sequence[float]) -> None:
        """Set what each label's given rows count, beside what ``balance`` says."""
        self.by_hand_C = np.array(weights, np.float64)

    def configure(self, options: Mapping[str, Any], rows: Rows) -> None:
        """Set the loss; its weights are of these rows."""
        if options:
            self.config = MultiLabelConfig.of(options, "options.")
        with_C = self.numbers(rows).sum(0)
        ratio_C = np.maximum(len(rows) - with_C, 1) / np.maximum(with_C, 1)
        self.weights_C = torch.tensor(ratio_C**self.config.balance * self.by_hand_C, dtype=torch.float32)
        odds_C = (with_C + 0.5) / (len(rows) - with_C + 0.5)
        self.prior_C = torch.tensor(odds_C, dtype=torch.float32).mul(self.weights_C).log()

    def prepare(self, model: Model) -> None:
        """Give the model a classification head of the right size; a fresh one says how often each label is given.

        Otherwise hundreds of steps go by until scores have fallen to where rare labels are (Lin et al. 2017, section 4.1,
        https://arxiv.org/abs/1708.02002).
        """
        fresh = model.net.head_outputs().get(self.head) != len(self.labels)
        head = model.add_head(self.head, len(self.labels))
        if fresh and self.prior_C is not None:
            score = head.score
            assert isinstance(score, nn.Linear) and score.bias is not None
            with torch.no_grad():
                score.bias.copy_(self.prior_C)

    def stage(self, model: Model) -> LabelFirst:
        """Return the labelling step."""
        return LabelFirst(self.name, whole=False)

    def forward(self, run: Pass) -> Loss:
        """Return the part ``multilabel``; a hit is a row all of whose labels are right at 0.5."""
        target = run.batch.targets[self.name]
        logits_BC = run.scores(self.head).float()
        hits = ((logits_BC.detach() > 0) == target.labels.bool()).all(-1).sum()
        return {self.name: Part(self.losses(logits_BC, target.labels).sum(), target.count, hits=hits)}

    def losses(self, logits_BC: Tensor, truth_BC: Tensor) -> Tensor:
        """Return (B,): each row's loss, the mean over the labels."""
        weights_C = None if self.weights_C is None else self.weights_C.to(logits_BC.device, logits_BC.dtype)
        loss_BC = F.binary_cross_entropy_with_logits(logits_BC, truth_BC, pos_weight=weights_C, reduction="none")
        if self.config.loss == "focal":
            # The probability of the wrong answer, from the logits: 1 - p would lose its small values.
            wrong_BC = torch.sigmoid(torch.where(truth_BC > 0, -logits_BC, logits_BC))
            loss_BC = loss_BC * wrong_BC**self.config.gamma
        return loss_BC.mean(-1)

    def numbers(self, rows: Rows) -> NDArray[np.float64]:
        """Return (rows, C): 1 for a label that a row has, else 0."""
        return set_matrix(rows, self.labels)

    def shares(self, logits_BC: NDArray[np.float32]) -> NDArray[np.float64]:
        """Return the probability of each label, (rows, C)."""
        return torch.from_numpy(logits_BC).double().sigmoid().numpy()

    def answers(self, logits_BC: NDArray[np.float32]) -> NDArray[np.float64]:
        """Return the probabilities on a scale on which every threshold is 0.5, (rows, C): what is from there on is given."""
        return rescaled(self.shares(logits_BC), self.thresholds_C)

    def settle(self, logits_BC: NDArray[np.float32], truth: NDArray[np.float64]) -> None:
        """Choose the thresholds."""
        if self.config.thresholds != "fixed":
            each = self.config.thresholds == "per-label"
            self.thresholds_C = best_thresholds(self.shares(logits_BC), truth, each=each)

    def mean_loss(self, logits_BC: NDArray[np.float32], truth: NDArray[np.float64]) -> float:
        """Return the mean of the loss that is trained."""
        return float(self.losses(torch.from_numpy(logits_BC).double(), torch.from_numpy(truth)).mean())

    def decode(self, logits_BC: NDArray[np.float32]) -> list[dict[str, Any]]:
        """Return ``label``, the names that are given with commas between them, and ``probabilities`` by label name."""
        shares_BC = self.shares(logits_BC)
        given_BC = shares_BC >= self.thresholds_C
        return [
            {
                "label": ",".join(name for name, yes in zip(self.labels, given, strict=True) if yes),
                "probabilities": {name: round(float(p), 6) for name, p in zip(self.labels, row, strict=True)},
            }
            for row, given in zip(shares_BC, given_BC, strict=True)
        ]

    def card(self) -> tuple[dict[str, Any], Sequence[str]]:
        """Return the task's name, metric, options, thresholds and labels."""
        return {
            "name": self.name,
            "metric": self.metric,
            "problem_type": "multi_label_classification",
            **self.config.model_dump(exclude={"thresholds"}),
            "thresholds": [float(t) for t in self.thresholds_C],
        }, self.labels
