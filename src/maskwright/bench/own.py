"""What our sides of training share: the loop itself under a clock, and what proves that the work is the same."""

from __future__ import annotations

import copy
import hashlib
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, cast

import numpy as np
import torch

from maskwright import machine
from maskwright.bench.peer import CHECKED, RATE
from maskwright.bench.worker import Clock
from maskwright.config import TrainConfig
from maskwright.data.batch import Batch
from maskwright.data.loader import Loader, Place, StepData
from maskwright.keys import Key
from maskwright.model import Model
from maskwright.objective import Objective
from maskwright.train.loop import Run
from maskwright.train.optim import make_optimizer
from maskwright.train.step import backward, update

__all__ = ["check_of", "digest", "losses_of", "timed_run"]


def digest(rows: Iterable[Iterable[int]]) -> str:
    """Return a digest of token ids, row by row."""
    found = hashlib.sha256()
    for row in rows:
        found.update(np.asarray(list(row), dtype=np.int64).tobytes() + b"|")
    return found.hexdigest()


def check_of(model: Model, objective: Objective, loader: Loader, train: TrainConfig) -> dict[str, Any]:
    """Return the digest of all examples' ids, and losses on the first rows as two updates go."""
    source, key = loader.source, Key(0)
    plan = loader.plan(0)
    samples = [source.sample(plan, n) for n in range(len(plan.order))]
    batch = loader.collator(samples[:CHECKED], key)
    return {"ids": digest(sample.ids for sample in samples), "losses": losses_of(model, objective, batch, train)}


def losses_of(model: Model, objective: Objective, batch: Batch, train: TrainConfig) -> list[float]:
    """Return the loss of a batch before and after each of two updates, without dropout; the model is left as it was."""
    trial, loss = copy.deepcopy((model.eval(), objective.eval()))
    whole = torch.nn.ModuleDict({"model": trial, "objective": loss})
    optimizer, dtype, found = make_optimizer(whole, train), machine.precision(train.precision, model.device), []
    for step in range(3):
        found.append(backward(trial, loss, [batch], seed=0, step=step, dtype=dtype).loss)
        update(list(whole.parameters()), optimizer, [batch], lr=RATE, clip=1.0, step=step)
    return found


@dataclass
class _Timed:
    """A loader of one epoch that tells a clock how far the loop is, and ends when the clock says so."""

    loader: Loader
    clock: Clock | None = None

    def steps(self, start: Place) -> Iterator[StepData]:
        assert self.clock is not None
        for data in self.loader.steps(start):
            yield data
            if not self.clock.lap(sum(batch.tokens for batch in data.batches)) or data.next.epoch > 0:
                return


def timed_run(
    model: Model, objective: Objective, loader: Loader, train: TrainConfig, folder: Path
) -> Callable[[Clock], None]:
    """Return a training of at most an epoch; nothing is evaluated or saved, as in the loops beside it."""
    never = 1_000_000_000
    settings = train.model_copy(update={"save_every": never, "evaluate_every": never})
    timed = _Timed(loader)
    # One step more than there are: the loop would save behind the last one.
    whole = Run(model, objective, cast(Loader, timed), settings, folder, loader.plan(0).steps + 1, {})

    def run(clock: Clock) -> None:
        timed.clock = clock
        whole.train()

    return run
