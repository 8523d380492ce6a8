"""The machine a run is on: what it is, what is fast there, and whether somebody else is using it."""

from __future__ import annotations

import ctypes
import gc
import os
import platform
import resource
import time
from collections.abc import Iterator
from contextlib import contextmanager, nullcontext
from contextvars import ContextVar
from functools import lru_cache
from pathlib import Path
from typing import Any

import psutil
import torch

from maskwright.errors import ConfigError, did_you_mean

__all__ = [
    "PRECISIONS",
    "autocast",
    "busy",
    "choice",
    "describe",
    "device",
    "frozen_garbage",
    "instruction_sets",
    "keep_buffers",
    "peak",
    "peak_memory",
    "precision",
    "products",
    "seeded",
    "widest",
]

_WANTED = ("avx2", "avx512f", "avx512_bf16", "amx_bf16", "avx512_vnni", "amx_int8", "neon", "sve", "bf16")


@lru_cache(maxsize=1)
def instruction_sets() -> tuple[str, ...]:
    """Return the instruction sets that matter here, of those the processor says it has."""
    try:
        text = Path("/proc/cpuinfo").read_text("utf-8", "replace")
    except OSError:
        return ()
    line = next((x for x in text.splitlines() if x.lower().startswith(("flags", "features"))), "")
    flags = set(line.partition(":")[2].split())
    return tuple(name for name in _WANTED if name in flags)


def device() -> torch.device:
    """Return where to compute: what MASKWRIGHT_DEVICE names, else the first CUDA device, else Apple's GPU, else the CPU.

    ConfigError where the named one is not there.
    """
    there = [
        name
        for name, is_there in (("cuda", torch.cuda.is_available), ("mps", torch.backends.mps.is_available))
        if is_there()
    ]
    named = os.environ.get("MASKWRIGHT_DEVICE", "")
    if named not in ("", "cpu", *there):
        raise ConfigError(
            f"MASKWRIGHT_DEVICE is {named!r}, and this machine has {', '.join([*there, 'cpu'])}; name one of these"
        )
    return torch.device(named or [*there, "cpu"][0])


PRECISIONS = {"fp32": torch.float32, "bf16": torch.bfloat16, "int8": torch.int8}


def precision(wanted: str, where: torch.device) -> torch.dtype:
    """Return the dtype of matrix products: bf16 where the machine has instructions for it, unless told otherwise.

    ConfigError for a name that is neither auto nor one of ``PRECISIONS``, and for int8 elsewhere than on a CPU.
    """
    if wanted != "auto" and wanted not in PRECISIONS:
        names = ("auto", *PRECISIONS)
        raise ConfigError(f"no precision {wanted!r}.{did_you_mean(wanted, names)} Known: {', '.join(names)}")
    if wanted == "int8" and where.type != "cpu":
        raise ConfigError(f"precision int8 is for CPUs, and this model is on {where.type}: take bf16")
    if wanted != "auto":
        return PRECISIONS[wanted]
    if where.type == "cuda":
        return torch.bfloat16 if torch.cuda.is_bf16_supported() else torch.float32
    fast = where.type == "cpu" and {"amx_bf16", "avx512_bf16"} & set(instruction_sets())
    return torch.bfloat16 if fast else torch.float32


def widest(where: torch.device) -> torch.dtype:
    """Return the floating-point dtype with most digits: float64, but on Apple's GPU, which has none."""
    return torch.float32 if where.type == "mps" else torch.float64


def choice(where: torch.device, dtype: torch.dtype, wanted: str = "auto") -> str:
    """Say in one line what a run computes on and in, why, and how to name something else."""
    name = "bf16" if dtype == torch.bfloat16 else "fp32"
    sets = instruction_sets()
    if wanted != "auto":
        why = "as asked for"
    elif where.type == "cpu":
        fast = next((_BY_NAME[each] for each in _BY_NAME if each in sets), "")
        why = f"it has {fast}" if fast else "it has no instructions for bf16"
    else:
        why = "fast on this GPU" if name == "bf16" else "bf16 is not known to be fast here"
    what = f"the CPU, {torch.get_num_threads()} threads" if where.type == "cpu" else _gpu(where)
    return (
        f"on {what}; matrix products in {name}: {why}  (others: MASKWRIGHT_DEVICE, OMP_NUM_THREADS, --train.precision)"
    )


_BY_NAME = {"amx_bf16": "AMX bf16 tiles", "avx512_bf16": "AVX-512 bf16 dot products"}


def _gpu(where: torch.device) -> str:
    return torch.cuda.get_device_name(0) if where.type == "cuda" else "Apple's GPU"


_whole: ContextVar[bool] = ContextVar("whole", default=False)


def autocast(where: torch.device, dtype: torch.dtype) -> Any:
    """Return the context in which matrix products run in ``dtype``; int8 is for blocks that serve, and bf16 for all else."""
    return nullcontext() if dtype == torch.float32 else _autocast(where, dtype)


@contextmanager
def _autocast(where: torch.device, dtype: torch.dtype) -> Iterator[None]:
    before = _whole.set(dtype == torch.int8)
    try:
        with torch.autocast(where.type, torch.bfloat16 if dtype == torch.int8 else dtype):
            yield
    finally:
        _whole.reset(before)


def products() -> torch.dtype:
    """Return what matrix products run in on the CPU here: fp32, or as the innermost ``autocast`` says."""
    if not torch.is_autocast_enabled("cpu"):
        return torch.float32
    return torch.int8 if _whole.get() else torch.get_autocast_dtype("cpu")


@lru_cache(maxsize=1)
def keep_buffers() -> None:
    """Tell glibc to keep large freed buffers.

    By default each buffer over 32 MB is mapped from the kernel and given back at every step, and its pages are cleared anew
    each time; that can cost a third of a CPU training step.  Does nothing where there is no glibc.
    """
    try:
        mallopt = ctypes.CDLL(None).mallopt
    except (AttributeError, OSError):
        return
    trim_threshold, top_pad, mmap_max = -1, -2, -4  # M_TRIM_THRESHOLD, M_TOP_PAD, M_MMAP_MAX of malloc.h
    # Not M_MMAP_THRESHOLD: glibc ignores values over 32 MB for it, and the buffers that matter are larger.
    mallopt(mmap_max, 0)
    mallopt(trim_threshold, (1 << 31) - 1)
    mallopt(top_pad, 64 << 20)


def busy() -> str | None:
    """Return a warning when other programs are using the cores, else None.

    Two programs with OpenMP threads on the same cores slow each other many times over, for each spins while it waits.
    """
    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else (os.cpu_count() or 1)
    mine = psutil.Process()
    before, whole = mine.cpu_times(), psutil.cpu_times()
    psutil.cpu_percent(0.3)
    after, then = mine.cpu_times(), psutil.cpu_times()
    used = (then.user + then.system + then.nice) - (whole.user + whole.system + whole.nice)
    others = used - (after.user + after.system - before.user - before.system)
    share = others / 0.3
    if share < 0.5:
        return None
    return (
        f"other programs are using {share:.1f} of {cores} cores. Training beside them can be many times slower: "
        "wait for them, or give this run fewer threads with OMP_NUM_THREADS"
    )


def describe() -> dict[str, Any]:
    """Return the machine as plain numbers and names, for the log and for ``doctor``."""
    where = device()
    facts: dict[str, Any] = {
        "processor": platform.processor() or platform.machine(),
        "cores": len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count(),
        "threads": torch.get_num_threads(),
        "instruction sets": ", ".join(instruction_sets()) or "unknown",
        "memory": f"{psutil.virtual_memory().total / 2**30:.1f} GiB",
        "device": where.type,
        "precision (auto)": str(precision("auto", where)).removeprefix("torch."),
        "system": f"{platform.system()} {platform.release()}",
        "python": platform.python_version(),
        "torch": torch.__version__,
    }
    if where.type == "cuda":
        facts["gpu"] = torch.cuda.get_device_name(0)
    return facts


def peak_memory(where: torch.device) -> int:
    """Return the most bytes that this process has had at once: of a CUDA device's memory, else resident ones."""
    if where.type == "cuda":
        return torch.cuda.max_memory_reserved(where)
    try:
        # What getrusage says on Linux may be the peak of the program that started this one.
        lines = Path("/proc/self/status").read_text("utf-8").splitlines()
        return next(1024 * int(line.split()[1]) for line in lines if line.startswith("VmHWM:"))
    except (OSError, StopIteration):
        return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss  # on macOS in bytes


_PRODUCTS = ((2048, 768, 3072), (4096, 1024, 1024), (2048, 2048, 2048))
"""Rows, inner and columns of matrix products as encoders have them."""
_LARGE = (8192, 8192, 8192)
"""One that fills a GPU."""


def peak(dtype: torch.dtype, where: torch.device, seconds: float = 0.5) -> float:
    """Return the operations a second of the fastest of a few matrix products, each timed for so many seconds."""
    best = 0.0
    for rows, inner, columns in _PRODUCTS if where.type == "cpu" else (*_PRODUCTS, _LARGE):
        a, b = (torch.randn(shape, device=where).to(dtype) for shape in ((rows, inner), (inner, columns)))
        (a @ b).sum().item()  # prepares the kernel
        began, times = time.perf_counter(), 0
        while time.perf_counter() - began < seconds:
            for _ in range(4):
                out = a @ b
            out[0, 0].item()  # waits for a device that works by itself
            times += 4
        took = time.perf_counter() - began
        best = max(best, 2.0 * rows * inner * columns * times / took)
    return best


@contextmanager
def seeded(seed: int) -> Iterator[None]:
    """Draw from torch's generator as if it had just been seeded, and leave it as it was."""
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        yield


@contextmanager
def frozen_garbage() -> Iterator[None]:
    """Let the garbage collector leave alone, inside, what was there before: libraries and models are no garbage.

    Looking at them again and again takes some hundredths of the time of a small step.
    """
    gc.collect()
    gc.freeze()
    try:
        yield
    finally:
        gc.unfreeze()
