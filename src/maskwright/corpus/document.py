"""A text as it was read."""

from __future__ import annotations

from dataclasses import dataclass

__all__ = ["Document"]


@dataclass(frozen=True, slots=True)
class Document:
    """A text as it was read.  Bytes of the file that are not its text are already in the ledger's ``bytes_around``."""

    id: str
    text: str
    markup: str = ""
    """"html", "markdown" or "wiki" where the text is still to be cleaned by ``markup.plain``."""
    bad_bytes: int = 0
    """Bytes that the file's encoding does not know."""
    replacements: int = 0
    """U+FFFD characters in the text that stand for them."""
