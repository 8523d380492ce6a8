"""Documents on their way to the workers, in chunks of about 250,000 characters.

What is in a chunk depends on the input alone, never on who works on it.  Each chunk knows its place: a build that was
interrupted reads the source it was in again, up to that place, and goes on with the next chunk.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass

from pydantic import BaseModel, ConfigDict, Field

from maskwright.corpus.document import Document
from maskwright.corpus.ledger import Ledger
from maskwright.errors import InputError

__all__ = ["CHUNK_CHARS", "Chunk", "Open", "Place", "Reading"]

CHUNK_CHARS = 1 << 18

Open = Callable[[Ledger], Iterator[Document]]
"""Reads a source from its beginning and counts into the ledger."""


class Place(BaseModel):
    """How far the input was read: ``documents`` of the source number ``source`` and all sources before it."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    source: int = 0
    documents: int = 0
    digest: str = ""
    """Chained sha256 over those documents."""
    before: Ledger = Field(default_factory=Ledger)
    """What was read before that source."""


@dataclass(frozen=True)
class Chunk:
    """Neighbouring documents and the place after them."""

    documents: list[Document]
    place: Place
    bytes_on_disk: int
    """Read by then."""


class Reading:
    """The chunks of some sources from a place on.  ``ledger`` is complete once all of them are read."""

    def __init__(self, sources: Sequence[Open], start: Place, chars: int = CHUNK_CHARS) -> None:
        self._sources, self._start, self._chars = sources, start, chars
        self.ledger = start.before.model_copy(deep=True)

    def __iter__(self) -> Iterator[Chunk]:
        held: list[Document] = []
        chars = 0
        for number, source in enumerate(self._sources[self._start.source :], self._start.source):
            before, here = self.ledger, Ledger()
            done, digest = 0, b""
            skip = self._start.documents if number == self._start.source else 0
            for document in source(here):
                done += 1
                digest = _chain(digest, document)
                if done <= skip:
                    if done == skip and digest.hex() != self._start.digest:
                        raise _changed()
                    continue
                held.append(document)
                chars += len(document.text)
                if chars >= self._chars:
                    yield Chunk(held, _place(number, done, digest, before), before.bytes_on_disk + here.bytes_on_disk)
                    held, chars = [], 0
            if done < skip:
                raise _changed()
            self.ledger = before.model_copy(deep=True)
            self.ledger.add(here)
        if held:
            yield Chunk(held, _place(number, done, digest, before), self.ledger.bytes_on_disk)


def _place(source: int, documents: int, digest: bytes, before: Ledger) -> Place:
    return Place.model_construct(source=source, documents=documents, digest=digest.hex(), before=before)


def _chain(before: bytes, document: Document) -> bytes:
    digest = hashlib.sha256(before)
    for part in (document.id, document.text):
        content = part.encode("utf-8", "surrogatepass")
        digest.update(len(content).to_bytes(8, "little"))
        digest.update(content)
    return digest.digest()


def _changed() -> InputError:
    return InputError(
        "the input has changed since the build was interrupted: what had been read by then now reads otherwise. "
        "Remove the folder and build again."
    )
