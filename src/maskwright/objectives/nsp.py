"""Next-sentence prediction: does the second segment follow the first, or is it from another document?

Devlin et al. 2019, section 3.1, https://arxiv.org/abs/1810.04805.  The pairs are made by ``data.pairs.NextPairs``.
Needs: at least two documents with several sentences; a family with segments.   Relatives: mlm, sop.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch.nn.functional as F
from pydantic import Field
from torch import Tensor

from maskwright.config import Config
from maskwright.data.batch import Batch, Sample
from maskwright.data.pairs import NextPairs
from maskwright.keys import Key
from maskwright.model import Model
from maskwright.objective import Loss, Objective, Part, Pass
from maskwright.text.special import Frame

__all__ = ["LabelPair", "Nsp", "NspConfig", "two_ways"]


class NspConfig(Config):
    """How pairs are made."""

    random_rate: float = Field(0.5, gt=0, lt=1)
    """Share of pairs whose second segment is from another document."""


@dataclass(frozen=True)
class LabelPair:
    """Adds a target at the first token: the pair's label."""

    name: str = "nsp"
    """Of the target."""

    def __call__(self, sample: Sample, key: Key) -> Sample:
        """Return the sample with its target."""
        return sample.with_target(self.name, np.zeros(1, dtype=np.int64), np.array([sample.label], dtype=np.int64))


def two_ways(run: Pass, name: str) -> Loss:
    """Return the part ``name``: cross-entropy of the two scores of the head of that name, summed over the pairs."""
    target = run.batch.targets[name]
    logits_B2 = run.scores(name).float()
    hits = (logits_B2.detach().argmax(-1) == target.labels).sum()
    return {name: Part(F.cross_entropy(logits_B2, target.labels, reduction="sum"), target.count, hits=hits)}


class Nsp(Objective):
    """Two-way cross-entropy on the pooled first token.

    forward: hidden_TD (T, D) and the B targets ``nsp`` -> one part, summed over the pairs.
    """

    name = "nsp"
    heads = ("pooler", "nsp")
    class_names = ("the second segment follows the first", "the second segment is from another document")
    Config = NspConfig

    def __init__(self, config: NspConfig) -> None:
        super().__init__()
        self.config = config

    def pairing(self, length: int, short_rate: float, frame: Frame) -> NextPairs:
        """Return the rule of pairs from one document or two."""
        return NextPairs(length, short_rate, self.config.random_rate, frame.special(2))

    def stage(self, model: Model) -> LabelPair:
        """Return the labelling step."""
        return LabelPair()

    def reads(self, model: Model, batch: Batch) -> list[Tensor] | None:
        """Return the first places."""
        return model.reads("nsp", batch)

    def forward(self, run: Pass) -> Loss:
        """Return the part ``nsp``."""
        return two_ways(run, "nsp")
