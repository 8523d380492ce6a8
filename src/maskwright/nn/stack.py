"""A stack of blocks."""

from __future__ import annotations

from dataclasses import dataclass

from torch import Tensor, nn

from maskwright.nn.block import Block, BlockSpec
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
    """Blocks, one after the other."""

    def __init__(self, spec: StackSpec) -> None:
        super().__init__()
        self.blocks = nn.ModuleList(Block(spec.block) for _ in range(spec.layers))

    def forward(self, x_TD: Tensor, layout: Layout) -> list[Tensor]:
        """(T, D) -> what went in and what came out of each block: layers + 1 tensors of (T, D)."""
        states = [x_TD]
        for block in self.blocks:
            states.append(block(states[-1], layout))
        return states
