"""Attention over sequences laid end to end by the compiled kernel: one pass, in bfloat16, with dropout inside.

A ``torch.library`` operator like that of ``ragged``, which serves everything this one does not: fp32, windows, biases, machines
without the kernel.  Both drop the same weights for the same key.
"""

from __future__ import annotations

import ctypes
from typing import Any

import torch
from torch import Tensor

from maskwright.native import call, here
from maskwright.nn.dropout import dropped_lanes
from maskwright.nn.operators import operator

__all__ = ["attend_packed", "serves"]


def serves(q: Tensor, window: int | None, bias: Tensor | None) -> bool:
    """Whether the kernel takes such queries; keys and values have their type and head width."""
    plain = window is None and bias is None and q.dtype == torch.bfloat16 and q.device.type == "cpu"
    return plain and q.shape[-1] % 16 == 0 and here()


def _side(x: Tensor) -> list[Any]:
    """A (T, N, H) tensor as address, step from token to token, step from head to head."""
    return [x, x.stride(0), x.stride(1)]


def _packed(x: Tensor) -> Tensor:
    """The tensor with the places of a head side by side, and heads and tokens an even number of values apart."""
    return x if x.stride(2) == 1 and x.stride(0) % 2 == 0 and x.stride(1) % 2 == 0 else x.contiguous()


def _shape(q: Tensor, q_cu: Tensor, k_cu: Tensor, causal: bool, scale: float, dropout: float, key: Tensor) -> list[Any]:
    sizes = len(q_cu) - 1, q.shape[1], q.shape[2], int(causal)
    return [q_cu, k_cu, *sizes, float(scale), dropped_lanes(dropout), ctypes.c_uint64(int(key))]


@operator("attend_packed")
def attend_packed(
    q: Tensor, k: Tensor, v: Tensor, q_cu: Tensor, k_cu: Tensor, causal: bool, scale: float, dropout: float, key: Tensor
) -> tuple[Tensor, Tensor]:
    """Attention of (Tq, N, H) queries over (Tk, N, H) keys and values, sequence by sequence, all bfloat16.

    q_cu, k_cu: (B + 1,) int32 sequence bounds.  key: int64 scalar, which weights are dropped.
    Returns the output, with zeros in rows behind q_cu[-1], and the logarithm of each row's sum, (Tq, N) fp32.
    """
    q, k, v = _packed(q), _packed(k), _packed(v)
    out = torch.empty_like(q, memory_format=torch.contiguous_format)
    sums = q.new_empty(q.shape[:2], dtype=torch.float32)
    out[int(q_cu[-1]) :] = 0
    shape = _shape(q, q_cu, k_cu, causal, scale, dropout, key)
    call("attend_forward", *_side(q), *_side(k), *_side(v), out, sums, *shape)
    return out, sums


@attend_packed.register_fake
def _(
    q: Tensor, k: Tensor, v: Tensor, q_cu: Tensor, k_cu: Tensor, causal: bool, scale: float, dropout: float, key: Tensor
) -> tuple[Tensor, Tensor]:
    return torch.empty_like(q, memory_format=torch.contiguous_format), q.new_empty(q.shape[:2], dtype=torch.float32)


@operator("attend_packed_backward")
def _backward_op(
    grad: Tensor,
    q: Tensor,
    k: Tensor,
    v: Tensor,
    out: Tensor,
    sums: Tensor,
    q_cu: Tensor,
    k_cu: Tensor,
    causal: bool,
    scale: float,
    dropout: float,
    key: Tensor,
) -> tuple[Tensor, Tensor, Tensor]:
    grad, q, k, v = _packed(grad), _packed(q), _packed(k), _packed(v)
    dq, dk, dv = (torch.empty_like(x, memory_format=torch.contiguous_format) for x in (q, k, v))
    dq[int(q_cu[-1]) :] = 0
    dk[int(k_cu[-1]) :] = 0
    dv[int(k_cu[-1]) :] = 0
    sides = [*_side(q), *_side(k), *_side(v), *_side(grad)]
    shape = _shape(q, q_cu, k_cu, causal, scale, dropout, key)
    call("attend_backward", *sides, out, sums, dq, dk, dv, *shape)
    return dq, dk, dv


@_backward_op.register_fake
def _(
    grad: Tensor,
    q: Tensor,
    k: Tensor,
    v: Tensor,
    out: Tensor,
    sums: Tensor,
    q_cu: Tensor,
    k_cu: Tensor,
    causal: bool,
    scale: float,
    dropout: float,
    key: Tensor,
) -> tuple[Tensor, Tensor, Tensor]:
    dq, dk, dv = (torch.empty_like(x, memory_format=torch.contiguous_format) for x in (q, k, v))
    return dq, dk, dv


def _save(ctx: Any, inputs: tuple[Any, ...], output: tuple[Tensor, Tensor]) -> None:
    q, k, v, q_cu, k_cu, ctx.causal, ctx.scale, ctx.dropout, key = inputs
    out, sums = output
    ctx.mark_non_differentiable(sums)
    ctx.save_for_backward(q, k, v, out, sums, q_cu, k_cu, key)


def _backward(ctx: Any, grad: Tensor, _: Tensor | None) -> tuple[Tensor | None, ...]:
    q, k, v, out, sums, q_cu, k_cu, key = ctx.saved_tensors
    dq, dk, dv = _backward_op(grad, q, k, v, out, sums, q_cu, k_cu, ctx.causal, ctx.scale, ctx.dropout, key)
    return dq, dk, dv, None, None, None, None, None, None


attend_packed.register_autograd(_backward, setup_context=_save)
