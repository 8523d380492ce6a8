"""Plain text: a blank line ends a document.

A text too long for one document is cut (see ``cut.py``), so a line of any length is read in bounded memory.
"""

from __future__ import annotations

from collections.abc import Iterator

from maskwright.corpus.document import Document
from maskwright.corpus.encoding import decode
from maskwright.corpus.readers import cut
from maskwright.corpus.readers.opened import LINE_ENDS, Opened

__all__ = ["txt"]


def txt(file: Opened) -> Iterator[tuple[int, Document]]:
    """Yield the documents between blank lines."""
    ledger = file.ledger
    held: list[bytes] = []
    size, first, count = 0, 1, 0
    for number, piece, whole in _pieces(file):
        body = piece.rstrip(b"\r\n")
        blank = not body or body.isspace()
        ledger.bytes_around[LINE_ENDS] += len(piece) - (0 if blank else len(body))
        too_long = bool(held) and not blank and size + len(body) > cut.MAX_DOCUMENT
        if held and (blank or too_long):
            ledger.documents_split += too_long
            count += 1
            yield first, _joined(file, count, held)
            held, size = [], 0
        if blank:
            continue
        first = first if held else number
        held.append(body)
        size += len(body) + 1
        if not whole:
            ledger.documents_split += 1
            count += 1
            yield first, _joined(file, count, held)
            held, size = [], 0
    if held:
        yield first, _joined(file, count + 1, held)


def _joined(file: Opened, count: int, lines: list[bytes]) -> Document:
    # The line ends between its lines are text of the document, not around it.
    file.ledger.bytes_around[LINE_ENDS] -= len(lines) - 1
    text, bad, replacements = decode(b"\n".join(lines))
    return Document(f"{file.name}#{count}", text, "", bad, replacements)


def _pieces(file: Opened) -> Iterator[tuple[int, bytes, bool]]:
    """Yield (line number, bytes, whether the line ends there); no piece is longer than a document may be."""
    text, number, rest = file.utf8(), 1, b""
    while line := rest + text.readline(cut.MAX_DOCUMENT - len(rest)):
        if line.endswith(b"\n") or len(line) < cut.MAX_DOCUMENT:
            yield number, line, True
            number, rest = number + 1, b""
        else:
            place = cut.place_to_cut(line)
            yield number, line[:place], False
            rest = line[place:]
