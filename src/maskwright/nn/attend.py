"""Scaled dot-product attention: the only code that knows how tokens fall into sequences.

``attend`` picks a kernel by name from a small table and says once which one it chose:

    packed         Ragged on the CPU, bf16, neither window nor bias: the compiled kernel, where the machine has one
    per-sequence   Ragged on the CPU: runs of equally long sequences, one fused call a run; no work on padding at all
    padded         Ragged elsewhere: scatter to a rectangle, one fused call, gather
    grid           Grid: one fused call with the key mask
    plain          the formula itself, softmax(q k^T * scale) v, for tests to hold the others against

Vaswani et al. 2017, section 3.2.1, https://arxiv.org/abs/1706.03762
"""

from __future__ import annotations

import itertools
import logging
import math
from functools import lru_cache

import torch
import torch.nn.functional as F
from torch import Tensor

from maskwright.nn.dropout import keep_mask, next_key
from maskwright.nn.layout import Grid, Layout, Ragged
from maskwright.nn.packed import attend_packed, serves
from maskwright.nn.ragged import attend_runs, unseen

__all__ = ["attend"]

_log = logging.getLogger(__name__)


def attend(
    q_TNH: Tensor,
    k_TNH: Tensor,
    v_TNH: Tensor,
    q_layout: Layout,
    k_layout: Layout,
    *,
    causal: bool = False,
    window: int | None = None,
    bias: Tensor | None = None,
    scale: float | None = None,
    dropout: float = 0.0,
    kernel: str | None = None,
) -> Tensor:
    """Let every query look at the keys of its own sequence.

    q_TNH: (Tq, N, H); k_TNH, v_TNH: (Tk, N, H); layouts of the queries and of the keys, with the same B.
    causal: a query sees keys up to its own place (equal lengths).
    window: a query sees keys at most so many places before or behind its own (equal lengths); None sees all.
    bias: (N, Sq, Sk) added to the scores of every sequence, from its first place on; on a Grid also (B, N, Sq, Sk).
    scale: defaults to 1 / sqrt(H).  dropout: share of the attention weights dropped.  kernel: a name above, else chosen.
    Returns (Tq, N, H).  Raises ValueError for a pair that no kernel serves.
    """
    name = kernel or _choose(q_TNH, q_layout, k_layout, window, bias)
    if not torch.compiler.is_compiling():
        _say(type(q_layout).__name__, q_TNH.device.type, name)
    if bias is not None:
        bias = bias.to(q_TNH.dtype)
    if scale is None:
        scale = 1.0 / math.sqrt(q_TNH.shape[-1])
    match name:
        case "packed":
            assert isinstance(q_layout, Ragged) and isinstance(k_layout, Ragged)
            key = torch.tensor(next_key() if dropout else 0)
            packed: Tensor
            packed, _ = attend_packed(q_TNH, k_TNH, v_TNH, q_layout.cu, k_layout.cu, causal, scale, dropout, key)
            return packed
        case "per-sequence":
            assert isinstance(q_layout, Ragged) and isinstance(k_layout, Ragged)
            key = torch.tensor(next_key() if dropout else 0)
            cu = q_layout.cu, k_layout.cu
            out: Tensor = attend_runs(q_TNH, k_TNH, v_TNH, *cu, causal, window, scale, dropout, key, bias)
            return out
        case "padded":
            assert isinstance(q_layout, Ragged) and isinstance(k_layout, Ragged)
            return _padded(q_TNH, k_TNH, v_TNH, q_layout, k_layout, causal, window, bias, scale, dropout)
        case "grid":
            assert isinstance(q_layout, Grid) and isinstance(k_layout, Grid)
            return _grid(q_TNH, k_TNH, v_TNH, q_layout, k_layout, causal, window, bias, scale, dropout)
        case "plain":
            return _plain(q_TNH, k_TNH, v_TNH, q_layout, k_layout, causal, window, bias, scale)
    raise ValueError(f"no attention kernel {name!r}; known: packed, per-sequence, padded, grid, plain")


@lru_cache(maxsize=64)
def _say(layout: str, device: str, kernel: str) -> None:
    """Log a choice once."""
    _log.info("attention: %s on %s -> kernel %r", layout, device, kernel)


def _choose(q_TNH: Tensor, q_layout: Layout, k_layout: Layout, window: int | None, bias: Tensor | None) -> str:
    if type(q_layout) is not type(k_layout):
        raise ValueError(
            f"queries are {type(q_layout).__name__} and keys {type(k_layout).__name__}: use one kind of layout"
        )
    if isinstance(q_layout, Grid):
        return "grid"
    if serves(q_TNH, window, bias):
        return "packed"
    return "per-sequence" if q_TNH.device.type == "cpu" else "padded"


def _places(layout: Ragged) -> Tensor:
    """(T,) int64: where each token stands in a (B, longest) rectangle."""
    start = torch.cat([layout.cu, layout.cu[-1:]])[layout.row]
    return layout.row * layout.longest + torch.arange(len(layout.row), device=start.device) - start


def _padded(
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
    batch = q_layout.batch
    # Tokens of no sequence go to one extra row, which attends to itself and is thrown away.
    extra = max(0, -(-(len(k_layout.row) - int(k_layout.cu[-1])) // k_layout.longest))
    extra = max(extra, -(-(len(q_layout.row) - int(q_layout.cu[-1])) // q_layout.longest))
    q_at, k_at = _places(q_layout), _places(k_layout)

    def spread(x: Tensor, at: Tensor, length: int) -> Tensor:
        grid = x.new_zeros((batch + extra) * length, *x.shape[1:])
        return grid.index_copy(0, at, x)

    mask = torch.zeros((batch + extra) * k_layout.longest, dtype=torch.bool, device=k_at.device)
    mask[k_at] = True
    q_grid = Grid(batch + extra, q_layout.longest)
    k_grid = Grid(batch + extra, k_layout.longest, mask.view(batch + extra, k_layout.longest))
    out = _grid(
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


def _grid(
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


def _plain(
    q_TNH: Tensor,
    k_TNH: Tensor,
    v_TNH: Tensor,
    q_layout: Layout,
    k_layout: Layout,
    causal: bool,
    window: int | None,
    bias: Tensor | None,
    scale: float,
) -> Tensor:
    out = torch.zeros_like(q_TNH)
    for b, (q_at, k_at) in enumerate(zip(_rows(q_layout), _rows(k_layout), strict=True)):
        scores_NSS = torch.einsum("qnh,knh->nqk", q_TNH[q_at], k_TNH[k_at]) * scale
        if bias is not None:
            scores_NSS = scores_NSS + (bias if bias.dim() == 3 else bias[b])[:, : len(q_at), : len(k_at)]
        apart = (q_at - q_at[0])[:, None] - (k_at - k_at[0])
        if causal:
            scores_NSS = scores_NSS.masked_fill(apart < 0, -math.inf)
        if window is not None:
            scores_NSS = scores_NSS.masked_fill(apart.abs() > window, -math.inf)
        if isinstance(k_layout, Grid) and k_layout.key_mask is not None:
            scores_NSS = scores_NSS.masked_fill(~k_layout.key_mask[b], -math.inf)
        if isinstance(q_layout, Grid) and q_layout.seen is not None:
            scores_NSS = scores_NSS.masked_fill(~q_layout.seen[b], -math.inf)
        out = out.index_put((q_at,), torch.einsum("nqk,knh->qnh", scores_NSS.softmax(-1), v_TNH[k_at]))
    return out


def _rows(layout: Layout) -> list[Tensor]:
    """The token numbers of each sequence."""
    if isinstance(layout, Grid):
        return list(torch.arange(layout.batch * layout.length).view(layout.batch, layout.length))
    cu = layout.cu.tolist()
    return [torch.arange(a, b) for a, b in itertools.pairwise(cu)]
