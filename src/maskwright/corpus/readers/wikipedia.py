"""Wikipedia's XML dumps (``…-pages-articles.xml.bz2``): the wikitext of each article, its title for a name.

Pages outside the articles' namespace and redirects are counted and left out.  Where a dump holds a page's history the
last revision is taken.  Parsed as it streams, by expat, which keeps nothing; a document type declaration is refused,
and with it every entity that is not XML's own.  Format: https://www.mediawiki.org/wiki/Help:Export
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any
from xml.parsers import expat

from maskwright.corpus.document import Document
from maskwright.corpus.readers import opened
from maskwright.corpus.readers.opened import Opened, size_of
from maskwright.corpus.streams import DAMAGE

__all__ = ["wikipedia"]

FRAME = "XML structure, escapes and what a dump says about its pages"
BLOCK = 256 << 10
KEPT = frozenset(("title", "ns", "id", "model", "text"))
"""Elements of a page whose content is used.  Of several, the first "id" (the page's) and the last of the others."""


class _Pages:
    """Collects the fields of each page, as expat reports them."""

    def __init__(self, file: Opened) -> None:
        self.file = file
        self.finished: list[tuple[int, dict[str, str]]] = []
        self._page: dict[str, str] = {}
        self._inside: str | None = None
        self._pieces: list[str] = []
        self._size = self._line = self._depth = 0
        self.parser = expat.ParserCreate("utf-8")
        self.parser.buffer_text, self.parser.buffer_size = True, BLOCK
        self.parser.StartElementHandler, self.parser.EndElementHandler = self._start, self._end
        self.parser.CharacterDataHandler = self._text
        self.parser.StartDoctypeDeclHandler = self._doctype

    def _doctype(self, *_: Any) -> None:
        raise self.file.fault(
            "a document type declaration, which no Wikipedia dump has. Leave this file out.",
            self.parser.CurrentLineNumber,
        )

    def _start(self, name: str, attributes: dict[str, str]) -> None:
        self._depth += 1
        if self._depth == 1 and name != "mediawiki":
            raise self.file.fault(
                f"its root is <{name}>, not <mediawiki>: XML is read from Wikipedia dumps only. Leave this file out, "
                "or write its texts as .txt or .jsonl.",
                self.parser.CurrentLineNumber,
            )
        if name == "page":
            self._page, self._line = {}, self.parser.CurrentLineNumber
        elif name == "redirect":
            self._page["redirect"] = attributes.get("title", "")
        self._inside = name if name in KEPT and not (name == "id" and "id" in self._page) else None
        self._pieces, self._size = [], 0

    def _text(self, text: str) -> None:
        if self._inside is not None:
            self._pieces.append(text)
            self._size += len(text)
            if self._size > opened.MAX_LINE:
                raise self.file.fault("a page of more than 64 Mi characters. The dump is damaged.", self._line)

    def _end(self, name: str) -> None:
        self._depth -= 1
        if self._inside == name:
            self._page[name] = "".join(self._pieces)
        self._inside = None
        if name == "page":
            self.finished.append((self._line, self._page))


def wikipedia(file: Opened) -> Iterator[tuple[int, Document]]:
    """Yield the articles."""
    pages, text = _Pages(file), file.utf8(declares=True)
    around = file.ledger.bytes_around
    more = True
    while more:
        block = text.read(BLOCK)
        more = bool(block)
        around[FRAME] += len(block)
        try:
            pages.parser.Parse(block, not more)
        except expat.ExpatError as error:
            raise file.fault(DAMAGE.format(expat.errors.messages[error.code]), error.lineno) from error
        for line, page in pages.finished:
            content = page.get("text", "")
            around[FRAME] -= size_of(content)
            reason = _unwanted(page)
            if reason is None:
                yield line, Document(page.get("title") or f"{file.name}#{page.get('id')}", content, "wiki")
            else:
                file.skip(reason, size_of(content))
        pages.finished.clear()


def _unwanted(page: dict[str, str]) -> str | None:
    if page.get("ns", "0") != "0":
        return "a page that is no article"
    if "redirect" in page:
        return "a redirect"
    return None if page.get("model", "wikitext") == "wikitext" else "a page that is not wikitext"
