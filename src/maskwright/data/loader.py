"""Batches of any step of a run, in order, made here or in worker processes: the same ones either way."""

from __future__ import annotations

import logging
from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import NamedTuple

import torch
from torch.utils.data import DataLoader, Dataset

from maskwright.data.batch import Batch, Collator
from maskwright.data.plan import Budget, Plan
from maskwright.data.source import Source
from maskwright.errors import InputError
from maskwright.keys import Key

__all__ = ["Loader", "Phase", "Place", "StepData"]

_log = logging.getLogger(__name__)


class Place(NamedTuple):
    """Where a run is in its data: the next step to take."""

    epoch: int = 0
    step: int = 0
    """Of the epoch."""
    taken: int = 0
    """Steps of the whole run before it."""


@dataclass(frozen=True)
class Phase:
    """The steps of a warm-up, whose examples are shorter or fewer."""

    source: Source
    budget: Budget
    until: int
    """The first step of the run that is beyond it."""


class StepData(NamedTuple):
    """One optimiser step's share for this rank."""

    place: Place
    """Of this step."""
    next: Place
    """Of the step after it."""
    batches: list[Batch]
    """Micro-batches."""


@dataclass(frozen=True)
class _Steps(Dataset[list[Batch]]):
    """The steps of one epoch by number.  Travels to loader workers."""

    source: Source
    plan: Plan
    collator: Collator
    key: Key
    rank: int
    world: int
    longest: int | None

    def __len__(self) -> int:
        return self.plan.steps

    def __getitem__(self, step: int) -> list[Batch]:
        micros = self.plan.pieces(step, self.world, self.longest)[self.rank]
        return [
            self.collator([self.source.sample(self.plan, int(n)) for n in numbers], self.key)
            for numbers in micros
            if len(numbers)
        ]


@dataclass(frozen=True)
class Loader:
    """An endless run of steps over epochs of a source."""

    source: Source
    collator: Collator
    budget: Budget
    seed: int
    workers: int = 0
    """Processes that make batches ahead of time; 0 makes them here."""
    micro_tokens: int | None = None
    """Longest micro-batch; a step that is larger is accumulated."""
    rank: int = 0
    world: int = 1
    plans: Path | None = None
    """Folder in which plans are kept, so that a resume need not make them again."""
    warmup: tuple[Phase, ...] = ()
    """What is seen before ``source`` and ``budget``, in order.  Each phase begins an epoch of its own."""

    def plan(self, epoch: int, taken: int = 0) -> Plan:
        """Return the plan of an epoch that begins after ``taken`` steps, from the folder when the same one is there."""
        source, budget, until = self._phase(taken)
        if self.plans is None:
            return self._made(source, budget, epoch)
        # A warm-up's first epoch has the number of the full one that estimates go by.
        path = self.plans / f"{'epoch' if until is None else 'warmup'}-{epoch:04}.arrow"
        made_for = f"{source.identity()} {budget} {Key(self.seed, epoch)}"
        if path.exists():
            try:
                return Plan.load(path, made_for)
            except InputError as error:
                _log.warning("made a plan anew: %s", error)
        self._made(source, budget, epoch).save(path, made_for)
        return Plan.load(path, made_for)

    def full_plan(self) -> Plan:
        """Return the plan of one epoch without warm-up."""
        return replace(self, warmup=()).plan(0)

    def _made(self, source: Source, budget: Budget, epoch: int) -> Plan:
        plan = source.plan(budget, Key(self.seed, epoch))
        if plan.steps == 0:
            raise InputError("there is nothing to train on: the data gives no example at this length")
        return plan

    def _phase(self, taken: int) -> tuple[Source, Budget, int | None]:
        """Return what is seen after ``taken`` steps, and until which step."""
        for phase in self.warmup:
            if taken < phase.until:
                return phase.source, phase.budget, phase.until
        return self.source, self.budget, None

    def steps(self, start: Place) -> Iterator[StepData]:
        """Yield steps from ``start`` on, for ever."""
        place = start
        while True:
            epoch, first, taken = place
            source, _, until = self._phase(taken)
            plan = self.plan(epoch, taken)
            steps = _Steps(
                source,
                plan,
                self.collator,
                Key(self.seed, epoch),
                self.rank,
                self.world,
                self.micro_tokens,
            )
            end = plan.steps if until is None else min(plan.steps, first + until - taken)
            numbers = range(first, end)
            for number, batches in zip(numbers, self._make(steps, numbers), strict=True):
                here = Place(epoch, number, taken + number - first)
                last = number + 1 == end
                place = Place(epoch + 1, 0, here.taken + 1) if last else Place(epoch, number + 1, here.taken + 1)
                yield StepData(here, place, batches)

    def _make(self, steps: _Steps, numbers: range) -> Iterator[list[Batch]]:
        if self.workers == 0:
            return (steps[number] for number in numbers)
        return iter(
            DataLoader(
                steps,
                sampler=list(numbers),
                batch_size=None,
                num_workers=self.workers,
                worker_init_fn=_quiet,
                prefetch_factor=4,
            )
        )


def _quiet(worker: int) -> None:
    """Leave the cores to the training process; Ctrl-C and SIGTERM, which a batch system sends to all, are its business."""
    import signal

    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, signal.SIG_IGN)
    torch.set_num_threads(1)
