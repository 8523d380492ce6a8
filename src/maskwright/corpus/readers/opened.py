"""What every reader of a format works on: an opened file, its ledger, and the ways in which a file can be at fault."""

from __future__ import annotations

import io
from collections.abc import Iterator
from dataclasses import dataclass

from maskwright.corpus.document import Document
from maskwright.corpus.encoding import Recoded
from maskwright.corpus.ledger import REPLACEMENT_BYTES, Ledger
from maskwright.corpus.streams import Stream, fault
from maskwright.errors import DataError

__all__ = ["LINE_ENDS", "MAX_LINE", "NO_TEXT", "Opened", "size_of"]

MAX_LINE = 64 << 20
"""Bytes.  A row or a page of more is not text that a person wrote."""
BUFFER = 256 << 10

LINE_ENDS = "line ends and blank lines"
NO_TEXT = "no text in the row"


def size_of(text: str) -> int:
    """Return the UTF-8 bytes of a text, which may hold half of a surrogate pair."""
    return len(text) if text.isascii() else len(text.encode("utf-8", "surrogatepass"))


@dataclass(frozen=True)
class Opened:
    """A file that is being read."""

    name: str
    stream: Stream
    ledger: Ledger
    text_field: str
    strict: bool

    def utf8(self, *, declares: bool = False) -> io.BufferedReader:
        """Return the text of the file in UTF-8, whatever its encoding; counts its bytes as read."""
        return io.BufferedReader(Recoded(self.stream, self.ledger, declares=declares), BUFFER)

    def lines(self, *, drop_long: bool = True) -> Iterator[tuple[int, bytes]]:
        """Yield (number from 1, line with its end).

        A line over MAX_LINE is never held; it is dropped, or refused where a row may be more than a line.
        """
        text, number = self.utf8(), 0
        while line := text.readline(MAX_LINE + 1):
            number += 1
            if len(line) <= MAX_LINE:
                yield number, line
                continue
            if not drop_long:
                raise self.fault(f"longer than {MAX_LINE >> 20} MiB. Mend or remove it.", number)
            size = len(line)
            while not line.endswith(b"\n") and (line := text.readline(MAX_LINE)):
                size += len(line)
            self.drop(number, f"a line over {MAX_LINE >> 20} MiB", size)

    def row(self, number: int, name: object, text: str, bad: int, replacements: int) -> Document:
        """Return the document of a row; ``name`` is used where it is a text or a whole number."""
        known = isinstance(name, (str, int))
        return Document(str(name) if known else f"{self.name}#{number}", text, "", bad, replacements)

    def count_frame(self, frame: str, size: int, row: Document) -> None:
        """Count what is not text in a row of ``size`` bytes under ``frame``."""
        text = size_of(row.text) - REPLACEMENT_BYTES * row.replacements + row.bad_bytes
        self.ledger.bytes_around[frame] += size - text

    def drop(self, line: int, reason: str, size: int) -> None:
        """Count a row of ``size`` bytes that is no document; refuse it where the reading is strict."""
        if self.strict:
            raise self.fault(f"{reason}. Mend or remove it, or read without --strict, which counts it instead.", line)
        self.skip(reason, size)

    def skip(self, reason: str, size: int) -> None:
        """Count a document of ``size`` bytes that is not wanted, which is no fault of the file."""
        self.ledger.documents_read += 1
        self.ledger.documents_dropped[reason] += 1
        self.ledger.bytes_dropped[reason] += size

    def without_field(self, fields: list[str], texts: list[str], line: int | None) -> DataError:
        """Return the error for a missing text field; ``texts`` are the fields that could be meant, best first."""
        advice = f"Name the field with --text-field {texts[0]}." if texts else "No field holds a text."
        return self.fault(f'no field "{self.text_field}" (fields: {", ".join(fields) or "none"}). {advice}', line)

    def fault(self, message: str, line: int | None = None) -> DataError:
        """Return the error, to be raised, that names this file."""
        return fault(self.name, message, line)
