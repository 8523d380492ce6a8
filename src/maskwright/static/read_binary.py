"""word2vec's binary format: a header line ``words width``, then for each word its bytes, a space, and ``width`` float32.

Numbers are little-endian.  The original program writes a line end after each vector, other writers none; both are read.
Source: the C code of word2vec, function TrainModel, https://code.google.com/archive/p/word2vec
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import numpy as np

from maskwright.errors import DataError
from maskwright.static.opened import MAX_WORD, Opened, Row, Seen, refuse_size
from maskwright.static.read_text import header_of

__all__ = ["binary_rows"]

_BLOCK = 1 << 20


def binary_rows(path: Path, file: Opened, seen: Seen) -> Iterator[Row]:
    """Yield the rows of an open file.

    Raises DataError, with the byte, for a file that is cut off or goes on behind its last word, a word without end, a
    number that is not finite, and a bad word.
    """
    line = file.stream.readline(64)
    header = header_of(line)
    if header is None or not line.endswith(b"\n"):
        raise DataError("the header must be two whole numbers: words and width", file=path, line=1)
    rows, width = header
    refuse_size(path, rows, width, 4 * width + 2, file, line=1)
    size, data, at, before = 4 * width, b"", 0, len(line)
    for row in range(rows):
        if len(data) - at < MAX_WORD + size + 2:
            before += at
            data, at = data[at:] + file.stream.read(max(_BLOCK, MAX_WORD + size + 2)), 0
        begin = at + 1 if data[at : at + 1] == b"\n" else at
        end = data.find(b" ", begin, begin + MAX_WORD + 1)
        place = before + begin
        if end < 0 and len(data) - begin > MAX_WORD:
            raise _fault(
                path, place, f"word {row + 1:,} of {rows:,} does not end within {MAX_WORD:,} bytes: is it binary?"
            )
        if end < 0 or end + 1 + size > len(data):
            raise _fault(path, before + len(data), f"the file ends within word {row + 1:,} of {rows:,}: it is cut off")
        vector = np.frombuffer(data, "<f4", width, end + 1).astype(np.float32)
        at = end + 1 + size
        if not np.isfinite(vector).all():
            bad = int(np.flatnonzero(~np.isfinite(vector))[0])
            raise _fault(
                path, before + end + 1 + 4 * bad, f"{vector[bad]} in the vector of word {row + 1:,} is not finite"
            )
        word = seen.word(data[begin:end], place, None)
        if word is not None:
            yield word, vector
    rest = data[at:] + file.stream.read(2)
    if rest not in (b"", b"\n"):
        raise _fault(path, before + at, f"the file goes on behind the {rows:,} words that its header says")


def _fault(path: Path, byte: int, what: str) -> DataError:
    return DataError(f"byte {byte:,}: {what}", file=path)
