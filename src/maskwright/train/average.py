"""An exponential average of the weights, which evaluates better than the last step's where the rate is still high.

Polyak & Juditsky 1992; as ``avg += (1 - d) (w - avg)`` with d = min(decay, (1 + t) / (10 + t)) at step t, so that the first
steps' weights are soon forgotten.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager

import torch
from torch import Tensor, nn

__all__ = ["Average"]


class Average:
    """The average of some parameters, beside them."""

    def __init__(self, parameters: Sequence[nn.Parameter], decay: float) -> None:
        self._parameters, self._decay = list(parameters), decay
        self._values = [p.detach().clone() for p in parameters]

    @torch.no_grad()
    def take(self, step: int) -> None:
        """Take in the weights after step ``step`` (from 0)."""
        decay = min(self._decay, (1 + step) / (10 + step))
        torch._foreach_lerp_(self._values, [p.detach() for p in self._parameters], 1 - decay)

    @contextmanager
    def in_place(self) -> Iterator[None]:
        """Let the parameters be the average inside."""
        self.swap()
        try:
            yield
        finally:
            self.swap()

    @torch.no_grad()
    def swap(self) -> None:
        """Exchange the parameters and the average."""
        for p, value in zip(self._parameters, self._values, strict=True):
            kept = p.detach().clone()
            p.copy_(value)
            value.copy_(kept)

    def state(self) -> dict[str, Tensor]:
        """Return the average as named tensors."""
        return {str(number): value for number, value in enumerate(self._values)}

    def load(self, state: Mapping[str, Tensor]) -> None:
        """Put a state back."""
        for number, value in enumerate(self._values):
            value.copy_(state[str(number)])
