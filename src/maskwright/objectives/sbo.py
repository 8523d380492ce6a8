"""Span-boundary objective: what stood in a hidden span, told from the two tokens beside it alone?

SpanBERT's second loss, beside that of the masked language model on the same spans: so an encoder learns to keep what a span
means at its ends.  Joshi et al. 2020, section 3.2, https://arxiv.org/abs/1907.10529

For place i of a span s … e:   y_i = f([x_{s-1}; x_{e+1}; p_{i-s+1}]),   f = two layers of dense, GELU, LayerNorm;
the scores are those of the token table for y_i, and the loss is summed over all places, as in the masked language model.
Needs: any text; a family with an ``mlm`` head.   Relatives: mlm (this objective holds it: do not name both).

f belongs to the objective, not to the model's folder: it is left behind after pre-training, as in the published model.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
import torch.nn.functional as F
from pydantic import Field, field_validator
from torch import Tensor, nn

from maskwright.config import Config
from maskwright.data.batch import Sample
from maskwright.keys import Key
from maskwright.model import Model
from maskwright.objective import Loss, Objective, Pass, picked
from maskwright.objectives.mlm import HideTokens, Mlm, MlmConfig

__all__ = ["AskBoundaries", "Sbo", "SboConfig", "boundaries"]


class SboConfig(Config):
    """What is hidden, and how a place in a span is told."""

    places: int = Field(20, ge=2, le=512)
    """Tokens of a span that have a vector of their own; those further in share the last one."""
    place_width: int = Field(200, ge=1, le=4096)
    """Width of these vectors."""
    mlm: MlmConfig = MlmConfig(unit="span")
    """What is hidden: the options of ``mlm``, with unit span unless said otherwise."""

    @field_validator("mlm", mode="before")
    @classmethod
    def _spans(cls, given: Any) -> Any:
        return {"unit": "span", **given} if isinstance(given, Mapping) else given


@dataclass(frozen=True)
class AskBoundaries:
    """Hides tokens (target ``mlm``), and asks again (``sbo``) for those whose stretch has a token on both sides."""

    hide: HideTokens

    def __call__(self, sample: Sample, key: Key) -> Sample:
        """Return the sample with both targets."""
        hidden = self.hide(sample, key)
        places, labels = hidden.targets["mlm"]
        chosen = np.zeros(len(sample.ids), dtype=np.bool_)
        chosen[places] = True
        seen = np.flatnonzero(~chosen)
        inner = (places > seen[0]) & (places < seen[-1]) if len(seen) else np.zeros(len(places), dtype=np.bool_)
        return hidden.with_target("sbo", places[inner], labels[inner])


def boundaries(rows_M: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    """Return, for ascending rows, the row before each one's stretch, the row behind it, and its place in it from 0."""
    opens = torch.ones_like(rows_M, dtype=torch.bool)
    opens[1:] = rows_M[1:] != rows_M[:-1] + 1
    closes = opens.roll(-1)
    begins = torch.where(opens, rows_M, -1).cummax(0).values
    last = rows_M.max() if len(rows_M) else 0
    ends = torch.where(closes, rows_M, last).flip(0).cummin(0).values.flip(0)
    return begins - 1, ends + 1, rows_M - begins


class _Boundary(nn.Module):
    """f: two states of width D and a place -> a vector of the token table's width."""

    def __init__(self, width: int, table_width: int, config: SboConfig, norm_eps: float, vocabulary: int) -> None:
        super().__init__()
        self.place = nn.Embedding(config.places, config.place_width)
        self.first, self.second = nn.Linear(2 * width + config.place_width, width), nn.Linear(width, table_width)
        self.first_norm = nn.LayerNorm(width, eps=norm_eps)
        self.second_norm = nn.LayerNorm(table_width, eps=norm_eps)
        self.bias = nn.Parameter(torch.zeros(vocabulary))

    def forward(self, before_MD: Tensor, behind_MD: Tensor, place_M: Tensor) -> Tensor:
        """(M, D), (M, D), (M,) -> (M, E)."""
        place_MP = self.place(place_M.clamp(max=self.place.num_embeddings - 1))
        inner_MD = self.first_norm(F.gelu(self.first(torch.cat([before_MD, behind_MD, place_MP], -1))))
        out_ME: Tensor = self.second_norm(F.gelu(self.second(inner_MD)))
        return out_ME


class Sbo(Objective):
    """Cross-entropy over the vocabulary, once from each hidden token's own state and once from its span's boundaries.

    forward: hidden_TD (T, D), the targets ``mlm`` and ``sbo`` -> the two parts of these names.
    """

    name = "sbo"
    heads = ("mlm",)
    Config = SboConfig

    def __init__(self, config: SboConfig) -> None:
        super().__init__()
        self.config, self._mlm = config, Mlm(config.mlm)
        self.boundary: _Boundary | None = None
        self.share = 2 * config.mlm.rate  # of the tokens, at which the vocabulary is scored

    @property
    def parts(self) -> tuple[str, ...]:
        """The masked language model's and the boundaries'."""
        return ("mlm", "sbo")

    def prepare(self, model: Model) -> None:
        """Give the model its head, and make a fresh f."""
        super().prepare(model)
        spec = model.spec
        boundary = _Boundary(
            spec.width, spec.embed.table_width, self.config, spec.stack.block.norm_eps, spec.vocabulary
        )
        model.net.initialise(boundary)
        self.boundary = boundary.to(model.device)

    def stage(self, model: Model) -> AskBoundaries:
        """Return the masking step that asks twice."""
        return AskBoundaries(self._mlm.stage(model))

    def forward(self, run: Pass) -> Loss:
        """Return the parts ``mlm`` and ``sbo``."""
        assert self.boundary is not None, "prepare was not called"
        target = run.batch.targets["sbo"]
        rows, labels = target.rows[: target.count], target.labels[: target.count]
        before, behind, place = boundaries(rows)
        out_ME = self.boundary(run.hidden_TD[before], run.hidden_TD[behind], place)
        logits_MV = F.linear(out_ME, run.model.net.embed.token.weight, self.boundary.bias)
        return {**self._mlm(run), "sbo": picked(logits_MV, labels, target.count)}
