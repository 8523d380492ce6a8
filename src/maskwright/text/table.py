"""Numbers for 128-bit keys, many at once: 0, 1, 2 … in order of first appearance.

Open addressing with linear probing, all in numpy.  In memory, or in files without a name that are mapped: then the system
keeps what is used in its page cache, and nothing is left behind when the process ends, however it ends.
"""

from __future__ import annotations

import mmap
import os
import tempfile
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import DTypeLike, NDArray

__all__ = ["Table", "room", "scramble"]

_BLOCK = 1 << 18
"""Keys that are moved at once when a table grows."""


def scramble(words: NDArray[np.uint64]) -> NDArray[np.uint64]:
    """SplitMix64's finaliser (Steele et al. 2014), so that sums of hashes stay hashes and order counts."""
    words = (words ^ (words >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
    words = (words ^ (words >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
    return words ^ (words >> np.uint64(31))


def room(shape: tuple[int, ...], dtype: DTypeLike, folder: Path | None) -> NDArray[Any]:
    """Return zeros: in memory, or in a file of ``folder`` that has no name and is gone with the array."""
    if folder is None:
        return np.zeros(shape, dtype)
    size = max(1, int(np.prod(shape)) * np.dtype(dtype).itemsize)
    with tempfile.TemporaryFile(dir=folder) as file:
        file.truncate(size)
        if hasattr(os, "posix_fallocate"):  # a disk that fills up later would kill the process without a word
            os.posix_fallocate(file.fileno(), 0, size)
        return np.frombuffer(mmap.mmap(file.fileno(), size), dtype, int(np.prod(shape))).reshape(shape)


class Table:
    """Keys (N, 2) uint64 and their numbers.  ``len`` is how many different ones there are."""

    def __init__(self, folder: Path | None = None, slots: int = 1 << 14) -> None:
        self._folder, self._count = folder, 0
        self._make(slots)

    def __len__(self) -> int:
        return self._count

    def number(self, keys: NDArray[np.uint64]) -> NDArray[np.int64]:
        """Return the number of each key, (N,); those from the old ``len`` on are new, and are kept."""
        numbers = self._find(keys)
        missing = np.flatnonzero(numbers < 0)
        if len(missing):
            self._grow(len(missing))
            order = missing[np.lexsort((keys[missing, 1], keys[missing, 0]))]
            differs = np.append(True, (keys[order[1:]] != keys[order[:-1]]).any(axis=1))
            first = order[differs]  # lexsort is stable: of equal keys the first one stands first
            by_appearance = np.argsort(first)
            new = np.empty(len(first), np.int64)
            new[by_appearance] = np.arange(self._count, self._count + len(first))
            self._place(keys[first], new)
            numbers[order] = new[np.cumsum(differs) - 1]
            self._count += len(first)
        return numbers

    def _make(self, slots: int) -> None:
        self._mask = np.uint64(slots - 1)
        self._keys = room((slots, 2), np.uint64, self._folder)
        self._numbers = room(
            (slots,), np.uint32, self._folder
        )  # number + 1, so that an untouched file is an empty table

    def _home(self, keys: NDArray[np.uint64]) -> NDArray[np.int64]:
        return (
            (scramble(keys[:, 0]) ^ keys[:, 1]) * np.uint64(0x9E3779B97F4A7C15) >> np.uint64(20) & self._mask
        ).astype(np.int64)

    def _find(self, keys: NDArray[np.uint64]) -> NDArray[np.int64]:
        found = np.full(len(keys), -1, np.int64)
        slots, left = self._home(keys), np.arange(len(keys))
        while len(left):
            there = self._numbers[slots].astype(np.int64)
            same = (self._keys[slots, 0] == keys[left, 0]) & (self._keys[slots, 1] == keys[left, 1]) & (there > 0)
            found[left[same]] = there[same] - 1
            on = (there > 0) & ~same
            left, slots = left[on], (slots[on] + 1) & int(self._mask)
        return found

    def _place(self, keys: NDArray[np.uint64], numbers: NDArray[np.int64]) -> None:
        """Put in keys that differ from each other and from all there are."""
        slots, left = self._home(keys), np.arange(len(keys))
        while len(left):
            free = np.flatnonzero(self._numbers[slots] == 0)
            taken, winners = np.unique(slots[free], return_index=True)
            won = free[winners]
            self._keys[taken], self._numbers[taken] = keys[left[won]], numbers[left[won]] + 1
            on = np.ones(len(left), bool)
            on[won] = False
            left, slots = left[on], (slots[on] + 1) & int(self._mask)

    def _grow(self, more: int) -> None:
        slots = len(self._numbers)
        if 2 * (self._count + more) <= slots:
            return
        while 2 * (self._count + more) > slots:
            slots *= 2
        keys, numbers = self._keys, self._numbers
        self._make(slots)
        for begin in range(0, len(numbers), _BLOCK):
            used = numbers[begin : begin + _BLOCK] > 0
            self._place(keys[begin : begin + _BLOCK][used], numbers[begin : begin + _BLOCK][used] - 1)
