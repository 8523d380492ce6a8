"""What closes a post-norm sub-layer: LayerNorm(x + dropout(f)).

By the compiled kernel where x is fp32 and f bf16, as under autocast on a CPU that has it; by PyTorch's operators otherwise.
Both drop the same values for the same key.
"""

from __future__ import annotations

import ctypes
from typing import Any

import torch
from torch import Tensor, nn

from maskwright.native import call, here
from maskwright.nn.dropout import Dropout, dropped_lanes, next_key
from maskwright.nn.operators import operator

__all__ = ["add_norm"]


def add_norm(x_TD: Tensor, f_TD: Tensor, norm: nn.Module, dropout: Dropout) -> Tensor:
    """Return norm(x + dropout(f)), (T, D)."""
    rate = dropout.rate if dropout.training else 0.0
    if isinstance(norm, nn.LayerNorm) and _serves(x_TD, f_TD, norm):
        key = torch.tensor(next_key() if rate else 0)
        closed_TD: Tensor = add_norm_fused(x_TD, f_TD, norm.weight, norm.bias, norm.eps, rate, key)[0]
        return closed_TD
    out: Tensor = norm(x_TD + dropout(f_TD))
    return out


def _serves(x: Tensor, f: Tensor, norm: nn.LayerNorm) -> bool:
    types = x.dtype == norm.weight.dtype == torch.float32 and f.dtype == torch.bfloat16
    plain = types and x.device.type == "cpu" and norm.bias is not None and x.shape[-1] % 32 == 0
    return plain and x.is_contiguous() and here()


@operator("add_norm")
def add_norm_fused(
    x: Tensor, f: Tensor, weight: Tensor, bias: Tensor, eps: float, rate: float, key: Tensor
) -> tuple[Tensor, Tensor]:
    """(T, D) fp32 and (T, D) bf16 -> (T, D) fp32, and mean and 1 / deviation of each row, (T, 2)."""
    y, stats = torch.empty_like(x), x.new_empty(len(x), 2)
    call("add_norm_forward", x, f.contiguous(), weight, bias, y, stats, *x.shape, float(eps), *_drop(rate, key))
    return y, stats


def _drop(rate: float, key: Tensor) -> tuple[int, ctypes.c_uint64]:
    return dropped_lanes(rate), ctypes.c_uint64(int(key))


@add_norm_fused.register_fake
def _(
    x: Tensor, f: Tensor, weight: Tensor, bias: Tensor, eps: float, rate: float, key: Tensor
) -> tuple[Tensor, Tensor]:
    return torch.empty_like(x), x.new_empty(len(x), 2)


@operator("add_norm_backward")
def _backward_op(
    grad: Tensor, x: Tensor, f: Tensor, weight: Tensor, stats: Tensor, rate: float, key: Tensor
) -> tuple[Tensor, Tensor, Tensor]:
    dx, df, sums = (
        torch.empty_like(x),
        torch.empty_like(f, memory_format=torch.contiguous_format),
        x.new_empty(2, x.shape[1]),
    )
    call(
        "add_norm_backward",
        grad.contiguous(),
        x,
        f.contiguous(),
        weight,
        stats,
        dx,
        df,
        sums,
        *x.shape,
        *_drop(rate, key),
    )
    return dx, df, sums


@_backward_op.register_fake
def _(
    grad: Tensor, x: Tensor, f: Tensor, weight: Tensor, stats: Tensor, rate: float, key: Tensor
) -> tuple[Tensor, Tensor, Tensor]:
    return torch.empty_like(x), torch.empty_like(f, memory_format=torch.contiguous_format), x.new_empty(2, x.shape[1])


def _save(ctx: Any, inputs: tuple[Any, ...], output: tuple[Tensor, Tensor]) -> None:
    x, f, weight, _, _, ctx.rate, key = inputs
    ctx.mark_non_differentiable(output[1])
    ctx.save_for_backward(x, f, weight, output[1], key)


def _backward(ctx: Any, grad: Tensor, _: Tensor | None) -> tuple[Tensor | None, ...]:
    x, f, weight, stats, key = ctx.saved_tensors
    dx, df, sums = _backward_op(grad, x, f, weight, stats, ctx.rate, key)
    return dx, df, sums[0], sums[1], None, None, None


add_norm_fused.register_autograd(_backward, setup_context=_save)
