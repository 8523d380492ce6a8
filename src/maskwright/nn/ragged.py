"""Attention over sequences laid end to end, on the CPU: one fused call a run of equally long sequences.

Forward without dropout is PyTorch's fused kernel.  With dropout the fused kernel falls back to a slow path, and its backward
in bfloat16 is slower than three plain matrix products, so both of those are written out here: scores, softmax, keep mask,
values; the backward recomputes the softmax instead of storing it.  Work goes in blocks small enough for the cache.

Registered as ``torch.library`` operators with a fake and a backward, so that ``torch.compile(fullgraph=True)`` sees one node
and not a loop over data-dependent lengths.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor

from maskwright.keys import mix
from maskwright.nn.dropout import keep_mask

__all__ = ["attend_runs"]

_BLOCK = 1 << 20
"""Attention weights computed at once: 2 to 4 MB, about an L2 cache."""


def _runs(q_cu: Tensor, k_cu: Tensor, heads: int) -> Iterator[tuple[slice, slice, int, int, int]]:
    """Yield runs of sequences with the same lengths: (query rows, key rows, sequences, query length, key length)."""
    q, k = q_cu.tolist(), k_cu.tolist()
    first, count = 0, len(q) - 1
    while first < count:
        lq, lk = q[first + 1] - q[first], k[first + 1] - k[first]
        most = max(1, _BLOCK // max(1, lq * lk * heads))
        last = first + 1
        while last < count and last - first < most and q[last + 1] - q[last] == lq and k[last + 1] - k[last] == lk:
            last += 1
        if lq:
            yield slice(q[first], q[last]), slice(k[first], k[last]), last - first, lq, lk
        first = last


def _heads_first(x_TNH: Tensor, rows: slice, sequences: int, length: int) -> Tensor:
    return x_TNH[rows].view(sequences, length, *x_TNH.shape[1:]).transpose(1, 2)


def _weights(q: Tensor, k: Tensor, causal: bool, scale: float) -> Tensor:
    """softmax(q k^T * scale): (b, N, Sq, Sk) in the dtype of q."""
    scores = torch.matmul(q * scale, k.transpose(-1, -2))
    if causal:
        later = torch.ones(scores.shape[-2:], dtype=torch.bool).triu(1)
        scores.masked_fill_(later, -torch.inf)
    return torch.softmax(scores, -1)


def _kept(weights: Tensor, dropout: float, key: int, run: int) -> Tensor:
    """0 or 1 / (share kept) for each weight of a run; the same in forward and backward."""
    mask, factor = keep_mask(weights.numel(), dropout, mix(key, run), weights.device)
    return mask.view(weights.shape).to(weights.dtype).mul_(factor)


@torch.library.custom_op("maskwright::attend_runs", mutates_args=())
def attend_runs(
    q: Tensor, k: Tensor, v: Tensor, q_cu: Tensor, k_cu: Tensor, causal: bool, scale: float, dropout: float, key: Tensor
) -> Tensor:
    """Attention of (Tq, N, H) queries over (Tk, N, H) keys and values, sequence by sequence.

    q_cu, k_cu: (B + 1,) int32 sequence bounds.  key: int64 scalar, which weights are dropped.  Rows behind q_cu[-1] come
    out as zeros.
    """
    out = torch.empty_like(q, memory_format=torch.contiguous_format)
    out[int(q_cu[-1]) :] = 0
    for run, (q_rows, k_rows, b, lq, lk) in enumerate(_runs(q_cu, k_cu, q.shape[1])):
        q_b, k_b, v_b = _heads_first(q, q_rows, b, lq), _heads_first(k, k_rows, b, lk), _heads_first(v, k_rows, b, lk)
        if dropout:
            weights = _weights(q_b, k_b, causal, scale)
            o_b = torch.matmul(weights * _kept(weights, dropout, int(key), run), v_b)
        else:
            o_b = F.scaled_dot_product_attention(q_b, k_b, v_b, is_causal=causal, scale=scale)
        _heads_first(out, q_rows, b, lq).copy_(o_b)
    return out


@attend_runs.register_fake
def _(
    q: Tensor, k: Tensor, v: Tensor, q_cu: Tensor, k_cu: Tensor, causal: bool, scale: float, dropout: float, key: Tensor
) -> Tensor:
    return torch.empty_like(q, memory_format=torch.contiguous_format)


@torch.library.custom_op("maskwright::attend_runs_backward", mutates_args=())
def _backward_op(
    grad: Tensor,
    q: Tensor,
    k: Tensor,
    v: Tensor,
    q_cu: Tensor,
    k_cu: Tensor,
    causal: bool,
    scale: float,
    dropout: float,
    key: Tensor,
) -> tuple[Tensor, Tensor, Tensor]:
    dq, dk, dv = (torch.empty_like(x, memory_format=torch.contiguous_format) for x in (q, k, v))
    dq[int(q_cu[-1]) :] = 0
    dk[int(k_cu[-1]) :] = 0
    dv[int(k_cu[-1]) :] = 0
    for run, (q_rows, k_rows, b, lq, lk) in enumerate(_runs(q_cu, k_cu, q.shape[1])):
        q_b, k_b, v_b = _heads_first(q, q_rows, b, lq), _heads_first(k, k_rows, b, lk), _heads_first(v, k_rows, b, lk)
        g_b = _heads_first(grad, q_rows, b, lq)
        weights = _weights(q_b, k_b, causal, scale)
        d_weights = torch.matmul(g_b, v_b.transpose(-1, -2))
        if dropout:
            kept = _kept(weights, dropout, int(key), run)
            d_weights.mul_(kept)
            used = weights * kept
        else:
            used = weights
        _heads_first(dv, k_rows, b, lk).copy_(torch.matmul(used.transpose(-1, -2), g_b))
        d_scores = torch._softmax_backward_data(d_weights, weights, -1, weights.dtype).mul_(scale)
        _heads_first(dq, q_rows, b, lq).copy_(torch.matmul(d_scores, k_b))
        _heads_first(dk, k_rows, b, lk).copy_(torch.matmul(d_scores.transpose(-1, -2), q_b))
    return dq, dk, dv


@_backward_op.register_fake
def _(
    grad: Tensor,
    q: Tensor,
    k: Tensor,
    v: Tensor,
    q_cu: Tensor,
    k_cu: Tensor,
    causal: bool,
    scale: float,
    dropout: float,
    key: Tensor,
) -> tuple[Tensor, Tensor, Tensor]:
    return (
        torch.empty_like(q, memory_format=torch.contiguous_format),
        torch.empty_like(k, memory_format=torch.contiguous_format),
        torch.empty_like(v, memory_format=torch.contiguous_format),
    )


def _save(ctx: Any, inputs: tuple[Any, ...], output: Tensor) -> None:
    q, k, v, q_cu, k_cu, ctx.causal, ctx.scale, ctx.dropout, key = inputs
    ctx.save_for_backward(q, k, v, q_cu, k_cu, key)


def _backward(ctx: Any, grad: Tensor) -> tuple[Tensor | None, ...]:
    q, k, v, q_cu, k_cu, key = ctx.saved_tensors
    dq, dk, dv = _backward_op(grad, q, k, v, q_cu, k_cu, ctx.causal, ctx.scale, ctx.dropout, key)
    return dq, dk, dv, None, None, None, None, None, None


attend_runs.register_autograd(_backward, setup_context=_save)
