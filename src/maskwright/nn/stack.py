"""A stack of blocks."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor, nn
from torch.utils.checkpoint import checkpoint

from maskwright.nn.block import Block, BlockSpec
from maskwright.nn.dropout import same_again
from maskwright.nn.layout import Layout

__all__ = ["Stack", "StackSpec"]


@dataclass(frozen=True, kw_only=True)
class StackSpec:
    """How many blocks of which kind."""

    layers: int
    block: BlockSpec

    def parameters(self) -> dict[str, tuple[str, int]]:
        """Part -> (closed form, count), over all layers."""
        return {
            part: (f"{self.layers} layers × ({form})", self.layers * count)
            for part, (form, count) in self.block.parameters().items()
        }


class Stack(nn.Module):
    """Blocks, one after the other.

    Attributes:
        recompute: whether training keeps only what goes into a block and computes the rest again for the backward pass
            (gradient checkpointing, Chen et al. 2016, https://arxiv.org/abs/1604.06174): the same bits, about a third more
            time, and memory for one block instead of all.
    """

    def __init__(self, spec: StackSpec) -> None:
        super().__init__()
        self.recompute = False
        self.blocks = nn.ModuleList(Block(spec.block) for _ in range(spec.layers))

    def forward(self, x_TD: Tensor, layout: Layout) -> list[Tensor]:
        """(T, D) -> what went in and what came out of each block: layers + 1 tensors of (T, D)."""
        states = [x_TD]
        for block in self.blocks:
            if self.recompute and self.training and torch.is_grad_enabled():
                states.append(checkpoint(block, states[-1], layout, use_reentrant=False, context_fn=same_again))
            else:
                states.append(block(states[-1], layout))
        return states
