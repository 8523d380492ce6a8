"""Losses that bring vectors of similar texts together: one class each, by name in ``LOSSES``.

    cosine       (cosine - how similar they are) ^ 2            Reimers and Gurevych 2019, section 3 (regression)
    classes      cross-entropy of a linear layer on (u, v, |u - v|)                   ibid. (classification)
    contrastive  distance ^ 2 of similar pairs, max(0, margin - distance) ^ 2 of others         Hadsell et al. 2006
    triplet      max(0, distance to the near - distance to the far + margin)      Reimers and Gurevych 2019, section 3
    in-batch     which of all second texts of the step is mine?                   Henderson et al. 2017, section 4.4
    simcse       the same, with the text itself under another dropout as the second text             Gao et al. 2021

https://arxiv.org/abs/1908.10084, https://doi.org/10.1109/CVPR.2006.100, https://arxiv.org/abs/1705.00652,
https://arxiv.org/abs/2104.08821.  Every loss takes the vectors of B rows, (B, K, D), and what their labels became, and returns
(B,) losses.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Literal

import torch
import torch.nn.functional as F
from pydantic import Field, model_validator
from torch import Tensor, nn

from maskwright.config import Config
from maskwright.registry import Registry

__all__ = [
    "LOSSES",
    "Classes",
    "Contrastive",
    "ContrastiveConfig",
    "Cosine",
    "CosineConfig",
    "InBatch",
    "InBatchConfig",
    "Labels",
    "NoOptions",
    "SimCse",
    "SimilarityLoss",
    "Triplet",
    "TripletConfig",
]

LOSSES = Registry("similarity loss")
LOSSES.add("in-batch", "which of the step's second texts is mine?", f"{__name__}:InBatch")
LOSSES.add("simcse", "the same text under two dropouts, against the step's others", f"{__name__}:SimCse")
LOSSES.add("cosine", "cosine against a number", f"{__name__}:Cosine")
LOSSES.add("classes", "a class from u, v and |u - v|", f"{__name__}:Classes")
LOSSES.add("contrastive", "similar pairs near, others at least a margin apart", f"{__name__}:Contrastive")
LOSSES.add("triplet", "nearer to one text than to another, by a margin", f"{__name__}:Triplet")

Labels = Literal["texts", "number", "class", "binary", "none"]
"""What a loss is told of a row: numbers of its texts, (B, K), equal where texts are; its label as a value, a class or 0 or 1,
(B,); nothing."""


class NoOptions(Config):
    """Options of a loss that has none."""


class CosineConfig(Config):
    """Options."""

    low: float = 0.0
    """The label of pairs that have nothing in common: cosine 0."""
    high: float = 1.0
    """The label of pairs that mean the same: cosine 1; 5 in STS-B."""

    @model_validator(mode="after")
    def _rising(self) -> CosineConfig:
        if not self.low < self.high:
            raise ValueError("low must be less than high")
        return self


class ContrastiveConfig(Config):
    """Options."""

    margin: float = Field(0.5, gt=0, le=2)
    """Distance from which on a pair that is not similar costs nothing."""


class TripletConfig(Config):
    """Options."""

    margin: float = Field(1.0, gt=0)
    """How much farther the far text should be."""


class InBatchConfig(Config):
    """Options."""

    temperature: float = Field(0.05, gt=0)
    """What cosines are divided by."""


class SimilarityLoss(nn.Module):
    """Base of the losses."""

    columns: tuple[str, ...] = ("text", "pair")
    """Columns of the data that make the K sequences of a row, in their order."""
    optional: tuple[str, ...] = ()
    """Columns that may follow them."""
    labels: Labels = "none"
    couples = False
    """Whether a row's loss depends on the other rows of its step."""

    options: type[Config] = NoOptions

    def __init__(self, config: Any, width: int, classes: Sequence[str] = ()) -> None:
        """width: D.  classes: names, for a loss whose labels are classes."""
        super().__init__()
        self.config = config

    def forward(self, vectors_BKD: Tensor, labels_B: Tensor) -> Tensor:
        """Return (B,): each row's loss."""
        raise NotImplementedError


class Cosine(SimilarityLoss):
    """Squared difference of the cosine and the label, which is brought to 0 … 1."""

    labels: Labels = "number"

    options = CosineConfig
    config: CosineConfig

    def forward(self, vectors_BKD: Tensor, labels_B: Tensor) -> Tensor:
        """labels_B: values from low to high."""
        wanted_B = (labels_B - self.config.low) / (self.config.high - self.config.low)
        return (F.cosine_similarity(vectors_BKD[:, 0], vectors_BKD[:, 1]) - wanted_B) ** 2


class Classes(SimilarityLoss):
    """Cross-entropy over the classes; the linear layer is the loss's own and is not kept with the model."""

    labels: Labels = "class"

    def __init__(self, config: Any, width: int, classes: Sequence[str] = ()) -> None:
        super().__init__(config, width)
        self.score = nn.Linear(3 * width, len(classes))

    def forward(self, vectors_BKD: Tensor, labels_B: Tensor) -> Tensor:
        """labels_B: class numbers."""
        u_BD, v_BD = vectors_BKD.unbind(1)
        scores_BC = self.score(torch.cat([u_BD, v_BD, (u_BD - v_BD).abs()], -1))
        return F.cross_entropy(scores_BC, labels_B, reduction="none")


class Contrastive(SimilarityLoss):
    """Half the squared distance, or half the square of what it lacks to the margin; the distance is 1 - cosine."""

    labels: Labels = "binary"

    options = ContrastiveConfig
    config: ContrastiveConfig

    def forward(self, vectors_BKD: Tensor, labels_B: Tensor) -> Tensor:
        """labels_B: 1 for similar, 0 for not."""
        distance_B = 1 - F.cosine_similarity(vectors_BKD[:, 0], vectors_BKD[:, 1])
        lacking_B = F.relu(self.config.margin - distance_B)
        return 0.5 * (labels_B * distance_B**2 + (1 - labels_B) * lacking_B**2)


class Triplet(SimilarityLoss):
    """How much the far text is not yet farther than the near one, by the margin; distances are Euclidean."""

    columns = ("text", "pair", "negative")

    options = TripletConfig
    config: TripletConfig

    def forward(self, vectors_BKD: Tensor, labels_B: Tensor) -> Tensor:
        """labels_B: not used."""
        anchor_BD, near_BD, far_BD = vectors_BKD.unbind(1)
        near_B, far_B = F.pairwise_distance(anchor_BD, near_BD), F.pairwise_distance(anchor_BD, far_BD)
        return F.relu(near_B - far_B + self.config.margin)


class InBatch(SimilarityLoss):
    """Cross-entropy of a row's own second text among those of all rows of the step, and all negatives, by cosine.

    A candidate that is the row's own text or second text in other rows is no negative and is left out.  The more rows a step
    has, the harder the choice: the size of a step is an option of the loss.
    """

    optional: tuple[str, ...] = ("negative",)
    labels: Labels = "texts"
    couples = True

    options = InBatchConfig
    config: InBatchConfig

    def forward(self, vectors_BKD: Tensor, labels_B: Tensor) -> Tensor:
        """labels_B: numbers of the texts, (B, K)."""
        rows, texts_BK = len(vectors_BKD), labels_B
        unit_BKD = F.normalize(vectors_BKD, dim=-1)
        # Second texts first, so that row i's own candidate is candidate i.
        candidates_MD = unit_BKD[:, 1:].transpose(0, 1).flatten(0, 1)
        theirs_M = texts_BK[:, 1:].T.flatten()
        scores_BM = unit_BKD[:, 0] @ candidates_MD.T / self.config.temperature
        own_B = torch.arange(rows, device=scores_BM.device)
        same_BM = (theirs_M == texts_BK[:, :1]) | (theirs_M == texts_BK[:, 1:2])
        same_BM[own_B, own_B] = False
        return F.cross_entropy(scores_BM.masked_fill(same_BM, -torch.inf), own_B, reduction="none")


class SimCse(InBatch):
    """``InBatch`` with each text as its own second text: dropout alone makes the two vectors differ."""

    columns = ("text", "text")
    optional = ()
