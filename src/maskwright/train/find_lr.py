"""The learning-rate finder: raise the rate from step to step on copies, and see where the loss falls fastest.

Smith 2017, section 3.3, https://arxiv.org/abs/1506.01186.  It shows from where on the loss falls and where training breaks.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

from maskwright import machine
from maskwright.config import TrainConfig
from maskwright.data.loader import Loader, Place
from maskwright.errors import TrainingError
from maskwright.model import Model
from maskwright.objective import Objective
from maskwright.train.calibrate import copies
from maskwright.train.optim import make_optimizer
from maskwright.train.step import backward, update

__all__ = ["RateSearch", "find_lr"]

LOW, HIGH = 1e-6, 1.0
_SMOOTH = 0.9
"""Share of the old value in the running mean of the loss."""
_BROKEN = 1.5
"""A running mean this many times the best one means that training has broken."""


@dataclass(frozen=True)
class RateSearch:
    """What the finder saw."""

    rates: list[float]
    losses: list[float]
    """Running mean of the loss, corrected for its beginning, at each rate."""
    broke: bool
    """Whether the loss rose far above its best before the highest rate."""

    @property
    def steepest(self) -> float:
        """The rate at which the loss falls fastest, per factor of rate."""
        last = max(2, self.losses.index(min(self.losses)))
        falls = [self.losses[at - 1] - self.losses[at] for at in range(1, last + 1)]
        width = max(1, len(falls) // 10)
        means = [sum(falls[max(0, at - width) : at + width + 1]) / (2 * width + 1) for at in range(len(falls))]
        return self.rates[1 + means.index(max(means))]

    @property
    def lowest(self) -> float:
        """The rate at which the loss was lowest: a step beyond it, training gets worse."""
        return self.rates[self.losses.index(min(self.losses))]


def find_lr(model: Model, objective: Objective, loader: Loader, train: TrainConfig, steps: int = 100) -> RateSearch:
    """Take ``steps`` steps on copies, each at a higher rate than the one before, from 1e-6 to 1.

    Ends early when the loss has risen far above its best or is not finite.  Nothing of the model changes.
    """
    rates: list[float] = []
    losses: list[float] = []
    mean = 0.0
    with copies(model, objective, train) as (trial, loss, whole):
        optimizer, parameters = make_optimizer(whole, train), list(whole.parameters())
        dtype = machine.precision(train.precision, model.device)
        for step, data in zip(range(steps), loader.steps(Place()), strict=False):
            rate = LOW * (HIGH / LOW) ** (step / max(1, steps - 1))
            try:
                taken = backward(trial, loss, data.batches, seed=train.seed, step=step, dtype=dtype)
                update(parameters, optimizer, data.batches, lr=rate, clip=train.clip, step=step)
            except TrainingError:
                return RateSearch(rates, losses, True)
            mean = _SMOOTH * mean + (1 - _SMOOTH) * taken.loss
            smooth = mean / (1 - _SMOOTH ** (step + 1))
            if not math.isfinite(smooth) or (losses and smooth > _BROKEN * min(losses)):
                return RateSearch(rates, losses, True)
            rates.append(rate)
            losses.append(smooth)
    return RateSearch(rates, losses, False)
