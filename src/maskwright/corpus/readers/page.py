"""Pages: one file is one document, its markup still on it (see ``corpus/markup.py``)."""

from __future__ import annotations

from collections.abc import Iterator

from maskwright.corpus.document import Document
from maskwright.corpus.encoding import decode
from maskwright.corpus.readers import opened
from maskwright.corpus.readers.opened import Opened

__all__ = ["html", "markdown"]


def html(file: Opened) -> Iterator[tuple[int, Document]]:
    """Yield the page."""
    yield 1, _page(file, "html", declares=True)


def markdown(file: Opened) -> Iterator[tuple[int, Document]]:
    """Yield the page."""
    yield 1, _page(file, "markdown")


def _page(file: Opened, markup: str, *, declares: bool = False) -> Document:
    content = file.utf8(declares=declares).read(opened.MAX_LINE + 1)
    if len(content) > opened.MAX_LINE:
        raise file.fault(f"a page of more than {opened.MAX_LINE >> 20} MiB. Leave it out, or cut it into several.")
    text, bad, replacements = decode(content)
    return Document(file.name, text, markup, bad, replacements)
