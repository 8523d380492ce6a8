"""Cross-entropy over a vocabulary, with the most probable entry of each row.

By the compiled kernel where scores are bf16 on a CPU that has it; by PyTorch's operators, in fp32, otherwise.
"""

from __future__ import annotations

from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor

from maskwright.native import call, here
from maskwright.nn.operators import operator

__all__ = ["IGNORED", "cross_entropy"]

IGNORED = -100
"""A label that makes a row count for nothing."""


def cross_entropy(scores_MV: Tensor, labels_M: Tensor) -> tuple[Tensor, Tensor]:
    """Return each row's loss, (M,) fp32, and its most probable entry, (M,) int64; IGNORED labels have loss 0."""
    if scores_MV.dtype == torch.bfloat16 and scores_MV.device.type == "cpu" and here():
        losses_M, _, best_M = cross_entropy_fused(scores_MV, labels_M)
        return losses_M, best_M
    scores_MV = scores_MV.float()
    # max, not argmax: on the CPU it is several times faster over a whole vocabulary.
    best_M = scores_MV.detach().max(-1).indices
    return F.cross_entropy(scores_MV, labels_M, reduction="none", ignore_index=IGNORED), best_M


@operator("cross_entropy")
def cross_entropy_fused(scores: Tensor, labels: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    """(M, V) bf16 scores and (M,) int64 labels -> losses (M,), logarithms of the rows' sums (M,), best entries (M,)."""
    _check(scores, labels)
    losses = scores.new_empty(len(scores), dtype=torch.float32)
    sums = torch.empty_like(losses)
    best = torch.empty_like(labels)
    call("cross_entropy_forward", scores.contiguous(), labels.contiguous(), losses, sums, best, *scores.shape)
    return losses, sums, best


def _check(scores: Tensor, labels: Tensor) -> None:
    valid = labels[labels != IGNORED]
    if len(valid) and not 0 <= int(valid.min()) <= int(valid.max()) < scores.shape[1]:
        raise IndexError(
            f"labels from {int(valid.min())} to {int(valid.max())}, and scores of {scores.shape[1]} entries"
        )


@cross_entropy_fused.register_fake
def _(scores: Tensor, labels: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    losses = scores.new_empty(len(scores), dtype=torch.float32)
    return losses, torch.empty_like(losses), torch.empty_like(labels)


@operator("cross_entropy_backward")
def _backward_op(scores: Tensor, labels: Tensor, sums: Tensor, grads: Tensor) -> Tensor:
    d_scores = torch.empty_like(scores, memory_format=torch.contiguous_format)
    arguments = scores.contiguous(), labels.contiguous(), sums, grads.contiguous(), d_scores
    call("cross_entropy_backward", *arguments, *scores.shape)
    return d_scores


@_backward_op.register_fake
def _(scores: Tensor, labels: Tensor, sums: Tensor, grads: Tensor) -> Tensor:
    return torch.empty_like(scores, memory_format=torch.contiguous_format)


def _save(ctx: Any, inputs: tuple[Any, ...], output: tuple[Tensor, Tensor, Tensor]) -> None:
    ctx.mark_non_differentiable(output[1], output[2])
    ctx.save_for_backward(*inputs, output[1])


def _backward(ctx: Any, grads: Tensor, *_: Tensor | None) -> tuple[Tensor | None, ...]:
    scores, labels, sums = ctx.saved_tensors
    return _backward_op(scores, labels, sums, grads), None


cross_entropy_fused.register_autograd(_backward, setup_context=_save)
