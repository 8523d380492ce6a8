"""Examples of several sequences each: two texts that are compared, or an anchor with a positive and a negative one.

In the batch an example's sequences lie one behind the other, so (B, D) vectors of a batch are (examples, K, D) by a view.  The
example's one target stands at the first token of its first sequence.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, fields, replace

import numpy as np
from numpy.typing import NDArray

from maskwright.data.batch import Batch, Collator, Sample
from maskwright.data.plan import Budget, Plan
from maskwright.data.source import RowsSource
from maskwright.keys import Key

__all__ = ["Several", "SeveralSource", "SideBySide"]


@dataclass(frozen=True)
class Several(Sample):
    """An example of several sequences; it is the first of them itself."""

    others: tuple[Sample, ...] = ()

    @classmethod
    def of_all(cls, samples: Sequence[Sample], label: NDArray[np.generic]) -> Several:
        """Join sequences into an example; label: (1, …), the example's."""
        first = samples[0]
        facts = {each.name: getattr(first, each.name) for each in fields(first)}
        return cls(**{**facts, "label": label, "others": tuple(samples[1:])})


@dataclass(frozen=True)
class SeveralSource:
    """Rows of K texts that become K sequences each.  Example numbers are row numbers."""

    columns: tuple[RowsSource, ...]
    """The first texts of all rows, the second ones, …"""
    labels: NDArray[np.generic]
    """(rows,) or (rows, K): what the loss wants to know of each row, as int64 or float32."""
    fingerprint: str

    def plan(self, budget: Budget, key: Key, shuffle: bool = True) -> Plan:
        """Each row once; its tokens are those of all its sequences."""
        alone = [column.plan(Budget(examples=1), key, shuffle=False) for column in self.columns]
        lengths = np.sum([plan.lengths for plan in alone], axis=0)
        return Plan.make(alone[0].columns, lengths, budget, key if shuffle else None)

    def identity(self) -> str:
        """Return the content."""
        return self.fingerprint

    def sample(self, plan: Plan, number: int) -> Several:
        """Return one row."""
        return Several.of_all(
            [column.sample(plan, number) for column in self.columns], self.labels[number : number + 1]
        )


@dataclass(frozen=True)
class SideBySide(Collator):
    """Lays the sequences of each ``Several`` one behind the other, with its label as the target ``name``."""

    name: str = "similar"

    def __call__(self, samples: Sequence[Sample], key: Key) -> Batch:
        """Make one batch; ``batch.examples`` are numbers of rows, ``Target.labels`` has one entry a row."""
        nowhere = np.zeros(0, dtype=np.int64)
        laid: list[Sample] = []
        for sample in samples:
            assert isinstance(sample, Several) and isinstance(sample.label, np.ndarray)
            laid.append(sample.with_target(self.name, np.zeros(1, dtype=np.int64), sample.label))
            laid.extend(other.with_target(self.name, nowhere, sample.label[:0]) for other in sample.others)
        return replace(super().__call__(laid, key), examples=tuple(sample.number for sample in samples))
