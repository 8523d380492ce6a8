"""Tables as text: the first row names the columns, a column holds the text, and "id" its name where there is one.

.csv    RFC 4180: fields between quotes may hold commas, line ends and doubled quotes
.tsv    fields between tabs, taken as they stand: nothing is quoted
"""

from __future__ import annotations

import csv as library
from collections.abc import Iterator

from maskwright.corpus.document import Document
from maskwright.corpus.encoding import decode
from maskwright.corpus.readers import opened
from maskwright.corpus.readers.opened import LINE_ENDS, Opened

__all__ = ["csv", "tsv"]

FRAME = "other columns and table structure"
UNLIKE = "a row with more or fewer fields than the header"


class _Lines:
    """The lines of a file as text; remembers what has been taken since the last row."""

    def __init__(self, lines: Iterator[tuple[int, bytes]]) -> None:
        self._lines = lines
        self.number = self.size = self.bad = self.replacements = 0

    def __iter__(self) -> Iterator[str]:
        for number, line in self._lines:
            self.number = number
            text, bad, replacements = decode(line)
            self.size += len(line)
            self.bad += bad
            self.replacements += replacements
            yield text

    def take(self) -> tuple[int, int, int]:
        """Return the bytes, bad bytes and replacements of the row that was read; the next one begins."""
        taken = self.size, self.bad, self.replacements
        self.size = self.bad = self.replacements = 0
        return taken


def csv(file: Opened) -> Iterator[tuple[int, Document]]:
    """Yield the text of each row.  Wrong quoting is an error: nothing after it could be trusted."""
    library.field_size_limit(opened.MAX_LINE)
    lines = _Lines(file.lines(drop_long=False))
    return _documents(file, lines, library.reader(lines, strict=True))


def tsv(file: Opened) -> Iterator[tuple[int, Document]]:
    """Yield the text of each row."""
    lines = _Lines(file.lines())
    return _documents(file, lines, (line.rstrip("\r\n").split("\t") if line.strip() else [] for line in lines))


def _documents(file: Opened, lines: _Lines, rows: Iterator[list[str]]) -> Iterator[tuple[int, Document]]:
    header = _next(file, lines, rows)
    if not header:
        raise file.fault("no header. The first row names the columns.", 1)
    if file.text_field not in header:
        raise file.without_field(header, [], 1)
    if header.count(file.text_field) > 1:
        raise file.fault(f'more than one column "{file.text_field}". Rename the others.', 1)
    text, name = header.index(file.text_field), header.index("id") if "id" in header else None
    around = file.ledger.bytes_around
    around[FRAME] += lines.take()[0]
    number = lines.number + 1
    while (row := _next(file, lines, rows)) is not None:
        size, *faults = lines.take()
        if not row:
            around[LINE_ENDS] += size
        elif len(row) != len(header):
            file.drop(number, UNLIKE, size)
        else:
            document = file.row(number, None if name is None else row[name], row[text], *faults)
            file.count_frame(FRAME, size, document)
            yield number, document
        number = lines.number + 1


def _next(file: Opened, lines: _Lines, rows: Iterator[list[str]]) -> list[str] | None:
    try:
        return next(rows, None)
    except library.Error as error:
        raise file.fault(
            f"not a table ({error}). A field that holds quotes, commas or line ends stands between quotes, with its own "
            "quotes doubled.",
            lines.number,
        ) from error
