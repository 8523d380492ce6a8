"""Next-sentence prediction: does the second segment follow the first, or is it from another document?

Devlin et al. 2019, section 3.1, https://arxiv.org/abs/1810.04805.  The pairs are made by ``data.pairs.NextPairs``.
Needs: at least two documents with several sentences; a family with segments.   Relatives: mlm.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch.nn.functional as F
from pydantic import Field

from maskwright.config import Config
from maskwright.data.batch import Sample
from maskwright.keys import Key
from maskwright.model import Model
from maskwright.objective import Loss, Objective, Part, Pass

__all__ = ["LabelPair", "Nsp", "NspConfig"]


class NspConfig(Config):
    """How pairs are made."""

    random_rate: float = Field(0.5, gt=0, lt=1)
    """Share of pairs whose second segment is from another document."""


@dataclass(frozen=True)
class LabelPair:
    """Adds the target ``nsp``: the pair's label at its first token."""

    def __call__(self, sample: Sample, key: Key) -> Sample:
        """Return the sample with its target."""
        return sample.with_target("nsp", np.zeros(1, dtype=np.int64), np.array([sample.label], dtype=np.int64))


class Nsp(Objective):
    """Two-way cross-entropy on the pooled first token.

    forward: hidden_TD (T, D) and the B targets ``nsp`` -> one part, summed over the pairs.
    """

    name = "nsp"
    heads = ("pooler", "nsp")
    classes = ("the second segment follows the first", "the second segment is from another document")
    Config = NspConfig

    def __init__(self, config: NspConfig) -> None:
        super().__init__()
        self.config = config

    def stage(self, model: Model) -> LabelPair:
        """Return the labelling step."""
        return LabelPair()

    def forward(self, run: Pass) -> Loss:
        """Return the part ``nsp``."""
        target = run.batch.targets["nsp"]
        logits_B2 = run.model.head("nsp")(run.pooled_BD).float()
        hits = (logits_B2.detach().argmax(-1) == target.labels).sum()
        return {"nsp": Part(F.cross_entropy(logits_B2, target.labels, reduction="sum"), target.count, hits=hits)}
