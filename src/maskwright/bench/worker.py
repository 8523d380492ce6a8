"""One side of one case, in a process of its own: ``python -m maskwright.bench.worker JOB.json``.

A fresh process a measurement: no side meets another's allocator, threads or caches, and each meets its shapes for the first
time.  The answer is written to the file that the job names.
"""

from __future__ import annotations

import importlib
import json
import statistics
import sys
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

__all__ = ["Clock", "Job", "Ready", "main"]


@dataclass
class Clock:
    """Laps, each with the amount of work done in it."""

    seconds: float
    """Measured at least, unless the work ends before."""
    least: int
    """Laps measured at least."""
    warm: int = 0
    """Laps before those: taken, and not measured."""
    laps: list[tuple[float, float]] = field(default_factory=list)
    """(seconds, amount)"""
    _last: float = 0.0
    _total: float = 0.0

    def start(self) -> None:
        """Begin the first lap."""
        self._last = time.perf_counter()

    def lap(self, amount: float) -> bool:
        """End a lap; say whether to go on."""
        now = time.perf_counter()
        return self.took(now - self._last, amount, now)

    def took(self, seconds: float, amount: float, now: float | None = None) -> bool:
        """Enter a lap that was timed by other means; say whether to go on."""
        self._last = time.perf_counter() if now is None else now
        if self.warm:
            self.warm -= 1
            return True
        self.laps.append((seconds, amount))
        self._total += seconds
        return len(self.laps) < self.least or self._total < self.seconds

    def facts(self) -> dict[str, float]:
        """Return what a result is made of."""
        return {
            "seconds": self._total,
            "amount": sum(amount for _, amount in self.laps),
            "laps": len(self.laps),
            "median_lap": statistics.median(seconds for seconds, _ in self.laps),
        }


@dataclass(frozen=True)
class Job:
    """What a side is told."""

    case: str
    texts: Path
    """File of the texts, or of the blocks."""
    network: Path
    """Model folder."""
    length: int
    batch: int
    out: Path
    """File for vectors, where the case has them."""
    kept: Path
    """Folder for what is dear to make and the same every time."""

    @classmethod
    def of(cls, values: Mapping[str, Any]) -> Job:
        """Read it from plain values."""
        paths = {name: Path(values[name]) for name in ("texts", "network", "out", "kept")}
        return cls(**{**values, **paths})

    def rows(self) -> list[tuple[str, ...]]:
        """Read the texts."""
        return [tuple(row) for row in json.loads(self.texts.read_text("utf-8"))]


@dataclass(frozen=True)
class Ready:
    """A side that is prepared."""

    run: Callable[[Clock], None]
    """What is timed."""
    check: Mapping[str, Any] = field(default_factory=dict)
    """By which equal work is told: ``ids`` (a digest), ``losses`` (of an update or two on fixed rows)."""


def main(path: Path) -> None:
    """Do a job and write its answer."""
    told = json.loads(path.read_text("utf-8"))
    if told["threads"]:
        import torch

        torch.set_num_threads(told["threads"])
    module, _, name = told["make"].partition(":")
    make = getattr(importlib.import_module(f"maskwright.bench.{module}"), name)
    ready = make(Job.of(told["job"]))
    clock = Clock(told["seconds"], told["least"], told["warm"])
    clock.start()
    ready.run(clock)
    answer = {**clock.facts(), "check": dict(ready.check)}
    Path(told["answer"]).write_text(json.dumps(answer), "utf-8")


if __name__ == "__main__":
    main(Path(sys.argv[1]))
