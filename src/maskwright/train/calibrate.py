"""How long a step takes, and how many fit a wall-clock budget: time a few on copies, then fix the number.

The number is fixed before the first real step, so the run itself does not depend on the clock and resumes bitwise.
"""

from __future__ import annotations

import copy
import statistics
import time
from collections.abc import Iterator
from contextlib import contextmanager

import torch

from maskwright import machine
from maskwright.config import TrainConfig
from maskwright.data.loader import Loader, Place
from maskwright.model import Model
from maskwright.nn.stack import keep_little
from maskwright.objective import Objective
from maskwright.train.optim import make_optimizer
from maskwright.train.step import backward, update
from maskwright.train.warmup import mean_size
from maskwright.train.world import ALONE, World

__all__ = ["copies", "step_times", "steps_in"]

_SHARE, _WARM, _MOST = 0.04, 3, 60
"""Of the budget spent on timing; steps not counted, for the kernels are prepared in them; steps timed at the most."""


@contextmanager
def copies(
    model: Model, objective: Objective, train: TrainConfig
) -> Iterator[tuple[Model, Objective, torch.nn.Module]]:
    """Yield copies to try things on, in training mode and keeping as much as the run will.

    The model, the objective, and both as one module.
    """
    machine.keep_buffers()
    trial, loss = copy.deepcopy((model, objective))
    whole = torch.nn.ModuleDict({"model": trial, "objective": loss})
    keep_little(whole, train.gradient_checkpointing)
    yield trial.train(), loss.train(), whole


def step_times(
    model: Model,
    objective: Objective,
    loader: Loader,
    train: TrainConfig,
    seconds: float,
    world: World = ALONE,
) -> list[float]:
    """Take steps on copies for about ``seconds`` and return how long each took, the first few left out."""
    with copies(model, objective, train) as (trial, loss, whole):
        optimizer, parameters = make_optimizer(whole, train), list(whole.parameters())
        dtype = machine.precision(train.precision, model.device)
        times: list[float] = []
        began = last = time.monotonic()
        for step, data in enumerate(loader.steps(Place())):
            backward(trial, loss, data.batches, seed=train.seed, step=step, dtype=dtype, world=world)
            update(parameters, optimizer, data.batches, lr=0.0, clip=train.clip, step=step)
            now = time.monotonic()
            times.append(now - last)
            last = now
            enough = len(times) >= _MOST or (len(times) > _WARM and now - began > seconds)
            if world.of_first(enough):
                break
    return times[_WARM:] or times


def steps_in(model: Model, objective: Objective, loader: Loader, train: TrainConfig, world: World = ALONE) -> int:
    """Return how many steps of this run fit ``train.minutes``, with a tenth kept for evaluation and saving."""
    assert train.minutes is not None
    began = time.monotonic()
    mean = statistics.mean(step_times(model, objective, loader, train, _SHARE * 60 * train.minutes, world))
    mean *= mean_size(train.batch_warmup)
    return max(1, int(0.9 * (60 * train.minutes - (time.monotonic() - began)) / mean))
