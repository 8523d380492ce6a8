"""Attention by relative distances: how far a key is from the query, and whether the two are of one segment, add to the score.

Dai et al. 2019, section 3.3, https://arxiv.org/abs/1901.02860; with segments, and with targets that know their place and not
their word: Yang et al. 2019, sections 2.3 to 2.5, https://arxiv.org/abs/1906.08237.  Both streams of the latter look with the
same weights at the same keys, so here they are one attention with S + M queries a sequence.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from maskwright.nn.attend import attend
from maskwright.nn.block import Block, BlockSpec
from maskwright.nn.layout import Grid, Layout
from maskwright.nn.past import Kept

__all__ = ["Look", "RelativeBlock", "RelativeBlockSpec", "Scene", "sinusoids"]


def sinusoids(distances_GP: Tensor, width: int) -> Tensor:
    """(G, P) distances -> (G, P, D): sines, then cosines, of wavelengths from 2π to 2π · 10,000."""
    steps = torch.arange(0, width, 2, device=distances_GP.device) / width
    angles = distances_GP[..., None].float() / 10_000.0**steps
    return torch.cat([angles.sin(), angles.cos()], -1)


@dataclass(frozen=True, kw_only=True)
class Scene(Grid):
    """A grid of queries, B rows of Q = S + M: a sequence's tokens, then its targets.  And all that they look at.

    Keys are L places of memory and the S tokens behind them, K = L + S.  Masks may have one row for all B.
    """

    tokens: int
    """S."""
    keys: Grid
    """B rows of K places."""
    far_GPD: Tensor
    """What stands for each distance, from K - 1 down to 1 - S; G = 2 where half of the batch is read backwards."""
    index_BQK: Tensor
    """int64: which of those is the distance from key to query."""
    apart_BQK: Tensor
    """bool: key and query are of two segments."""
    hidden_BQK: Tensor | None
    """bool: what may not be looked at; padding is the keys' affair."""
    memory: Sequence[Tensor]
    """For each layer (B, L, D) states; empty where there are none."""


@dataclass(frozen=True, kw_only=True)
class Look:
    """Where queries look, beside what a call says."""

    causal: bool = False
    """Tokens look back only, as in Transformer-XL."""
    same_length: bool = False
    """Causal attention reaches as far back from every token: as many places as there are in the memory."""
    both_ways: bool = False
    """The second half of each batch is read backwards: its distances count the other way."""
    clamp: int | None = None
    """Distances beyond count as this one."""

    def scene(
        self,
        segments_BS: Tensor,
        key_mask: Tensor | None,
        width: int,
        *,
        targets_BM: Tensor | None = None,
        unseen_BSS: Tensor | None = None,
        memory: Sequence[Tensor] = (),
    ) -> Scene:
        """Lay out what each query looks at; the arguments are those of ``XLNetNet.two_streams``, of (B, S)."""
        b, s = segments_BS.shape
        device, before = segments_BS.device, memory[0].shape[1] if memory else 0
        places_Q = torch.arange(s, device=device)
        places_BQ = places_Q[None] if targets_BM is None else torch.cat([places_Q.expand(b, s), targets_BM], 1)
        behind_BQK = places_BQ[..., None] + before - torch.arange(before + s, device=device)
        hidden_BQK = None
        if self.causal:
            hidden_BQK = (behind_BQK < 0) | ((behind_BQK > before) if self.same_length else False)
        if unseen_BSS is not None:
            unseen_BQK = F.pad(unseen_BSS.gather(1, places_BQ[..., None].expand(b, -1, s)), (before, 0))
            unseen_BQK[:, :s] &= behind_BQK[:, :s] != 0  # a token sees itself, a target only where its place may
            hidden_BQK = unseen_BQK if hidden_BQK is None else hidden_BQK | unseen_BQK
        distances_P = torch.arange(before + s - 1, -s, -1, device=device)
        if self.clamp is not None:
            distances_P = distances_P.clamp(-self.clamp, self.clamp)
        query_segments_BQ = segments_BS.gather(1, places_BQ.expand(b, -1))
        return Scene(
            batch=b,
            length=places_BQ.shape[1],
            tokens=s,
            keys=Grid(b, before + s, None if key_mask is None else F.pad(key_mask, (before, 0), value=True)),
            far_GPD=sinusoids(torch.stack([distances_P, -distances_P][: 1 + self.both_ways]), width),
            index_BQK=before + s - 1 - behind_BQK,
            apart_BQK=query_segments_BQ[..., None] != F.pad(segments_BS, (before, 0))[:, None],
            hidden_BQK=hidden_BQK,
            memory=memory,
        )


@dataclass(frozen=True, kw_only=True)
class RelativeBlockSpec(BlockSpec):
    """A post-norm block with relative attention."""

    def parameters(self) -> dict[str, tuple[str, int]]:
        """Part -> (closed form, count)."""
        d, (_, *others) = self.width, super().parameters().items()
        return {
            "attention: query, key, value, output, distance": (f"5·D², D = {d:,}", 5 * d * d),
            "attention: three biases, two segments": ("5·D", 5 * d),
            **dict(others),
        }

    def multiplications(self, keys: int) -> int:
        """As in every block, and scores of 2K - 1 distances and 2 segments; distances, projected once a batch, do not count."""
        return super().multiplications(keys) + (2 * keys - 1 + 2) * self.width

    def build(self) -> RelativeBlock:
        """Return the module that this describes."""
        return RelativeBlock(self)


class RelativeBlock(Block):
    """Relative attention and a feed-forward network; its layout is a ``Scene``.

    Attributes:
        layer: which layer's memory it looks at.
    """

    def __init__(self, spec: RelativeBlockSpec) -> None:
        super().__init__(spec)
        d, self.layer = spec.width, 0
        self.qkv, self.out = nn.Linear(d, 3 * d, bias=False), nn.Linear(d, d, bias=False)
        self.distance = nn.Linear(d, d, bias=False)
        # Added to the query before it meets words, distances and segments; vectors, so that they are not decayed.
        self.to_words, self.to_distances, self.to_segments = (nn.Parameter(torch.zeros(d)) for _ in range(3))
        self.segments = nn.Parameter(torch.zeros(2, d))

    def by_heads(self, x: Tensor) -> Tensor:
        """(..., D) -> (..., N, H)."""
        return x.view(*x.shape[:-1], self.spec.heads, -1)

    def look(
        self, x_TD: Tensor, positions_T: Tensor, layout: Layout, bias: Tensor | None = None, kept: Kept | None = None
    ) -> Tensor:
        """Relative attention: (B·Q, D) -> (B·Q, D)."""
        assert isinstance(layout, Scene)
        d, h, x_BQD = x_TD.shape[-1], x_TD.shape[-1] // self.spec.heads, x_TD.view(layout.batch, layout.length, -1)
        seen_BKD = x_BQD[:, : layout.tokens]
        if layout.memory:
            seen_BKD = torch.cat([layout.memory[self.layer], seen_BKD], 1)
        q_BQD = F.linear(x_BQD, self.qkv.weight[:d])
        k_TNH, v_TNH = F.linear(seen_BKD, self.qkv.weight[d:]).view(-1, 2, self.spec.heads, h).unbind(1)
        r_GPNH = self.by_heads(self.distance(layout.far_GPD))
        q_GBQNH = (q_BQD + self.to_distances).view(len(r_GPNH), -1, layout.length, self.spec.heads, h)
        far_BNQP = torch.einsum("gbqnh,gpnh->gbnqp", q_GBQNH, r_GPNH).flatten(0, 1)
        index_BNQK = layout.index_BQK[:, None].expand(layout.batch, self.spec.heads, -1, -1)
        q_BQNH = self.by_heads(q_BQD + self.to_segments)
        segment_BNQ2 = torch.einsum("bqnh,snh->bnqs", q_BQNH, self.by_heads(self.segments))
        segment_BNQK = torch.where(layout.apart_BQK[:, None], segment_BNQ2[..., 1:], segment_BNQ2[..., :1])
        bias_BNQK = (far_BNQP.gather(-1, index_BNQK) + segment_BNQK) * h**-0.5
        if layout.hidden_BQK is not None:
            # Added and finite, as in the reference: where all is hidden, the softmax is one of equal scores and not of none.
            hidden_BNQK = layout.hidden_BQK[:, None].to(bias_BNQK.dtype)
            bias_BNQK = bias_BNQK.add(hidden_BNQK, alpha=torch.finfo(bias_BNQK.dtype).min / 2)
        q_TNH, grid = self.by_heads(q_BQD + self.to_words).flatten(0, 1), Grid(layout.batch, layout.length)
        seen_TNH = attend(q_TNH, k_TNH, v_TNH, grid, layout.keys, bias=bias_BNQK, dropout=self._rate)
        out: Tensor = self.out(seen_TNH.flatten(1))
        return out
