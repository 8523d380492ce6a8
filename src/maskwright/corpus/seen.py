"""Documents that came before: the same ones by their hash, nearly the same ones by MinHash (corpus/duplicates.py).

What is remembered lies in mapped files without a name: page cache, not memory of the process.  A near duplicate shares a
band of its signature with an earlier document, and is then compared with it, shingle by shingle.  Of the documents that
share a band only the first is remembered for it; a document near to one that was dropped is dropped too, as in ``groups``.
"""

from __future__ import annotations

from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from maskwright.corpus.duplicates import similar
from maskwright.corpus.lists import Lists
from maskwright.corpus.manifest import new_file
from maskwright.corpus.prepare import Prepared
from maskwright.text.table import Table, room

__all__ = ["DUPLICATE", "NEAR_DUPLICATE", "Seen"]

DUPLICATE, NEAR_DUPLICATE = "duplicate", "near duplicate"


class _Pool:
    """Arrays of 32-bit numbers, appended and read back by number."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._flat = room((1 << 16,), np.uint32, folder)
        self._ends = room((1 << 12,), np.int64, folder)
        self._count = 0

    def add(self, lists: Lists) -> None:
        flat, ends = lists.flat, lists.ends
        begin = self._used()
        self._flat = self._with_room(self._flat, begin, len(flat))
        self._ends = self._with_room(self._ends, self._count, len(ends))
        self._flat[begin : begin + len(flat)] = flat
        self._ends[self._count : self._count + len(ends)] = begin + ends
        self._count += len(ends)

    def __getitem__(self, number: int) -> NDArray[np.uint32]:
        begin = self._ends[number - 1] if number else 0
        found: NDArray[np.uint32] = self._flat[begin : self._ends[number]]
        return found

    def _used(self) -> int:
        return int(self._ends[self._count - 1]) if self._count else 0

    def _with_room(self, values: NDArray, used: int, more: int) -> NDArray:  # type: ignore[type-arg]
        if used + more <= len(values):
            return values
        larger = room((2 * (used + more),), values.dtype, self._folder)
        larger[:used] = values[:used]
        return larger


class Seen:
    """Decides which documents came before.

    near: the Jaccard similarity, 0.5 to 1, from which documents are near duplicates; None looks for equal ones only.
    """

    def __init__(self, folder: Path, near: float | None) -> None:
        self._near = near
        self._texts = Table(folder)
        self._bands = Table(folder)
        self._sets = _Pool(folder)
        self._first = room((0,), np.int64, None)
        self._folder = folder
        self._documents = 0
        self._new: list[tuple[NDArray[np.uint8], NDArray[np.uint64] | None, Lists | None]] = []

    def decide(self, prepared: Prepared) -> dict[str, NDArray[np.bool_]]:
        """Return reason -> which of these documents are to be dropped for it, (N,)."""
        self._new.append((prepared.digests, prepared.bands, prepared.shingles))
        return self._decide(prepared.digests, prepared.bands, prepared.shingles)

    def _decide(
        self, digests: NDArray[np.uint8], bands: NDArray[np.uint64] | None, sets: Lists | None
    ) -> dict[str, NDArray[np.bool_]]:
        known = len(self._texts)
        numbers = self._texts.number(np.ascontiguousarray(digests[:, :16]).view("<u8"))
        first = np.zeros(len(digests), np.bool_)
        new = np.flatnonzero(numbers >= known)
        first[new[np.unique(numbers[new], return_index=True)[1]]] = True
        found = {DUPLICATE: ~first}
        if bands is not None and sets is not None:
            near = np.zeros(len(digests), np.bool_)
            near[first] = self._near_ones(bands[first], sets.only(first))
            found[NEAR_DUPLICATE] = near
        return found

    def _near_ones(self, bands: NDArray[np.uint64], sets: Lists) -> NDArray[np.bool_]:
        count, known = len(bands), len(self._bands)
        numbers = self._bands.number(bands.reshape(-1, 2)).reshape(count, -1)
        self._sets.add(sets)
        documents = self._documents + np.arange(count)
        new, place = np.unique(numbers, return_index=True)
        place = place[new >= known]
        if len(self._bands) > len(self._first):
            larger = room((2 * len(self._bands),), np.int64, self._folder)
            larger[:known] = self._first[:known]
            self._first = larger
        self._first[known : len(self._bands)] = documents[place // numbers.shape[1]] if len(place) else 0
        candidates = self._first[numbers]
        near = np.zeros(count, np.bool_)
        for row in np.flatnonzero((candidates < documents[:, None]).any(axis=1)).tolist():
            mine = self._sets[int(documents[row])]
            earlier = np.unique(candidates[row][candidates[row] < documents[row]])
            near[row] = any(similar(self._sets[int(other)], mine, self._near or 1.0) for other in earlier)
        self._documents += count
        return near

    def save(self, path: Path) -> None:
        """Write what was learnt since the last call, for a build that goes on later."""
        digests, bands, sets = zip(*self._new, strict=True)
        values = {"digests": np.concatenate(digests)}
        if self._near is not None:
            values["bands"] = np.concatenate(bands)
            values["shingles"] = np.concatenate([each.flat for each in sets])
            values["lengths"] = np.concatenate([each.lengths for each in sets])
        with new_file(path) as stream:
            np.savez(stream, **values)  # type: ignore[arg-type]
        self._new = []

    def load(self, path: Path) -> None:
        """Learn again what ``save`` wrote."""
        with np.load(path, allow_pickle=False) as saved:
            bands = sets = None
            if self._near is not None:
                bands = saved["bands"]
                sets = Lists(saved["shingles"], np.cumsum(saved["lengths"]))
            self._decide(saved["digests"], bands, sets)
