"""fastText's .bin: words, their counts, and one matrix of word rows and n-gram buckets, read without running anything.

    int32 magic, version (11 or 12); 12 x int32 and a double: the arguments of the training
    int32 size, words, labels; int64 tokens, pruned; then for each word: bytes, NUL, int64 count, int8 type
    bool quantised; int64 rows, width; rows x width float32           words first, then buckets
    bool quantised; int64 rows, width; rows x width float32           output layer, not used here

The vector of a word is the mean of its row and of its n-grams' buckets, as ``print-word-vectors`` of the program gives; the
end-of-sentence sign has no n-grams.  Source: facebookresearch/fastText, src/{args,dictionary,matrix,densematrix,fasttext}.cc
"""

from __future__ import annotations

import struct
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from maskwright.errors import DataError, InputError
from maskwright.static.opened import MAX_WIDTH, MAX_WORD, Seen
from maskwright.static.subwords import Subwords

__all__ = ["MAGIC", "FasttextFile", "read_fasttext"]

MAGIC = struct.pack("<i", 793712314)
_ARGUMENTS = struct.Struct("<12id")
_SIZES = struct.Struct("<3i2q")
_MATRIX = struct.Struct("<?2q")
_ENTRY = struct.Struct("<qb")
_SUPERVISED, _WORD, _END = 3, 0, "</s>"
_CHUNK = 4_096


@dataclass(frozen=True, eq=False)
class FasttextFile:
    """What a .bin holds; the matrix is mapped from it."""

    words: list[str]
    counts_V: NDArray[np.int64]
    input_ND: NDArray[np.float32]
    """(V + buckets, D)."""
    subwords: Subwords | None
    """The buckets, or None of a model trained without n-grams."""
    facts: dict[str, Any]

    def rows(self) -> Iterator[NDArray[np.float32]]:
        """Yield the vectors of the words, in chunks of (n, D)."""
        for begin in range(0, len(self.words), _CHUNK):
            words = self.words[begin : begin + _CHUNK]
            rows = np.array(self.input_ND[begin : begin + len(words)], np.float32)
            for at, word in enumerate(words if self.subwords is not None else ()):
                buckets = self.subwords.buckets(word) if self.subwords and word != _END else []
                if buckets:
                    own = self.input_ND[begin + at] + self.subwords_sum(buckets)
                    rows[at] = own / (1 + len(buckets))
            yield rows

    def subwords_sum(self, buckets: list[int]) -> NDArray[np.float64]:
        """Return the sum of some buckets' vectors, (D,)."""
        return np.asarray(self.input_ND[[len(self.words) + bucket for bucket in buckets]].sum(axis=0, dtype=np.float64))


class _Bytes:
    """A mapped file and a place in it; asking for more than is there is an error that says where."""

    def __init__(self, path: Path) -> None:
        self.path, self.at = path, 0
        self.data: NDArray[np.uint8] = np.memmap(path, np.uint8, mode="r")
        self.view = self.data.data

    def take(self, layout: struct.Struct, what: str) -> tuple[Any, ...]:
        if self.at + layout.size > len(self.data):
            raise self.fault(f"the file ends within {what}: it is cut off", len(self.data))
        found = layout.unpack_from(self.view, self.at)
        self.at += layout.size
        return found

    def fault(self, what: str, at: int | None = None) -> DataError:
        return DataError(f"byte {self.at if at is None else at:,}: {what}", file=self.path)


def read_fasttext(path: Path) -> FasttextFile:
    """Read a model of word vectors.

    Raises DataError, with the byte, for a file that is cut off, contradicts itself, or holds a number that is not finite;
    InputError for a classifier and for a quantised model.
    """
    file = _Bytes(path)
    magic, version = file.take(struct.Struct("<4si"), "its header")
    if magic != MAGIC or version not in (11, 12):
        raise file.fault(f"not a fastText model of version 11 or 12 (version {version})", 0)
    width, window, epochs, min_count, negative, _, _, kind, buckets, min_n, max_n, _, sample = file.take(
        _ARGUMENTS, "its arguments"
    )
    if kind == _SUPERVISED:
        raise InputError(f"{path}: a fastText classifier, not word vectors; train with skipgram or cbow")
    if not 0 < width <= MAX_WIDTH or buckets < 0 or not 0 <= min_n <= 64 or not 0 <= max_n <= 64:
        raise file.fault(
            f"width {width}, {buckets} buckets, n-grams of {min_n} to {max_n}: not possible; it is damaged", 8
        )
    words, counts_V = _vocabulary(file)
    input_ND = _matrix(file, len(words) + buckets, width, "the vectors")
    for begin in range(0, len(input_ND), 1 << 16):
        finite = np.isfinite(input_ND[begin : begin + (1 << 16)]).all(axis=1)
        if not finite.all():
            row = begin + int(np.flatnonzero(~finite)[0])
            raise DataError(f"row {row:,} of the vectors holds a number that is not finite", file=path)
    _matrix(file, None, width, "the output layer")
    if file.at != len(file.data):
        raise file.fault(f"the file goes on for {len(file.data) - file.at:,} bytes behind its end: it is damaged")
    subwords = Subwords(input_ND[len(words) :], max(1, min_n), max_n) if buckets and max_n else None
    facts = {"architecture": {1: "cbow", 2: "skipgram"}.get(kind, str(kind)), "width": width, "window": window}
    facts |= {"epochs": epochs, "min_count": min_count, "negative": negative, "sample": sample}
    return FasttextFile(words, counts_V, input_ND, subwords, facts)


def _vocabulary(file: _Bytes) -> tuple[list[str], NDArray[np.int64]]:
    size, words, labels, _, pruned = file.take(_SIZES, "the sizes of its vocabulary")
    if labels or words != size:
        raise InputError(f"{file.path}: {labels} labels among {size:,} words: a fastText classifier, not word vectors")
    if pruned > 0:
        raise InputError(f"{file.path}: a pruned (quantised) fastText model; Maskwright reads whole ones")
    least = _ENTRY.size + 2
    if size < 1 or size * least > len(file.data) - file.at:
        raise file.fault(
            f"{size:,} words take at least {max(0, size) * least:,} bytes, and {len(file.data) - file.at:,} follow"
        )
    seen, counts = Seen(file.path, skip=False), np.empty(size, np.int64)
    for row in range(size):
        begin = file.at
        window = bytes(file.view[begin : begin + MAX_WORD + 1])
        length = window.find(b"\0")
        if length < 0:
            raise file.fault(f"word {row + 1:,} of {size:,} does not end within {MAX_WORD:,} bytes: cut off or damaged")
        file.at += length + 1
        seen.word(window[:length], begin, None)
        counts[row], kind = file.take(_ENTRY, f"word {row + 1:,} of {size:,}")
        if kind != _WORD or counts[row] < 0:
            raise file.fault(f"word {row + 1:,} has the type {kind} and the count {counts[row]:,}: damaged", begin)
    return list(seen.places), counts


def _matrix(file: _Bytes, rows: int | None, width: int, what: str) -> NDArray[np.float32]:
    begin = file.at
    quantised, found, columns = file.take(_MATRIX, what)
    if quantised:
        raise InputError(f"{file.path}: a quantised fastText model (.ftz); Maskwright reads the whole .bin")
    if columns != width or found < 0 or (rows is not None and found != rows):
        wanted = "any number of" if rows is None else f"{rows:,}"
        raise file.fault(f"{what}: {found:,} rows of {columns:,}, and {wanted} rows of {width:,} are expected", begin)
    size = 4 * found * columns
    if size > len(file.data) - file.at:
        raise file.fault(
            f"{what}: {size:,} bytes are needed, and {len(file.data) - file.at:,} follow: it is cut off", begin
        )
    matrix = file.data[file.at : file.at + size].view("<f4").reshape(found, columns)
    file.at += size
    return matrix
