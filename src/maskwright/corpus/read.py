"""Documents out of text files, as a stream.

    .txt      a blank line ends a document
    .jsonl    one object a line, its text in the field "text" (or another one), its name in "id" where there is one

each plain or compressed with gzip or xz.  No file is ever whole in memory, and a text file without blank lines is cut
at a line end every 16 MiB, so memory does not grow with the input.
"""

from __future__ import annotations

import gzip
import json
import lzma
import zlib
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import IO, Any

from maskwright.corpus.ledger import REPLACEMENT_BYTES, Ledger
from maskwright.corpus.sources import Source
from maskwright.errors import DataError, explain_os_error

__all__ = ["Document", "Reader"]

MAX_LINE = 64 << 20
"""Bytes.  A longer line is not text that a person wrote."""
MAX_DOCUMENT = 16 << 20
"""Bytes of a .txt document after which it is cut at the next line end."""

LINE_ENDS, JSON, MARKS = "line ends and blank lines", "JSON structure and escapes", "byte order marks"

_OPENERS: dict[str, Callable[[IO[bytes]], Any]] = {".gz": gzip.open, ".xz": lzma.open}


@dataclass(frozen=True, slots=True)
class Document:
    """A text as it was read.  Bytes of the file that are not its text are already in the ledger's ``bytes_around``."""

    id: str
    text: str
    bad_bytes: int = 0
    """Bytes that were not UTF-8."""
    replacements: int = 0
    """U+FFFD characters in the text that stand for them."""


class Reader:
    """Iterate over the documents of some files, counting bytes into ``ledger``."""

    def __init__(self, sources: list[Source], ledger: Ledger, text_field: str = "text") -> None:
        self._sources, self._ledger, self._text_field = sources, ledger, text_field
        self._total = max(1, sum(source.bytes for source in sources))
        self._finished = 0
        self._raw: IO[bytes] | None = None

    @property
    def fraction(self) -> float:
        """How much of the files' bytes on disk has been read, 0 to 1."""
        here = 0 if self._raw is None or self._raw.closed else self._raw.tell()
        return min(1.0, (self._finished + here) / self._total)

    def __iter__(self) -> Iterator[Document]:
        for source in self._sources:
            try:
                with source.path.open("rb") as self._raw:
                    opener = _OPENERS.get(source.compression)
                    stream = opener(self._raw) if opener else self._raw
                    parse = self._jsonl if source.format == ".jsonl" else self._txt
                    yield from parse(source, self._lines(source, stream))
            except (EOFError, gzip.BadGzipFile, lzma.LZMAError, zlib.error) as error:
                raise _fault(f"damaged or cut off ({error}). Copy it again from its source.", source) from error
            except OSError as error:
                raise explain_os_error(error, "corpus/read: reading") from error
            self._finished += source.bytes

    def _lines(self, source: Source, stream: IO[bytes]) -> Iterator[tuple[int, bytes]]:
        number = 0
        while line := stream.readline(MAX_LINE + 1):
            number += 1
            if len(line) > MAX_LINE:
                raise _fault(f"longer than {MAX_LINE >> 20} MiB. Break it into lines.", source, number)
            self._ledger.bytes_read += len(line)
            if number == 1:
                line = self._without_mark(source, line)
            yield number, line

    def _without_mark(self, source: Source, line: bytes) -> bytes:
        if line.startswith((b"\xff\xfe", b"\xfe\xff")):
            raise _fault("UTF-16 text. Convert it first: iconv -f UTF-16 -t UTF-8.", source)
        body = line.removeprefix(b"\xef\xbb\xbf")
        self._ledger.bytes_around[MARKS] += len(line) - len(body)
        return body

    def _txt(self, source: Source, lines: Iterator[tuple[int, bytes]]) -> Iterator[Document]:
        held: list[bytes] = []
        size = count = 0
        around = self._ledger.bytes_around
        for _, line in lines:
            body = line.rstrip(b"\r\n")
            around[LINE_ENDS] += len(line) - len(body)
            if body.isspace() or not body:
                around[LINE_ENDS] += len(body)
            else:
                held.append(body)
                size += len(body)
                if size < MAX_DOCUMENT:
                    continue
                self._ledger.documents_split += 1
            if held:
                count += 1
                yield self._joined(source, count, held)
                held, size = [], 0
        if held:
            yield self._joined(source, count + 1, held)

    def _joined(self, source: Source, count: int, lines: list[bytes]) -> Document:
        # The line ends between its lines are text of the document, not around it.
        self._ledger.bytes_around[LINE_ENDS] -= len(lines) - 1
        text, bad, replacements = _decode(b"\n".join(lines))
        return Document(f"{source.name}#{count}", text, bad, replacements)

    def _jsonl(self, source: Source, lines: Iterator[tuple[int, bytes]]) -> Iterator[Document]:
        around = self._ledger.bytes_around
        for number, line in lines:
            if not line.strip():
                around[LINE_ENDS] += len(line)
                continue
            content, bad, replacements = _decode(line)
            row = _parse(source, number, content)
            text = _text_of(source, number, row, self._text_field)
            size = len(text.encode("utf-8", "surrogatepass"))
            around[JSON] += len(line) - bad + REPLACEMENT_BYTES * replacements - size
            name = row.get("id")
            known = isinstance(name, (str, int))
            yield Document(str(name) if known else f"{source.name}#{number}", text, bad, replacements)


def _decode(content: bytes) -> tuple[str, int, int]:
    """Return the text, the number of bytes that are not UTF-8, and the number of U+FFFD that stand for them."""
    try:
        return content.decode("utf-8"), 0, 0
    except UnicodeDecodeError:
        text = content.decode("utf-8", "replace")
    replacements = text.count("\ufffd") - content.count("\ufffd".encode())
    return text, len(content) - (len(text.encode()) - REPLACEMENT_BYTES * replacements), replacements


def _parse(source: Source, line: int, content: str) -> dict[str, Any]:
    try:
        row = json.loads(content)
    except (ValueError, RecursionError) as error:
        raise _fault(f"not JSON ({error}). Each line is one object; mend or remove this one.", source, line) from error
    if not isinstance(row, dict):
        raise _fault(f'a {type(row).__name__}, not an object. Write each text as {{"text": …}}.', source, line)
    return row


def _text_of(source: Source, line: int, row: dict[str, Any], field: str) -> str:
    """Return the text of a row; null is an empty text."""
    if field not in row:
        texts = sorted((name for name in row if isinstance(row[name], str)), key=lambda name: -len(row[name]))
        advice = f"Name the field with --text-field {texts[0]}." if texts else "No field holds a text."
        raise _fault(f'no field "{field}" (fields: {", ".join(row) or "none"}). {advice}', source, line)
    text = row[field]
    if text is None:
        return ""
    if not isinstance(text, str):
        kind = type(text).__name__
        raise _fault(f'the field "{field}" holds a {kind}, not a text. Name another with --text-field.', source, line)
    return text


def _fault(message: str, source: Source, line: int | None = None) -> DataError:
    error = DataError(message, file=f"corpus/build: {source.name}", line=line)
    error.file = source.name
    return error
