"""N arrays end to end, and small numbers as bytes: rows of a corpus on their way between processes and to the disk.

Plain numpy: a process that only prepares documents needs no Arrow, which takes some 30 MB.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import DTypeLike, NDArray

__all__ = ["Lists", "Pile", "Rows", "count_numbers", "in_bytes", "numbers_by", "only", "running_sums"]

_MORE = 255
"""A byte that is not the last one of its number."""


@dataclass(frozen=True)
class Lists:
    """N arrays of one dtype."""

    flat: NDArray[Any]
    ends: NDArray[np.int64]
    """(N,) array k is ``flat[ends[k - 1]:ends[k]]``."""

    def __len__(self) -> int:
        return len(self.ends)

    def __getitem__(self, number: int) -> NDArray[Any]:
        return self.flat[self.ends[number - 1] if number else 0 : self.ends[number]]

    def __iter__(self) -> Iterator[NDArray[Any]]:
        return (self[number] for number in range(len(self)))

    @property
    def lengths(self) -> NDArray[np.int64]:
        """(N,)."""
        return np.diff(self.ends, prepend=0)

    @classmethod
    def of(cls, arrays: Sequence[NDArray[Any]], dtype: DTypeLike) -> Lists:
        """Lay arrays end to end."""
        flat = np.concatenate(arrays) if arrays else np.empty(0, dtype)
        return cls(flat, np.cumsum([len(each) for each in arrays], dtype=np.int64))

    @classmethod
    def of_bytes(cls, contents: Sequence[bytes]) -> Lists:
        """Lay contents end to end, as uint8."""
        ends = np.cumsum([len(each) for each in contents], dtype=np.int64)
        return cls(np.frombuffer(b"".join(contents), np.uint8), ends)

    def only(self, kept_N: NDArray[np.bool_]) -> Lists:
        """Return some of them."""
        lengths = self.lengths
        return Lists(self.flat[np.repeat(kept_N, lengths)], np.cumsum(lengths[kept_N]))


Rows = Mapping[str, Lists]
"""Name of a column → its N values."""


def only(rows: Rows, kept_N: NDArray[np.bool_]) -> Rows:
    """Return some of the rows."""
    return {name: lists.only(kept_N) for name, lists in rows.items()}


class Pile:
    """Lists that grow.  What ``take`` returned is overwritten by the next ``add``."""

    def __init__(self, dtype: DTypeLike) -> None:
        self._room = np.empty(1 << 16, dtype)
        self._count = 0
        self._ends: list[NDArray[np.int64]] = []

    def add(self, lists: Lists) -> None:
        """Put some behind the others."""
        begin, self._count = self._count, self._count + len(lists.flat)
        if self._count > len(self._room):
            larger = np.empty(max(self._count, 2 * len(self._room)), self._room.dtype)
            larger[:begin] = self._room[:begin]
            self._room = larger
        self._room[begin : self._count] = lists.flat
        self._ends.append(begin + lists.ends)

    def take(self) -> Lists:
        """Return all of them, and begin anew in the same place."""
        taken = Lists(self._room[: self._count], np.concatenate([np.empty(0, np.int64), *self._ends]))
        self._count, self._ends = 0, []
        return taken


def in_bytes(numbers: NDArray[np.int64], ends: NDArray[np.int64]) -> Lists:
    """Return numbers from 0 up, in N lists given by their ends, as bytes.

    A number is the sum of its bytes: 255 as often as it fits, and then one smaller byte.
    """
    last = np.cumsum(numbers // _MORE + 1)
    flat = np.full(last[-1] if len(last) else 0, _MORE, np.uint8)
    flat[last - 1] = numbers % _MORE
    return Lists(flat, np.append(0, last)[ends])


def running_sums(flat: NDArray[np.uint8], dtype: DTypeLike = np.int64) -> NDArray[Any]:
    """Return the sum of all numbers up to each one: where the lengths were stored, the ends."""
    sums: NDArray[Any] = np.cumsum(flat, dtype=dtype)[flat != _MORE]
    return sums


def numbers_by(flat: NDArray[np.uint8], ends: NDArray[np.int64]) -> NDArray[np.int32]:
    """Return how many numbers there are by each of some positions."""
    counts: NDArray[np.int32] = np.append(np.int32(0), np.cumsum(flat != _MORE, dtype=np.int32))[ends]
    return counts


def count_numbers(flat: NDArray[np.uint8]) -> int:
    """Return how many numbers there are."""
    return int(np.count_nonzero(flat != _MORE))
