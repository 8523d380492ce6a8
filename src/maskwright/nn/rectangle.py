"""Attention over rectangles, by torch's fused operator; and over sequences end to end that are laid out as one for it.

With dropout the formula is written out: the fused operator would draw from the global generator.
"""

from __future__ import annotations

import math

import torch
import torch.nn.functional as F
from torch import Tensor

from maskwright.nn.dropout import keep_mask, next_key
from maskwright.nn.layout import Grid, Ragged
from maskwright.nn.ragged import unseen

__all__ = ["attend_grid", "attend_padded"]


def _places(layout: Ragged) -> Tensor:
    """(T,) int64: where each token stands in a (B, longest) rectangle."""
    start = torch.cat([layout.cu, layout.cu[-1:]])[layout.row]
    return layout.row * layout.longest + torch.arange(len(layout.row), device=start.device) - start


def attend_padded(
    q_TNH: Tensor,
    k_TNH: Tensor,
    v_TNH: Tensor,
    q_layout: Ragged,
    k_layout: Ragged,
    causal: bool,
    window: int | None,
    bias: Tensor | None,
    scale: float,
    dropout: float,
) -> Tensor:
    """Attention over sequences laid end to end, by way of a rectangle; arguments as in ``attend``."""
    batch = q_layout.batch
    # Tokens of no sequence go to one extra row, which attends to itself and is thrown away.
    extra = max(-(-(len(each.row) - each.tokens) // each.longest) for each in (q_layout, k_layout))
    q_at, k_at = _places(q_layout), _places(k_layout)

    def spread(x: Tensor, at: Tensor, length: int) -> Tensor:
        grid = x.new_zeros((batch + extra) * length, *x.shape[1:])
        return grid.index_copy(0, at, x)

    mask = torch.zeros((batch + extra) * k_layout.longest, dtype=torch.bool, device=k_at.device)
    mask[k_at] = True
    q_grid = Grid(batch + extra, q_layout.longest)
    k_grid = Grid(batch + extra, k_layout.longest, mask.view(batch + extra, k_layout.longest))
    out = attend_grid(
        spread(q_TNH, q_at, q_layout.longest),
        spread(k_TNH, k_at, k_layout.longest),
        spread(v_TNH, k_at, k_layout.longest),
        q_grid,
        k_grid,
        causal,
        window,
        bias,
        scale,
        dropout,
    )
    return out[q_at]


def attend_grid(
    q_TNH: Tensor,
    k_TNH: Tensor,
    v_TNH: Tensor,
    q_layout: Grid,
    k_layout: Grid,
    causal: bool,
    window: int | None,
    bias: Tensor | None,
    scale: float,
    dropout: float,
) -> Tensor:
    """Attention over a rectangle; arguments as in ``attend``."""
    heads, width = q_TNH.shape[1:]

    def to_BNSH(x: Tensor, layout: Grid) -> Tensor:
        return x.view(layout.batch, layout.length, heads, width).transpose(1, 2)

    mask = _mask(q_layout, k_layout, causal, window, bias, q_TNH)
    q, k, v = to_BNSH(q_TNH, q_layout), to_BNSH(k_TNH, k_layout), to_BNSH(v_TNH, k_layout)
    if dropout:  # SDPA would draw from the global generator; here the mask must be keyed
        scores = torch.matmul(q, k.transpose(-1, -2)) * scale
        if mask is not None:
            scores = scores.masked_fill(~mask, -math.inf) if mask.dtype == torch.bool else scores + mask
        weights = scores.softmax(-1)
        kept, factor = keep_mask(weights.numel(), dropout, next_key(), weights.device)
        out_BNSH = torch.matmul(weights * kept.view(weights.shape).to(weights.dtype).mul_(factor), v)
    else:
        out_BNSH = F.scaled_dot_product_attention(q, k, v, mask, scale=scale)
    return out_BNSH.transpose(1, 2).reshape(q_layout.batch * q_layout.length, heads, width)


def _mask(
    q_layout: Grid, k_layout: Grid, causal: bool, window: int | None, bias: Tensor | None, like: Tensor
) -> Tensor | None:
    """Join padding, what queries may see, causality, window and bias into what SDPA takes: None, a bool mask or one to add."""
    seen = None if k_layout.key_mask is None else k_layout.key_mask[:, None, None, :]
    if q_layout.seen is not None:
        seen = q_layout.seen[:, None] if seen is None else seen & q_layout.seen[:, None]
    if (hidden := unseen(q_layout.length, k_layout.length, causal, window, like.device)) is not None:
        seen = ~hidden if seen is None else seen & ~hidden
    if bias is None or seen is None:
        return bias if seen is None else seen
    return bias.masked_fill(~seen, -math.inf)
