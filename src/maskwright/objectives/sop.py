"""Sentence-order prediction: were two neighbouring segments swapped?

ALBERT's answer to next-sentence prediction, which can be solved by topic alone: here both segments come from the same
document, so only their order is left to tell.  Lan et al. 2020, section 3.1, https://arxiv.org/abs/1909.11942
Needs: documents of at least two sentences; a family with a ``sop`` head and separators.   Relatives: nsp.

Deliberate difference from ALBERT's published data script: there a pair of which only one sentence fits gets a second segment
from another document and the label of a swapped one; here both always come from the same document.
"""

from __future__ import annotations

from pydantic import Field
from torch import Tensor

from maskwright.config import Config
from maskwright.data.batch import Batch
from maskwright.data.pairs import NeighbourPairs
from maskwright.model import Model
from maskwright.objective import Loss, Objective, Pass
from maskwright.objectives.nsp import LabelPair, two_ways
from maskwright.text.special import Frame

__all__ = ["Sop", "SopConfig"]


class SopConfig(Config):
    """How pairs are made."""

    swap_rate: float = Field(0.5, ge=0, lt=1)
    """Share of pairs whose segments change places; 0, with --objective-weights.sop 0, shows pairs and asks nothing of them."""


class Sop(Objective):
    """Two-way cross-entropy on the pooled first token; 0 is in order, 1 swapped.

    forward: hidden_TD (T, D) and the B targets ``sop`` -> one part, summed over the pairs.
    """

    name = "sop"
    heads = ("pooler", "sop")
    class_names = ("in order", "swapped")
    Config = SopConfig

    def __init__(self, config: SopConfig) -> None:
        super().__init__()
        self.config = config

    def pairing(self, length: int, short_rate: float, frame: Frame) -> NeighbourPairs:
        """Return the rule of pairs from one document."""
        return NeighbourPairs(length, short_rate, self.config.swap_rate, frame.special(2))

    def stage(self, model: Model) -> LabelPair:
        """Return the labelling step."""
        return LabelPair("sop")

    def reads(self, model: Model, batch: Batch) -> list[Tensor] | None:
        """Return the first places."""
        return model.reads("sop", batch)

    def forward(self, run: Pass) -> Loss:
        """Return the part ``sop``."""
        return two_ways(run, "sop")
