"""A stack of blocks."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor, nn
from torch.utils.checkpoint import checkpoint

from maskwright.nn.block import Beside, BlockSpec
from maskwright.nn.dropout import same_again
from maskwright.nn.layout import Layout, Read
from maskwright.nn.past import Past

__all__ = ["Stack", "StackSpec", "keep_little"]


@dataclass(frozen=True, kw_only=True)
class StackSpec:
    """How many blocks of which kind; behind pre-norm blocks stands one LayerNorm more."""

    layers: int
    block: BlockSpec

    @property
    def blocks(self) -> int:
        """How many blocks have weights of their own."""
        return self.layers

    @property
    def places(self) -> Sequence[dict[str, int]]:
        """One mapping a block that has weights: the numbers that its tensors' names are made of."""
        return [{"layer": layer} for layer in range(self.layers)]

    @property
    def order(self) -> Sequence[int]:
        """Which block computes each layer."""
        return range(self.layers)

    def block_at(self, layer: int) -> BlockSpec:
        """Return what the block of that number is."""
        return self.block

    def parameters(self) -> dict[str, tuple[str, int]]:
        """Part -> (closed form, count), over all layers."""
        layers = "layer" if self.blocks == 1 else "layers"
        parts = {
            part: (f"{self.blocks} {layers} × ({form})", self.blocks * count)
            for part, (form, count) in self.block.parameters().items()
        }
        if self.block.norm == "pre":
            norm = 2 if self.block.bias else 1
            parts["final LayerNorm"] = (f"{norm}·D", norm * self.block.width)
        return parts

    def multiplications(self, length: int) -> int:
        """Multiplications a token in the forward pass over a sequence of so many tokens."""
        return sum(self.block_at(block).multiplications(length) for block in self.order)

    def spared(self, length: int) -> int:
        """Multiplications of these that a token spares whose last state nobody asks for, where the last block narrows."""
        return self.block_at(self.order[-1]).spared(length)

    def build(self) -> Stack:
        """Return the module that this describes."""
        return Stack(self)


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
        self.blocks = nn.ModuleList(spec.block_at(block).build() for block in range(spec.blocks))
        self.order = tuple(spec.order)
        width, eps, bias = spec.block.width, spec.block.norm_eps, spec.block.bias
        self.norm: nn.Module = nn.LayerNorm(width, eps=eps, bias=bias) if spec.block.norm == "pre" else nn.Identity()

    def forward(
        self,
        x_TD: Tensor,
        positions_T: Tensor,
        layout: Layout,
        beside: Beside | None = None,
        past: Past | None = None,
        read: Read | None = None,
    ) -> list[Tensor]:
        """(T, D) -> what went in and what came out of each layer: layers + 1 tensors of (T, D).

        beside: an encoder's output, for blocks that look at one; past: what was kept of the tokens before these; read: the
        tokens whose last state is asked for, which may be all that the last tensor holds.
        """
        states, bias = [x_TD], self.bias(positions_T, layout, past)
        for layer, number in enumerate(self.order):
            block, kept = self.blocks[number], None if past is None else past.at(layer)
            asked = read if layer == len(self.order) - 1 and bias is None else None
            given = (states[-1], positions_T, layout, bias, beside, kept, asked)
            if self.recompute and self.training and torch.is_grad_enabled():
                states.append(checkpoint(block, *given, use_reentrant=False, context_fn=same_again))
            else:
                states.append(block(*given))
        states[-1] = self.norm(states[-1])
        return states

    def bias(self, positions_T: Tensor, layout: Layout, past: Past | None) -> Tensor | None:
        """What is added to the attention scores of every block; nothing but in architectures that override this."""
        return None


def keep_little(module: nn.Module, on: bool) -> None:
    """Switch gradient checkpointing for every stack in a module."""
    for each in module.modules():
        if isinstance(each, Stack):
            each.recompute = on
