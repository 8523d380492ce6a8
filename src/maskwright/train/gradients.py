"""The gradient of each part of a loss by itself, for weights that are decided by it.

Costs a backward pass and a copy of the gradient for every part.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence

import torch
from torch import Tensor, nn

from maskwright.machine import widest
from maskwright.objective import Loss
from maskwright.train.world import World

__all__ = ["Gradients"]


class Gradients:
    """Gathers over micro-batches and processes; ``join`` gives the parameters their weighted sum."""

    def __init__(self, parts: Sequence[str], parameters: Sequence[nn.Parameter], counts: Mapping[str, int]) -> None:
        self._parameters = [p for p in parameters if p.requires_grad]
        self._counts = counts
        self._of: dict[str, list[Tensor | None]] = {name: [None] * len(self._parameters) for name in parts}

    def add(self, loss: Loss) -> None:
        """Take in the parts of one micro-batch, each divided by its count over the whole step."""
        for name, part in loss.items():
            mean = part.sum / max(1, self._counts[name])
            found = torch.autograd.grad(mean, self._parameters, retain_graph=True, allow_unused=True)
            self._of[name] = [
                mine if more is None else more if mine is None else mine + more
                for mine, more in zip(self._of[name], found, strict=True)
            ]

    def add_up(self, world: World, over: Collection[nn.Parameter]) -> dict[str, float]:
        """Add up over all processes; return each part's squared norm over the parameters ``over``."""
        chosen = {id(p) for p in over}
        norms = {}
        for name, gradient in self._of.items():
            for p, mine in zip(self._parameters, gradient, strict=True):
                p.grad = mine
            world.add_up(self._parameters)
            self._of[name] = [p.grad for p in self._parameters]
            counted = [p.grad for p in self._parameters if p.grad is not None and id(p) in chosen]
            norms[name] = float(sum(g.to(widest(g.device)).square().sum() for g in counted))
        return norms

    def join(self, weights: Mapping[str, float]) -> None:
        """Give each parameter the weighted sum of its gradients; none to one that had none."""
        for at, p in enumerate(self._parameters):
            terms = [weights[name] * g for name, found in self._of.items() if (g := found[at]) is not None]
            p.grad = torch.stack(terms).sum(0) if terms else None
