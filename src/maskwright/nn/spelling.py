"""A word's vector from how it is spelt: convolutions over its characters, the largest value of each, highways, a projection.

Kim et al. 2016, https://arxiv.org/abs/1508.06615; highways: Srivastava et al. 2015, https://arxiv.org/abs/1505.00387; in this
shape: Peters et al. 2018, section 3.4, https://arxiv.org/abs/1802.05365.
Letters here: E values a character, K what the convolutions give together, P = D / 2 what comes out for each direction.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Literal

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from maskwright.nn.block import ACTIVATIONS
from maskwright.nn.embed import EmbedSpec

__all__ = ["Highway", "Spelling", "SpellingSpec"]

_AT_ONCE = 256
"""Words convolved together: what comes out before the largest is taken is some hundred times as much as goes in."""


@dataclass(frozen=True, kw_only=True)
class SpellingSpec(EmbedSpec):
    """Characters, convolutions, highways.  ``vocabulary`` counts characters: the first is padding between sequences, which has
    no vector, the last is padding behind a word, which has.  What the base class says of norms is not there."""

    positions: int = 0
    position: Literal["table", "none"] = "none"
    segments: int = 0
    dropout: float = 0.0
    characters: int
    """C, ids a word."""
    character_width: int
    """E."""
    filters: tuple[tuple[int, int], ...]
    """(characters wide, how many) of each convolution."""
    activation: str = "relu"
    """Behind the largest value of a convolution; highways always have relu."""
    highways: int

    @property
    def table_width(self) -> int:
        """E."""
        return self.character_width

    @property
    def found(self) -> int:
        """K."""
        return sum(count for _, count in self.filters)

    def parameters(self) -> dict[str, tuple[str, int]]:
        """Part -> (closed form, count)."""
        v, d, e, k, h = self.vocabulary, self.width, self.character_width, self.found, self.highways
        weights = sum(wide * count for wide, count in self.filters)
        return {
            "character embeddings": (f"(V - 1)·E = {v - 1:,}·{e:,}", (v - 1) * e),
            "convolutions": (f"{weights}·E + {k}", weights * e + k),
            "highways": (f"{h} layers × (2·({k}² + {k}))", h * 2 * (k * k + k)),
            "projection": (f"({k} + 1)·D/2", (k + 1) * (d // 2)),
        }

    def multiplications(self) -> int:
        """Multiplications a word in the forward pass."""
        k, e = self.found, self.character_width
        places = sum(wide * count * (self.characters - wide + 1) for wide, count in self.filters)
        return e * places + 2 * self.highways * k * k + k * self.width // 2

    def build(self) -> Spelling:  # type: ignore[override]
        """Return the module that this describes."""
        return Spelling(self)


class Highway(nn.Module):
    """g·relu(x·W + b) + (1 - g)·x with g = sigmoid(x·V + c): (T, K) -> (T, K).

    bilm-tf, and its files with it, call g the carry gate, though it weighs what is new.
    """

    def __init__(self, width: int) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.empty(2, width, width))
        self.bias = nn.Parameter(torch.empty(2 * width))

    def forward(self, x_TK: Tensor) -> Tensor:
        """x_TK: any rows."""
        new, logit = torch.matmul(x_TK, self.weight) + self.bias.view(2, 1, -1)
        gate = logit.sigmoid()
        out: Tensor = gate * new.relu() + (1 - gate) * x_TK
        return out


class Spelling(nn.Module):
    """Character ids of words -> a vector for each direction, the same for both.

    Equal words are computed once, and words with others of about their length, without most of the padding behind them: all
    windows of nothing but padding give one value, so one of them is enough for the largest.
    """

    def __init__(self, spec: SpellingSpec) -> None:
        super().__init__()
        e, k = spec.character_width, spec.found
        self.spec = spec
        self.table = nn.Parameter(torch.empty(spec.vocabulary - 1, e))
        self.filters = nn.ModuleList(nn.Conv1d(e, count, wide) for wide, count in spec.filters)
        self.highways = nn.Sequential(*(Highway(k) for _ in range(spec.highways)))
        self.project = nn.Parameter(torch.empty(k, spec.width // 2))
        self.bias = nn.Parameter(torch.empty(spec.width // 2))
        self.activation = ACTIVATIONS[spec.activation]

    def forward(self, ids_TC: Tensor, positions_T: Tensor, segments_T: Tensor) -> Tensor:
        """(T, C) int64 -> (T, D), the same half twice.  The id 0 is padding; words of nothing else belong to no sequence."""
        words_UC, which_T = torch.unique(ids_TC, dim=0, return_inverse=True)
        length_U, order_U = ((words_UC > 0) & (words_UC < self.spec.vocabulary - 1)).sum(1).sort()
        widest = max(wide for wide, _ in self.spec.filters)
        found = []
        for part, length in zip(words_UC[order_U].split(_AT_ONCE), length_U.split(_AT_ONCE), strict=True):
            found.append(torch.cat(list(self._found(part[:, : int(length[-1]) + widest])), -1))
        x_UP = torch.addmm(self.bias, self.highways(self.activation(torch.cat(found))), self.project)
        return x_UP[order_U.argsort()[which_T]].repeat(1, 2)

    def _found(self, words_UC: Tensor) -> Iterator[Tensor]:
        """The largest value of each filter over the places of each word, (U, count)."""
        x_UCE = F.embedding((words_UC - 1).clamp(min=0), self.table) * (words_UC > 0)[..., None]
        for convolution in self.filters:
            yield convolution(x_UCE.mT).max(-1).values

    def initialise(self) -> None:
        """Give the weights that bilm-tf's begin with; a highway begins by mostly passing on what it reads."""
        nn.init.uniform_(self.table, -1.0, 1.0)
        for convolution in self.filters:
            assert isinstance(convolution, nn.Conv1d)
            weight, bias = convolution.weight, convolution.bias
            assert bias is not None
            if self.spec.activation == "relu":
                nn.init.uniform_(weight, -0.05, 0.05)
            else:
                nn.init.normal_(weight, std=weight[0].numel() ** -0.5)
            nn.init.zeros_(bias)
        for highway in self.highways:
            assert isinstance(highway, Highway)
            width = highway.weight.shape[1]
            nn.init.normal_(highway.weight, std=width**-0.5)
            nn.init.zeros_(highway.bias[:width])
            nn.init.constant_(highway.bias[width:], -2.0)
        nn.init.normal_(self.project, std=len(self.project) ** -0.5)
        nn.init.zeros_(self.bias)
