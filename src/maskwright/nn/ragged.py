"""Attention over sequences laid end to end, on the CPU: one fused call a run of equally long sequences.

With a window a long sequence is cut into steps, each with the keys in its reach, so that work and memory grow with its length
and not with its square.

Forward without dropout is PyTorch's fused kernel.  With dropout the fused kernel falls back to a slow path, and its backward
in bfloat16 is slower than three plain matrix products, so both of those are written out here: scores, softmax, keep mask,
values; the backward recomputes the softmax instead of storing it.  Work goes in blocks small enough for the cache.

Registered as ``torch.library`` operators with a fake and a backward, so that ``torch.compile(fullgraph=True)`` sees one node
and not a loop over data-dependent lengths.
"""

from __future__ import annotations

import itertools
from collections.abc import Iterator
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor

from maskwright.nn.dropout import keep_lanes, keep_words
from maskwright.nn.operators import operator

__all__ = ["attend_runs", "unseen"]

_BLOCK = 1 << 20
"""Attention weights computed at once: 2 to 4 MB, about an L2 cache."""

_STRETCH = 18
"""Words that the dropout of one query and head may use, as a power of two: a million keys."""

_STEP = 128
"""Queries of a long sequence computed at once where they look at near keys only."""

Run = tuple[slice, slice, int, int, int]
"""Query rows, key rows, sequences, queries and keys in each."""


def _runs(q_cu: Tensor, k_cu: Tensor, heads: int, window: int | None) -> Iterator[Run]:
    """Yield runs of sequences with the same lengths; with a window, long sequences step by step, with the keys in reach."""
    q, k = q_cu.tolist(), k_cu.tolist()
    if window is not None and max(b - a for a, b in itertools.pairwise(q)) > _STEP + 2 * window:
        for begin, end in itertools.pairwise(q):
            for at in range(begin, end, _STEP):
                last = min(end, at + _STEP)
                first, behind = max(begin, at - window), min(end, last + window)
                yield slice(at, last), slice(first, behind), 1, last - at, behind - first
        return
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


def unseen(
    queries: int, keys: int, causal: bool, window: int | None, device: torch.device, ahead: int = 0
) -> Tensor | None:
    """(queries, keys) bool: what a query may not look at, later keys and those farther away than the window; None: nothing.

    ahead: places from the first key to the first query.
    """
    if not causal and (window is None or window >= max(queries, keys) - 1):
        return None
    apart = torch.arange(ahead, ahead + queries, device=device)[:, None] - torch.arange(keys, device=device)
    hidden = apart < 0 if causal else torch.zeros_like(apart, dtype=torch.bool)
    return hidden if window is None else hidden | (apart.abs() > window)


def _weights(q: Tensor, k: Tensor, bias: Tensor | None, hidden: Tensor | None, scale: float) -> Tensor:
    """softmax(q k^T * scale + bias): (b, N, Sq, Sk) in the dtype of q."""
    scores = torch.matmul(q * scale, k.transpose(-1, -2))
    if bias is not None:
        scores += _corner(bias, scores)
    if hidden is not None:
        scores.masked_fill_(hidden, -torch.inf)
    return torch.softmax(scores, -1)


def _corner(bias: Tensor, scores: Tensor) -> Tensor:
    """What of a (N, Sq, Sk) bias is for shorter sequences: places are counted from the beginning of each."""
    return bias[:, : scores.shape[-2], : scores.shape[-1]]


def _mask(bias: Tensor | None, hidden: Tensor | None, queries: int, keys: int) -> Tensor | None:
    """What the fused kernel takes for the two: nothing, a bool mask of what is seen, or one to add."""
    if bias is None:
        return None if hidden is None else ~hidden
    corner = bias[:, :queries, :keys]
    return corner if hidden is None else corner.masked_fill(hidden, -torch.inf)


def _kept(weights: Tensor, dropout: float, key: int, first: int) -> Tensor:
    """0 or 1 / (share kept) for each weight (b, N, Sq, Sk) of a run whose first query is row ``first``.

    Each query and head has a stretch of the key's stream to itself, so that it does not matter how sequences fall into runs.
    """
    b, heads, queries, keys = weights.shape
    rows = torch.arange(first, first + b * queries, device=weights.device).view(b, 1, queries, 1)
    stretch = (rows * heads + torch.arange(heads, device=weights.device)[:, None, None]) << _STRETCH
    words = keep_words(stretch + torch.arange((keys + 3) // 4, device=weights.device), key)
    mask, factor = keep_lanes(words, dropout)
    return mask[..., :keys].to(weights.dtype).mul_(factor)


def _ahead(q_rows: slice, k_rows: slice, window: int | None) -> int:
    """Places from the first key of a run to its first query: none but where a window cuts sequences into steps."""
    return 0 if window is None else q_rows.start - k_rows.start


@operator("attend_runs")
def attend_runs(
    q: Tensor,
    k: Tensor,
    v: Tensor,
    q_cu: Tensor,
    k_cu: Tensor,
    causal: bool,
    window: int | None,
    scale: float,
    dropout: float,
    key: Tensor,
    bias: Tensor | None = None,
) -> Tensor:
    """Attention of (Tq, N, H) queries over (Tk, N, H) keys and values, sequence by sequence.

    q_cu, k_cu: (B + 1,) int32 sequence bounds.  key: int64 scalar, which weights are dropped.  bias: (N, Sq, Sk) added to
    the scores of every sequence, from its first place on; not with a window.  Rows behind q_cu[-1] come out as zeros.
    """
    out = torch.empty_like(q, memory_format=torch.contiguous_format)
    out[int(q_cu[-1]) :] = 0
    for q_rows, k_rows, b, lq, lk in _runs(q_cu, k_cu, q.shape[1], window):
        q_b, k_b, v_b = _heads_first(q, q_rows, b, lq), _heads_first(k, k_rows, b, lk), _heads_first(v, k_rows, b, lk)
        if not dropout and window is None and bias is None:
            o_b = F.scaled_dot_product_attention(q_b, k_b, v_b, is_causal=causal, scale=scale)
        else:
            hidden = unseen(lq, lk, causal, window, q.device, _ahead(q_rows, k_rows, window))
            if dropout:
                weights = _weights(q_b, k_b, bias, hidden, scale)
                o_b = torch.matmul(weights * _kept(weights, dropout, int(key), q_rows.start), v_b)
            else:
                o_b = F.scaled_dot_product_attention(q_b, k_b, v_b, _mask(bias, hidden, lq, lk), scale=scale)
        _heads_first(out, q_rows, b, lq).copy_(o_b)
    return out


@attend_runs.register_fake
def _(
    q: Tensor,
    k: Tensor,
    v: Tensor,
    q_cu: Tensor,
    k_cu: Tensor,
    causal: bool,
    window: int | None,
    scale: float,
    dropout: float,
    key: Tensor,
    bias: Tensor | None = None,
) -> Tensor:
    return torch.empty_like(q, memory_format=torch.contiguous_format)


@operator("attend_runs_backward")
def _backward_op(
    grad: Tensor,
    q: Tensor,
    k: Tensor,
    v: Tensor,
    q_cu: Tensor,
    k_cu: Tensor,
    causal: bool,
    window: int | None,
    scale: float,
    dropout: float,
    key: Tensor,
    bias: Tensor | None = None,
) -> tuple[Tensor, Tensor, Tensor, Tensor]:
    dq, dk, dv = (torch.empty_like(x, memory_format=torch.contiguous_format) for x in (q, k, v))
    dq[int(q_cu[-1]) :] = 0
    # With a window two steps may reach the same keys; otherwise each run has keys of its own, but for sequences that nobody
    # asks anything, which are in no run.
    clear = 0 if window is not None or not q_cu.diff().all() else int(k_cu[-1])
    dk[clear:] = 0
    dv[clear:] = 0
    put = Tensor.add_ if window is not None else Tensor.copy_
    d_bias = q.new_zeros(0) if bias is None else torch.zeros_like(bias)
    for q_rows, k_rows, b, lq, lk in _runs(q_cu, k_cu, q.shape[1], window):
        q_b, k_b, v_b = _heads_first(q, q_rows, b, lq), _heads_first(k, k_rows, b, lk), _heads_first(v, k_rows, b, lk)
        g_b = _heads_first(grad, q_rows, b, lq)
        hidden = unseen(lq, lk, causal, window, q.device, _ahead(q_rows, k_rows, window))
        weights = _weights(q_b, k_b, bias, hidden, scale)
        d_weights = torch.matmul(g_b, v_b.transpose(-1, -2))
        if dropout:
            kept = _kept(weights, dropout, int(key), q_rows.start)
            d_weights.mul_(kept)
            used = weights * kept
        else:
            used = weights
        put(_heads_first(dv, k_rows, b, lk), torch.matmul(used.transpose(-1, -2), g_b))
        d_scores = torch._softmax_backward_data(d_weights, weights, -1, weights.dtype)
        if bias is not None:
            _corner(d_bias, d_scores).add_(d_scores.sum(0))
        d_scores.mul_(scale)
        _heads_first(dq, q_rows, b, lq).copy_(torch.matmul(d_scores, k_b))
        put(_heads_first(dk, k_rows, b, lk), torch.matmul(d_scores.transpose(-1, -2), q_b))
    return dq, dk, dv, d_bias


@_backward_op.register_fake
def _(
    grad: Tensor,
    q: Tensor,
    k: Tensor,
    v: Tensor,
    q_cu: Tensor,
    k_cu: Tensor,
    causal: bool,
    window: int | None,
    scale: float,
    dropout: float,
    key: Tensor,
    bias: Tensor | None = None,
) -> tuple[Tensor, Tensor, Tensor, Tensor]:
    return (
        torch.empty_like(q, memory_format=torch.contiguous_format),
        torch.empty_like(k, memory_format=torch.contiguous_format),
        torch.empty_like(v, memory_format=torch.contiguous_format),
        q.new_empty(0) if bias is None else torch.empty_like(bias, memory_format=torch.contiguous_format),
    )


def _save(ctx: Any, inputs: tuple[Any, ...], output: Tensor) -> None:
    q, k, v, q_cu, k_cu, ctx.causal, ctx.window, ctx.scale, ctx.dropout, key, bias = inputs
    ctx.save_for_backward(q, k, v, q_cu, k_cu, key, bias)


def _backward(ctx: Any, grad: Tensor) -> tuple[Tensor | None, ...]:
    q, k, v, q_cu, k_cu, key, bias = ctx.saved_tensors
    dq, dk, dv, d_bias = _backward_op(
        grad, q, k, v, q_cu, k_cu, ctx.causal, ctx.window, ctx.scale, ctx.dropout, key, bias
    )
    return dq, dk, dv, None, None, None, None, None, None, None, None if bias is None else d_bias


attend_runs.register_autograd(_backward, setup_context=_save)
