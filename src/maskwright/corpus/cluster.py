"""The same as corpus/engine.py, on Ray: a machine with many cores, or a cluster.  Source: https://docs.ray.io

Each chunk is a task; Ray starts a task again where a node is lost.  Results come back in order, so the bytes are the same.
"""

from __future__ import annotations

import logging
import os
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from typing import Any, TypeVar

from maskwright.errors import InputError, MissingExtra

__all__ = ["in_order"]

Item = TypeVar("Item")
Given = TypeVar("Given")
Result = TypeVar("Result")


def in_order(
    work: Callable[[Given], Result], items: Iterable[tuple[Item, Given]], processes: int
) -> Iterator[tuple[Item, Result]]:
    """Yield (item, work(given)) for each (item, given), in order.

    Uses the Ray that is running or that RAY_ADDRESS names; otherwise starts one here, with ``processes`` CPUs, and ends it.
    Raises InputError where Ray has fewer than two CPUs, MissingExtra without Ray.
    """
    os.environ.setdefault("RAY_USAGE_STATS_ENABLED", "0")
    os.environ.setdefault("RAY_ACCEL_ENV_VAR_OVERRIDE_ON_ZERO", "0")
    try:
        import ray
    except ImportError as error:
        raise MissingExtra("Ray", "ray", "--engine ray") from error
    ours = not ray.is_initialized()
    if ours:
        cpus_here = None if "RAY_ADDRESS" in os.environ else processes
        _need_cpus(processes if cpus_here is not None else 2)
        ray.init(num_cpus=cpus_here, include_dashboard=False, log_to_driver=False, logging_level=logging.ERROR)
    try:
        cpus = int(ray.cluster_resources().get("CPU", 0))  # type: ignore[no-untyped-call]
        _need_cpus(cpus)
        shared = ray.put(work)
        run = ray.remote(_run)
        waiting: deque[tuple[Item, Any]] = deque()
        for item, given in items:
            # In a list the reference is not unpacked for each task: a worker unpacks the work once, and keeps it.
            waiting.append((item, run.remote(shared.hex(), [shared], given)))
            if len(waiting) > cpus + 1:
                done, reference = waiting.popleft()
                yield done, ray.get(reference)
        while waiting:
            done, reference = waiting.popleft()
            yield done, ray.get(reference)
    except ray.exceptions.RayTaskError as error:
        raise error.cause from error
    finally:
        if ours:
            ray.shutdown()


def _need_cpus(cpus: int) -> None:
    if cpus < 2:
        raise InputError(
            f"--engine ray: Ray has {cpus} CPU here; with fewer than 2 it may wait for ever. "
            "Give it more (--processes 2, or a cluster in RAY_ADDRESS), or use --engine local."
        )


_kept: dict[str, Callable[[Any], Any]] = {}


def _run(name: str, shared: list[Any], given: Any) -> Any:
    if name not in _kept:
        import ray

        _kept.clear()
        _kept[name] = ray.get(shared[0])
    return _kept[name](given)
