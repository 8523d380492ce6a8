"""What else used the machine while something was measured."""

from __future__ import annotations

import os
import resource
import time
from typing import Any

import psutil

__all__ = ["BUSY", "STOLEN", "Watch", "disturbed"]

BUSY, STOLEN = 0.25, 0.02
"""Cores used by others, and the share of processor time that the host gave to others, from which a measurement is doubtful."""


class Watch:
    """From its making to ``facts()``: how many cores others used, what the host took away, how long the queue was."""

    def __init__(self) -> None:
        self._queue = _queue()
        self._whole, self._mine, self._began = psutil.cpu_times(), _mine(), time.monotonic()

    def facts(self) -> dict[str, Any]:
        """Return plain numbers; None for what this system does not tell.  Children must have been waited for."""
        then, seconds = psutil.cpu_times(), max(1e-9, time.monotonic() - self._began)
        used = sum(getattr(then, name) - getattr(self._whole, name) for name in ("user", "system"))
        used += getattr(then, "nice", 0.0) - getattr(self._whole, "nice", 0.0)
        stolen = None
        if hasattr(then, "steal"):
            cores = psutil.cpu_count() or 1
            stolen = round((then.steal - self._whole.steal) / seconds / cores, 4)
        others = max(0.0, (used - (_mine() - self._mine)) / seconds)
        return {"others": round(others, 3), "stolen": stolen, "queue": [self._queue, _queue()]}


def disturbed(facts: dict[str, Any]) -> bool:
    """Say whether what ran beside makes a measurement doubtful."""
    return facts["others"] > BUSY or (facts["stolen"] or 0.0) > STOLEN


def _mine() -> float:
    """Processor seconds of this process and of its children that have ended."""
    whose = (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN)
    return sum(used.ru_utime + used.ru_stime for used in map(resource.getrusage, whose))


def _queue() -> float | None:
    return round(os.getloadavg()[0], 2) if hasattr(os, "getloadavg") else None
