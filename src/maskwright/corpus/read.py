"""Documents out of files, as a stream.

    .txt                 a blank line ends a document
    .jsonl               one object a line, its text in the field "text" (or another one), its name in "id" if it is there
    .csv .tsv .parquet   one row a document, in the same way; so too the .arrow files of a folder saved by ``datasets``
    .md .html            one file a document
    .xml                 a Wikipedia dump; one article a document

each plain or compressed (.gz .xz .zst .bz2), and many of them in a .zip.  No file is ever whole in memory but a page:
a longer text is cut into documents of at most 4 MiB, so memory does not grow with the input.  Encodings are found by
``corpus/encoding.py``; the readers, one a format, are in ``corpus/readers``.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace

from maskwright.corpus import archive
from maskwright.corpus.document import Document
from maskwright.corpus.ledger import Ledger
from maskwright.corpus.markup import plain
from maskwright.corpus.readers import PARSERS
from maskwright.corpus.readers.cut import MAX_DOCUMENT, cut
from maskwright.corpus.readers.opened import Opened, size_of
from maskwright.corpus.sources import Source
from maskwright.corpus.streams import Stream

__all__ = ["MARKUP", "Document", "Reader", "read"]

MARKUP = "markup"
"""The ledger's ``bytes_around`` has what ``plain`` took away under this name."""

LINES_ARE_LINES = (".txt", ".csv", ".md", ".html", ".htm")
"""Formats where a line of the text is a line of the file."""


def read(source: Source, ledger: Ledger, *, text_field: str = "text", strict: bool = False) -> Iterator[Document]:
    """Yield the documents of one file in its order, the same ones every time.

    Counted into ``ledger`` here: the bytes of the file, what lies around texts, and rows that are no document, which
    count as documents read and dropped.  The caller counts each document that it gets: read, its bad bytes and
    replacements, its NULs, and what ``markup.plain`` takes away.  ``ledger.bytes_on_disk`` grows as the file is read,
    so that over the sum of ``Source.bytes`` it is the share that is done; read to the end, it has grown by
    ``source.bytes``.

    ``strict`` refuses what is otherwise only counted: bad bytes, NULs, documents and rows without text, lines too long
    for a row, texts too long for a document.  Raises DataError, with file and line, and InputError.
    """
    before = ledger.bytes_on_disk
    for name, format, stream in _parts(source, ledger):
        start = ledger.bytes_on_disk
        with stream:
            file = Opened(name, stream, ledger, text_field, strict)
            cuts = ledger.documents_split
            for line, document in PARSERS[format](file):
                ledger.bytes_on_disk = start + stream.taken
                for part in cut(document, ledger):
                    if strict:
                        _refuse(file, format, line, part, cut=ledger.documents_split > cuts)
                    yield part
            ledger.bytes_on_disk = start + stream.taken
    ledger.bytes_on_disk = before + source.bytes


class Reader:
    """The documents of some files, one after the other, without their markup.

    For those who read in one process; counts into ``ledger`` as ``read`` does, and the markup taken away besides.
    """

    def __init__(self, sources: list[Source], ledger: Ledger, text_field: str = "text") -> None:
        self._sources, self._ledger, self._text_field = sources, ledger, text_field
        self._total = max(1, sum(source.bytes for source in sources))

    @property
    def fraction(self) -> float:
        """How much of the files' bytes on disk has been read, 0 to 1."""
        return min(1.0, self._ledger.bytes_on_disk / self._total)

    def __iter__(self) -> Iterator[Document]:
        for source in self._sources:
            for document in read(source, self._ledger, text_field=self._text_field):
                if not document.markup:
                    yield document
                    continue
                text = plain(document.text, document.markup)
                self._ledger.bytes_around[MARKUP] += size_of(document.text) - size_of(text)
                yield replace(document, text=text, markup="")


def _parts(source: Source, ledger: Ledger) -> Iterator[tuple[str, str, Stream]]:
    if source.format == ".zip":
        return archive.members(source, ledger)
    return iter([(source.name, source.format, source.open())])


def _refuse(file: Opened, format: str, line: int, document: Document, *, cut: bool) -> None:
    """Raise DataError where the document has a fault."""
    text = document.text
    if document.bad_bytes:
        fault, place = f"{document.bad_bytes:,} bytes that are no text in the file's encoding", text.find("\ufffd")
    elif "\0" in text:
        fault, place = "a NUL", text.find("\0")
    elif not text or text.isspace():
        fault, place = "an empty document", 0
    elif cut:
        fault, place = f"a text of more than {MAX_DOCUMENT >> 20} MiB", 0
    else:
        return
    inside = text.count("\n", 0, place) if format in LINES_ARE_LINES else 0
    raise file.fault(f"{fault}. Mend or remove it, or read without --strict, which counts it instead.", line + inside)
