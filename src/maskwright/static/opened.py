"""A vector file opened for reading, plain or .gz, and what every reader of one needs."""

from __future__ import annotations

import gzip
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import IO, cast

import numpy as np
from numpy.typing import NDArray

from maskwright.errors import DataError, explain_os_error

__all__ = ["MAX_WIDTH", "MAX_WORD", "Opened", "Row", "Seen", "opened", "refuse_size"]

MAX_WIDTH = 16_384
"""Numbers in a vector: far beyond any that is published, and a bound on what one row may take."""
MAX_WORD = 4_096
"""Bytes in a word."""
_DEFLATE = 1_040
"""Bytes that one byte of a .gz can become at most (1,032), and some more for short files.  https://zlib.net/zlib_tech.html"""

Row = tuple[str, NDArray[np.float32]]


class Seen:
    """The words of a file so far: where each stood, and what was left out.

    skip: leave out words that are empty, not UTF-8 or there twice, and count them; otherwise they are errors.
    """

    def __init__(self, path: Path, *, skip: bool) -> None:
        self.path, self.skip = path, skip
        self.places: dict[str, int] = {}
        self.skipped: dict[str, int] = {}

    def word(self, data: bytes, place: int, line: int | None) -> str | None:
        """Return a word as text, or None where it is left out.  place: line or byte; DataError for a bad one."""
        unit = "byte" if line is None else "line"
        try:
            word = data.decode("utf-8")
        except UnicodeDecodeError:
            return self._bad("not UTF-8", f"the word {data[:40]!r} is not UTF-8", place, line)
        if not word or "\n" in word:
            return self._bad("no word", "there is no word before the vector", place, line)
        if word in self.places:
            first = f"the word {word[:40]!r} is there already, in {unit} {self.places[word]:,}"
            return self._bad("twice", first, place, line)
        self.places[word] = place
        return word

    def _bad(self, reason: str, what: str, place: int, line: int | None) -> str | None:
        if not self.skip:
            where = "" if line is not None else f"byte {place:,}: "
            message = f"{where}{what}. Mend the file, or leave such words out: skip_bad_words."
            raise DataError(message, file=self.path, line=line)
        self.skipped[reason] = self.skipped.get(reason, 0) + 1
        return None


@dataclass(frozen=True)
class Opened:
    """A stream and how many bytes it can hold."""

    stream: IO[bytes]
    most: int
    """Bytes in the file; of a .gz the most that it can unpack to."""
    packed: bool


@contextmanager
def opened(path: Path) -> Iterator[Opened]:
    """Open a file, unpacking a .gz; what the system or the unpacking refuses becomes InputError or DataError."""
    try:
        size = path.stat().st_size
        with path.open("rb") as plain:
            packed = plain.read(2) == b"\x1f\x8b"
            plain.seek(0)
            if not packed:
                yield Opened(plain, size, packed=False)
                return
            with gzip.open(plain) as stream:
                yield Opened(cast(IO[bytes], stream), size * _DEFLATE, packed=True)
    except (gzip.BadGzipFile, EOFError, zlib.error) as error:
        raise DataError(f"the .gz is damaged ({error}). Fetch or copy the file again.", file=path) from None
    except OSError as error:
        raise explain_os_error(error, "reading vectors:") from error


def refuse_size(path: Path, rows: int, width: int, least: int, file: Opened, line: int | None = None) -> None:
    """Raise DataError where a file says that it holds more than it can.  least: bytes that a row takes at least."""
    if not 0 < width <= MAX_WIDTH:
        raise DataError(
            f"a width of {width:,}; 1 to {MAX_WIDTH:,} is possible. Is this a vector file?", file=path, line=line
        )
    if rows < 1 or rows * least > file.most:
        unpacks = f"can unpack to {file.most:,} bytes at most" if file.packed else f"has {file.most:,} bytes"
        raise DataError(
            f"the header says {rows:,} words of width {width:,}, at least {max(0, rows) * least:,} bytes, and the file "
            f"{unpacks}: it is cut off, or damaged",
            file=path,
            line=line,
        )
