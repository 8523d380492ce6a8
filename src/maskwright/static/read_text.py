"""Vectors written as text, a word a line: word2vec's text format and fastText's .vec (with a header), GloVe's (without).

    400000 300                 only word2vec and fastText: words, width
    the 0.0418 0.24968 …

A word is what stands before the last ``width`` numbers.  It may hold spaces, as ". . ." in GloVe's largest file does, but what
stands just before those numbers must not be a number: then the line has too many.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import numpy as np

from maskwright.errors import DataError
from maskwright.static.opened import MAX_WIDTH, MAX_WORD, Opened, Row, Seen, refuse_size

__all__ = ["header_of", "text_rows", "width_of"]

_LONGEST = MAX_WORD + 48 * MAX_WIDTH
"""Bytes in a line."""


def header_of(line: bytes) -> tuple[int, int] | None:
    """Return words and width where a line is a header: two whole numbers and nothing else."""
    parts = line.split()
    if len(parts) != 2 or not all(part.isdigit() and len(part) < 19 for part in parts):
        return None
    return int(parts[0]), int(parts[1])


def width_of(line: bytes) -> int:
    """Return how many numbers end a line."""
    parts = line.split()[1:]
    count = 0
    while count < len(parts) and _is_number(parts[-1 - count]):
        count += 1
    return count


def text_rows(path: Path, file: Opened, seen: Seen, *, header: bool) -> Iterator[Row]:
    """Yield the rows of an open file, its width taken from the header, else from the first line.

    Raises DataError, with the line, for a row of another width, a number that is none or not finite, a bad word, a line
    without end, and a header whose numbers do not hold.
    """
    lines = _lines(path, file)
    declared, width, number, before = None, 0, 0, 0
    if header:
        found = header_of(next(lines, b""))
        if found is None:
            raise DataError("the header must be two whole numbers: words and width", file=path, line=1)
        (declared, width), number, before = found, 1, 1
        refuse_size(path, declared, width, 2 * width + 1, file, line=1)
    rows = 0
    for number, line in enumerate(lines, start=before + 1):
        if not width:
            width = width_of(line)
            refuse_size(path, 1, width, 1, file, line=number)
        rows += 1
        if declared is not None and rows > declared:
            raise DataError(f"the header says {declared:,} words, and here is one more", file=path, line=number)
        data, vector = _row(path, line, width, number)
        word = seen.word(data, number, number)
        if word is not None:
            yield word, vector
    if not rows or (declared is not None and rows < declared):
        wanted = "at least one word" if declared is None else f"{declared:,} words, as the header says,"
        raise DataError(
            f"the file ends after {rows:,} words; {wanted} must be there: is it whole?", file=path, line=number
        )


def _row(
    path: Path, line: bytes, width: int, number: int
) -> tuple[bytes, np.ndarray[tuple[int], np.dtype[np.float32]]]:
    # Only the space and the line end separate: words of some files hold other white space.
    parts = line.rstrip(b" \t\r\n").rsplit(b" ", width)
    between = parts[0].rpartition(b" ")[2]
    if len(parts) != width + 1 or (between != parts[0] and _is_number(between)):
        found = width_of(line)
        raise DataError(
            f"{found:,} numbers after the word, and {width:,} are expected. Is the line cut off, or joined with another?",
            file=path,
            line=number,
        )
    try:
        with np.errstate(over="ignore"):
            vector = np.array([float(part) for part in parts[1:]], np.float32)
    except ValueError:
        vector = None
    if vector is None or b"_" in line[len(parts[0]) :]:
        bad = next(part for part in parts[1:] if not _is_number(part))
        what = f"{bad[:40].decode('utf-8', 'replace')!r} is not a number"
        raise DataError(f"{what}; {width:,} numbers must follow the word", file=path, line=number)
    if not np.isfinite(vector).all():
        bad = parts[1 + int(np.flatnonzero(~np.isfinite(vector))[0])]
        raise DataError(
            f"{bad.decode('ascii')!r} is not a finite float32; mend or remove the line", file=path, line=number
        )
    return parts[0], vector


def _is_number(part: bytes) -> bool:
    try:
        float(part)
    except ValueError:
        return False
    return b"_" not in part


def _lines(path: Path, file: Opened) -> Iterator[bytes]:
    number = 0
    while line := file.stream.readline(_LONGEST):
        number += 1
        if len(line) == _LONGEST:
            raise DataError(
                f"a line of more than {_LONGEST:,} bytes; this is not a vector file", file=path, line=number
            )
        yield line
