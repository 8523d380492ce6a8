"""The most that matrix products of this machine give, in bf16 and in fp32: what shares are of."""

from __future__ import annotations

import time

import torch

from maskwright import machine
from maskwright.bench.worker import Clock, Job, Ready

__all__ = ["products"]


def products(job: Job) -> Ready:
    """Measure; the result is in the check, for there are two of them."""
    where = machine.device()
    found = {name: machine.peak(dtype, where) for name, dtype in (("bf16", torch.bfloat16), ("fp32", torch.float32))}
    auto = machine.precision("auto", where)
    ours = "bf16" if auto == torch.bfloat16 else "fp32"
    return Ready(lambda clock: _noted(clock, found[ours]), {**found, "ours": ours})


def _noted(clock: Clock, flops: float) -> None:
    clock.took(1.0, flops, time.perf_counter())
