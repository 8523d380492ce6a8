"""Token, position and segment embeddings, summed.

Devlin et al. 2019, section 3 and figure 2, https://arxiv.org/abs/1810.04805.  Narrow tables widened by one matrix: Lan et al.
2020, section 3.1, https://arxiv.org/abs/1909.11942
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Literal

import torch
from torch import Tensor, nn

from maskwright.nn.dropout import Dropout

__all__ = ["Embed", "EmbedSpec", "waves"]


@dataclass(frozen=True, kw_only=True)
class EmbedSpec:
    """Sizes of the tables, and what happens to their sum."""

    vocabulary: int
    """V, rows of the token table."""
    width: int
    """D, values a token that come out."""
    narrow: int | None = None
    """E, values a token in the tables where one matrix widens them to D; None: the tables have D, and there is no matrix."""
    positions: int
    """P, tokens in the longest sequence."""
    position: Literal["table", "sinusoid", "none"] = "table"
    """Where places come in: a learned table, fixed waves, or nothing here because attention tells places apart."""
    offset: int = 0
    """Rows of the position table before that of the first token, which stay unused."""
    segments: int
    """Rows of the segment table; 0: there is none.  A single row is added to every token, whatever its segment."""
    scaled: bool = False
    """Whether token rows are multiplied by √D before anything is added."""
    norm: bool = True
    """Whether a LayerNorm stands behind the sum."""
    norm_eps: float = 1e-12
    bias: bool = True
    """Whether the LayerNorm adds one."""
    dropout: float = 0.1

    @property
    def table_width(self) -> int:
        """E, or D where the tables are not narrow."""
        return self.narrow or self.width

    def parameters(self) -> dict[str, tuple[str, int]]:
        """Part -> (closed form, count)."""
        v, d, p, s, e, o = self.vocabulary, self.width, self.positions, self.segments, self.table_width, self.offset
        letter = "E" if self.narrow else "D"
        parts = {"token embeddings": (f"V·{letter} = {v:,}·{e:,}", v * e)}
        if self.position == "table":
            rows, sizes = (f"(P + {o})", f"({p:,} + {o})") if o else ("P", f"{p:,}")
            parts["position embeddings"] = (f"{rows}·{letter} = {sizes}·{e:,}", (p + o) * e)
        if s:
            parts["segment embeddings"] = (f"{s if s < 3 else 'S'}·{letter} = {s:,}·{e:,}", s * e)
        if self.norm:
            norm = 2 if self.bias else 1
            parts["embedding LayerNorm"] = (f"{norm}·{letter} = {norm}·{e:,}", norm * e)
        if self.narrow:
            parts["embedding projection"] = (f"E·D + D = {e:,}·{d:,} + {d:,}", e * d + d)
        return parts

    def build(self) -> Embed:
        """Return the module that this describes."""
        return Embed(self)


def waves(positions_T: Tensor, width: int) -> Tensor:
    """(T,) places -> (T, D): sines of falling frequency in the first half, their cosines in the second.

    Vaswani et al. 2017, section 3.5, in the order of its published code; the paper's formula takes turns instead.
    """
    steps = torch.arange(0, width, 2, device=positions_T.device, dtype=torch.float32) / width
    angles = positions_T[:, None].float() * torch.exp(-math.log(10_000.0) * steps)
    return torch.cat([angles.sin(), angles.cos()[:, : width // 2]], -1)


class Embed(nn.Module):
    """LayerNorm(token + position + segment), then dropout, and for narrow tables the matrix that widens them."""

    def __init__(self, spec: EmbedSpec) -> None:
        super().__init__()
        width = spec.table_width
        self.offset, self.waves = spec.offset, spec.position == "sinusoid"
        self.factor = width**0.5 if spec.scaled else 1.0
        self.token = nn.Embedding(spec.vocabulary, width)
        self.position = nn.Embedding(spec.positions + spec.offset, width) if spec.position == "table" else None
        self.segment = nn.Embedding(spec.segments, width) if spec.segments else None
        self.norm = nn.LayerNorm(width, eps=spec.norm_eps, bias=spec.bias) if spec.norm else nn.Identity()
        self.dropout = Dropout(spec.dropout)
        self.widen = nn.Identity() if spec.narrow is None else nn.Linear(width, spec.width)

    def forward(self, ids_T: Tensor, positions_T: Tensor, segments_T: Tensor) -> Tensor:
        """Three (T,) int64 tensors -> (T, D)."""
        return self.finished(self.summed(ids_T, positions_T, segments_T))

    def summed(self, ids_T: Tensor, positions_T: Tensor, segments_T: Tensor) -> Tensor:
        """Three (T,) int64 tensors -> (T, E), the sum of the tables' rows."""
        x: Tensor = self.token(ids_T)
        if self.factor != 1.0:
            x = x * self.factor
        if self.waves:
            x = x + waves(positions_T, x.shape[-1]).to(x.dtype)
        if self.position is not None:
            x = x + self.position(positions_T + self.offset if self.offset else positions_T)
        if self.segment is not None:
            x = x + self.segment(segments_T if self.segment.num_embeddings > 1 else torch.zeros_like(segments_T))
        return x

    def finished(self, x_TE: Tensor) -> Tensor:
        """What is made of the sum: (T, E) -> (T, D)."""
        out: Tensor = self.widen(self.dropout(self.norm(x_TE)))
        return out
