"""What a study's readings are held against: a pair task whose answer every encoder can tell, and examples alike for all arms.

``longer``, the positive control: which of two neighbouring segments is the longer one?  Any encoder with positions or segments
can tell, so a reading that misses it would miss anything.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

import numpy as np
from numpy.typing import NDArray

from maskwright.corpus.store import TokenColumn
from maskwright.data.pairs import NeighbourPairs
from maskwright.keys import Key
from maskwright.model import Model
from maskwright.objective import Objective
from maskwright.objectives.mlm import Mlm
from maskwright.objectives.nsp import LabelPair
from maskwright.text.special import Frame

__all__ = ["InOrder", "Longer", "LongerPairs"]

_APART = 8
"""A pair counts where one segment is longer by at least an eighth of the length: one token more is a fine point."""


@dataclass(frozen=True)
class LongerPairs:
    """Neighbours in order; the label is 1 where the second segment is the longer one, by an eighth of the length or more."""

    neighbours: NeighbourPairs
    texts: ClassVar[int] = 2

    @property
    def special(self) -> int:
        """Special tokens of a pair."""
        return self.neighbours.special

    def __call__(self, column: TokenColumn, documents: NDArray[np.int64], key: Key) -> NDArray[np.int64]:
        """Return (E, 5): the pairs whose lengths are far enough apart."""
        rows = self.neighbours(column, documents, key)
        excess = rows[:, 3] - rows[:, 2] - (rows[:, 1] - rows[:, 0])
        rows[:, 4] = excess > 0
        return rows[np.abs(excess) * _APART >= self.neighbours.length]


class InOrder(Mlm):
    """Hidden tokens of neighbouring segments in their order: what all arms can be scored on alike."""

    def pairing(self, length: int, short_rate: float, frame: Frame) -> NeighbourPairs:
        """Return the rule of pairs of which none is swapped."""
        return NeighbourPairs(length, short_rate, 0.0, frame.special(2))


class Longer(Objective):
    """Which of two neighbouring segments is longer: a rule of pairs with labels, and no head of its own."""

    name = "longer"

    def pairing(self, length: int, short_rate: float, frame: Frame) -> LongerPairs:
        """Return the rule of pairs of different lengths."""
        return LongerPairs(NeighbourPairs(length, short_rate, 0.0, frame.special(2)))

    def stage(self, model: Model) -> LabelPair:
        """Return the labelling step."""
        return LabelPair(self.name)
