"""How much memory a build may take, and what follows from it.

The numbers are measured: see docs/results.md.  A document is held whole, so one of 16 MB takes some 300 MB by itself.
"""

from __future__ import annotations

import re

from maskwright.errors import InputError

__all__ = ["SHARD_BYTES", "parse_size", "share_out"]

SHARD_BYTES = 16 << 20
_FIRST_PROCESS = 115 << 20
"""The program itself, its vocabulary and the chunks on their way."""
_PER_PROCESS = 100 << 20
"""A worker: the program, its vocabulary, the words it has met, a chunk."""
_SHARD_COPIES = 2
"""The tokens of a shard for each byte of its text, with room to grow."""

_UNITS = {"": 1, "K": 10**3, "M": 10**6, "G": 10**9, "T": 10**12, "KI": 2**10, "MI": 2**20, "GI": 2**30, "TI": 2**40}
_SIZE = re.compile(r"\s*(\d+(?:\.\d+)?)\s*([KMGT]I?)?B?\s*", re.IGNORECASE)


def parse_size(text: str | int) -> int:
    """Return a number of bytes: 512MB is 512 million, 512MiB is 2^20 times 512.  Raises InputError."""
    match = _SIZE.fullmatch(str(text))
    if match is None or not (size := int(float(match[1]) * _UNITS[(match[2] or "").upper()])):
        raise InputError(f"--memory {text!r} is no amount of memory. Write it like 512MB, 2GB or 2GiB.")
    return size


def share_out(memory: int | str | None, processes: int) -> tuple[int, int]:
    """Return (bytes of text in a shard, processes) that stay within ``memory``; None sets no bound.

    The size of a shard depends on ``memory`` alone, so that the bytes of a corpus do not depend on the processes.
    Raises InputError where not even one process fits.
    """
    if processes < 0:
        raise InputError(f"--processes {processes}: 1 or more, or 0 and 1 for none beside this one.")
    if memory is None:
        return SHARD_BYTES, processes
    size = parse_size(memory)
    shard = max(1 << 20, min(SHARD_BYTES, size // 16))
    left = size - _FIRST_PROCESS - _SHARD_COPIES * shard
    if left < _PER_PROCESS // 3:
        least = _FIRST_PROCESS + _SHARD_COPIES * shard + _PER_PROCESS // 3
        raise InputError(f"--memory {memory}: a build needs {-(-least // 10**6):,} MB.")
    fit = left // _PER_PROCESS
    return shard, processes if fit >= processes else int(fit) if fit >= 2 else min(1, processes)
