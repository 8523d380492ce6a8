"""How many steps fit a wall-clock budget: time a few on copies, then fix the number.

The number is fixed before the first real step, so the run itself does not depend on the clock and resumes bitwise.
"""

from __future__ import annotations

import copy
import statistics
import time

import torch

from maskwright import machine
from maskwright.config import TrainConfig
from maskwright.data.loader import Loader, Place
from maskwright.model import Model
from maskwright.objective import Objective
from maskwright.train.optim import make_optimizer
from maskwright.train.step import backward, update

__all__ = ["steps_in"]

_SHARE, _WARM, _MOST = 0.04, 3, 60
"""Of the budget spent on timing; steps not counted, for the kernels are prepared in them; steps timed at the most."""


def steps_in(model: Model, objective: Objective, loader: Loader, train: TrainConfig) -> int:
    """Return how many steps of this run fit ``train.minutes``, with a tenth kept for evaluation and saving."""
    assert train.minutes is not None
    machine.keep_buffers()
    pair = copy.deepcopy((model, objective))
    trial, loss = pair[0].train(), pair[1].train()

    whole = torch.nn.ModuleDict({"model": trial, "objective": loss})
    optimizer, parameters = make_optimizer(whole, train), list(whole.parameters())
    dtype = machine.precision(train.precision, model.device)
    times: list[float] = []
    began = last = time.monotonic()
    for step, data in enumerate(loader.steps(Place(0, 0))):
        backward(trial, loss, data.batches, seed=train.seed, step=step, dtype=dtype)
        update(parameters, optimizer, data.batches, lr=0.0, clip=train.clip, step=step)
        now = time.monotonic()
        times.append(now - last)
        last = now
        if len(times) >= _MOST or (len(times) > _WARM and now - began > _SHARE * 60 * train.minutes):
            break
    mean = statistics.mean(times[_WARM:] or times)
    return max(1, int(0.9 * (60 * train.minutes - (last - began)) / mean))
