"""Token, position and segment embeddings, summed.

Devlin et al. 2019, section 3 and figure 2, https://arxiv.org/abs/1810.04805
"""

from __future__ import annotations

from dataclasses import dataclass

from torch import Tensor, nn

from maskwright.nn.dropout import Dropout

__all__ = ["Embed", "EmbedSpec"]


@dataclass(frozen=True, kw_only=True)
class EmbedSpec:
    """Sizes of the tables, and what happens to their sum."""

    vocabulary: int
    """V, rows of the token table."""
    width: int
    """D, values a token."""
    positions: int
    """Rows of the position table: the longest sequence."""
    segments: int
    """Rows of the segment table."""
    norm_eps: float = 1e-12
    dropout: float = 0.1

    def parameters(self) -> dict[str, tuple[str, int]]:
        """Part -> (closed form, count)."""
        v, d, p, s = self.vocabulary, self.width, self.positions, self.segments
        return {
            "token embeddings": (f"V·D = {v:,}·{d:,}", v * d),
            "position embeddings": (f"P·D = {p:,}·{d:,}", p * d),
            "segment embeddings": (f"2·D = {s:,}·{d:,}" if s == 2 else f"S·D = {s:,}·{d:,}", s * d),
            "embedding LayerNorm": (f"2·D = 2·{d:,}", 2 * d),
        }


class Embed(nn.Module):
    """LayerNorm(token + position + segment), then dropout."""

    def __init__(self, spec: EmbedSpec) -> None:
        super().__init__()
        self.token = nn.Embedding(spec.vocabulary, spec.width)
        self.position = nn.Embedding(spec.positions, spec.width)
        self.segment = nn.Embedding(spec.segments, spec.width)
        self.norm = nn.LayerNorm(spec.width, eps=spec.norm_eps)
        self.dropout = Dropout(spec.dropout)

    def forward(self, ids_T: Tensor, positions_T: Tensor, segments_T: Tensor) -> Tensor:
        """Three (T,) int64 tensors -> (T, D)."""
        summed_TD = self.token(ids_T) + self.position(positions_T) + self.segment(segments_T)
        out: Tensor = self.dropout(self.norm(summed_TD))
        return out
