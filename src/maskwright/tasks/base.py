"""What a fine-tuning task is: an objective that can also say what its scores mean and how good they are."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from torch import Tensor

from maskwright.data.batch import Batch, Sample
from maskwright.errors import ConfigError
from maskwright.keys import Key
from maskwright.model import Model
from maskwright.objective import Objective
from maskwright.tasks.rows import Columns, Rows, read_rows

__all__ = ["LabelFirst", "Task"]


@dataclass(frozen=True)
class LabelFirst:
    """Adds the target of a whole sequence at its first token."""

    name: str
    whole: bool
    """Labels are class numbers; otherwise they are values."""

    def __call__(self, sample: Sample, key: Key) -> Sample:
        """Return the sample with its target."""
        label = np.array([sample.label], dtype=np.int64 if self.whole else np.float32)
        return sample.with_target(self.name, np.zeros(1, dtype=np.int64), label)


class Task(Objective):
    """A task on texts or pairs of texts."""

    head = "classify"
    """The head whose scores are the answers; another pooling is another head."""
    metric: str
    """Name of its usual metric in ``evaluate.metrics``."""

    def read_by(self, pooling: str) -> None:
        """Choose what the answers are read from: ``head``, or a name of ``families.heads.POOLED`` without its prefix."""
        self.head = "classify" if pooling == "head" else f"classify_{pooling.replace('-', '_')}"
        self.heads = (self.head,)

    @classmethod
    def of(cls, rows: Rows) -> Task:
        """Make the task of a training file."""
        raise NotImplementedError

    @classmethod
    def of_card(cls, facts: Mapping[str, Any], labels: Sequence[str]) -> Task:
        """Make the task again from what ``card`` said of it."""
        raise NotImplementedError

    @classmethod
    def read(cls, path: str | Path, columns: Columns, options: Mapping[str, Any]) -> Rows:
        """Read a file of labelled rows; options: the task's, of which some say how labels are written."""
        return read_rows(path, columns)

    def configure(self, options: Mapping[str, Any], rows: Rows) -> None:
        """Set the task's options, given its training rows; ConfigError for one that it does not know."""
        if options:
            raise ConfigError(f"options: {self.name} has none, and {', '.join(map(repr, options))} was given")

    def reads(self, model: Model, batch: Batch) -> list[Tensor] | None:
        """Return the rows that the head reads."""
        return model.reads(self.head, batch)

    def settle(self, logits_BC: NDArray[np.float32], truth: NDArray[np.float64]) -> None:
        """Choose what is chosen behind the training, on the dev rows: nothing, but for tasks with thresholds."""

    def numbers(self, rows: Rows) -> NDArray[np.float64]:
        """Return the rows' labels as (rows,) class numbers or values; DataError for one that cannot be."""
        raise NotImplementedError

    def targets(self, rows: Rows) -> NDArray[np.float64]:
        """Return what is learnt of the rows' labels, (rows,): ``numbers``, but for tasks that cut values into classes."""
        return self.numbers(rows)

    def decode(self, logits_BC: NDArray[np.float32]) -> list[dict[str, Any]]:
        """Return what each row's scores mean, as plain values by name; ``label`` is the answer."""
        raise NotImplementedError

    def answers(self, logits_BC: NDArray[np.float32]) -> NDArray[np.float64]:
        """Return each row's answer as a class number or a value, to hold against ``numbers``."""
        raise NotImplementedError

    def mean_loss(self, logits_BC: NDArray[np.float32], truth: NDArray[np.float64]) -> float:
        """Return the task's loss, averaged over rows whose ``numbers`` are ``truth``."""
        raise NotImplementedError

    def card(self) -> tuple[dict[str, Any], Sequence[str]]:
        """Return what a model folder has to know: the task, and label names."""
        raise NotImplementedError
