"""The shorter or smaller steps that a run may begin with."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

from maskwright.data.loader import Loader, Phase
from maskwright.data.plan import Budget
from maskwright.data.source import Source

__all__ = ["mean_size", "warmed_up"]

_EARLY = ((0.0, 4), (0.5, 2))
"""(share of the warm-up after which it holds, divisor of the full size)."""
SHORTEST = 16
"""Tokens of an example, special ones included."""


def mean_size(batch_warmup: float) -> float:
    """Return the mean size of a run's steps, as a share of the full one: each early stage is half of the warm-up."""
    return 1 - batch_warmup * (1 - sum(1 / divisor for _, divisor in _EARLY) / len(_EARLY))


def warmed_up(
    loader: Loader,
    steps: int,
    *,
    batch: float,
    length: float = 0.0,
    full_length: int = 0,
    least: int = 0,
    shorter: Callable[[int], Source] | None = None,
) -> Loader:
    """Return the loader with its warm-up phases: of the size of a step, and of the length of examples.

    batch, length: shares of ``steps``; least: tokens of the longest example, where a decoder's make it longer than
    ``full_length``; shorter: from a length to the source of examples of that length.
    """
    ends = sorted({round(warm * steps * end) for warm in (batch, length) if warm for end in (0.5, 1.0)} - {0})
    phases, begin = [], 0
    for end in ends:
        source, budget = loader.source, loader.budget
        if shorter is not None and (divisor := _divisor(begin, length * steps)) > 1:
            source = shorter(max(SHORTEST, full_length // divisor))
        if (divisor := _divisor(begin, batch * steps)) > 1:
            # A step must still hold the longest example.
            smallest = max(least, full_length) if budget.tokens else 1
            budget = Budget(
                *(None if n is None else max(smallest, n // divisor) for n in (budget.tokens, budget.examples))
            )
        phases.append(Phase(source, budget, end))
        begin = end
    return replace(loader, warmup=tuple(phases))


def _divisor(step: int, warm: float) -> int:
    """1 beyond the warm-up of ``warm`` steps; before, what a full size is divided by."""
    if step >= round(warm):
        return 1
    return next(divisor for begin, divisor in reversed(_EARLY) if step >= round(begin * warm))
