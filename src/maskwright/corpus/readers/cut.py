"""Where a text is cut that is too long for one document: at a line end, else at white space, else between characters."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace

from maskwright.corpus.document import Document
from maskwright.corpus.ledger import Ledger

__all__ = ["MAX_DOCUMENT", "cut", "place_to_cut"]

MAX_DOCUMENT = 4 << 20
"""Bytes."""


def cut(document: Document, ledger: Ledger) -> Iterator[Document]:
    """Yield the document, or its parts where it is too long: ID, ID/2, ID/3.  Its faults are counted with the first."""
    content = b""
    if not document.markup and 4 * len(document.text) > MAX_DOCUMENT:
        content = document.text.encode("utf-8", "surrogatepass")
    number = 0
    while len(content) > MAX_DOCUMENT:
        place = place_to_cut(content[:MAX_DOCUMENT])
        part, content = content[:place], content[place:]
        ledger.documents_split += 1
        number += 1
        yield _part(document, number, part)
    yield _part(document, number + 1, content) if number else document


def _part(document: Document, number: int, content: bytes) -> Document:
    text = content.decode("utf-8", "surrogatepass")
    return replace(document, text=text) if number == 1 else Document(f"{document.id}/{number}", text)


def place_to_cut(content: bytes) -> int:
    """Return where to cut a text that goes on: after white space in its last quarter, else before its last character."""
    start = len(content) * 3 // 4
    place = content.rfind(b"\n", start)
    if place < 0:
        place = max(content.rfind(b" ", start), content.rfind(b"\t", start))
    if place >= 0:
        return place + 1
    last = len(content) - 1
    while last > start and content[last] & 0xC0 == 0x80:
        last -= 1
    return last if content[last] >= 0xC0 and last > 0 else len(content)
