"""The manifest of a corpus: what its folder holds, checked when it is read.

    manifest.json                 this
    text-00000.arrow              documents: id, text, sentence_lengths, for Chinese word_lengths (characters)
    tokens-<fp8>-00000.arrow      the same documents for one tokenizer: ids, sentence_lengths (tokens), see corpus/shards.py
    tokenizer-<fp8>/              that tokenizer

<fp8> is the beginning of the tokenizer's fingerprint.  The manifest is written last: a folder without one is no corpus.  It
holds the sha256 of every other file and, in its last line, its own: so no byte of a corpus changes unnoticed.
"""

from __future__ import annotations

import hashlib
import json
import os
import re
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import IO, Literal

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from maskwright.corpus.ledger import Ledger, TokenLedger
from maskwright.errors import DataError, InputError

__all__ = [
    "MANIFEST",
    "Column",
    "Manifest",
    "SentenceRule",
    "Shard",
    "TextShard",
    "TokenShard",
    "WordRule",
    "file_sha256",
    "new_file",
]

MANIFEST = "manifest.json"
SentenceRule = Literal["auto", "lines"]
WordRule = Literal["vocabulary", "rjieba"]
"""Who says where a word begins: the pieces of the vocabulary, or for Chinese characters the ends stored with the text."""


class _Entry(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


class Shard(_Entry):
    """One file."""

    name: str = Field(pattern=r"^(text|tokens-[0-9a-f]{8})-[0-9]{5,}\.arrow$")
    bytes: int
    sha256: str
    documents: int
    sentences: int


class TextShard(Shard):
    """Texts of some documents."""

    text_bytes: int
    chars: int
    batches: list[int]
    """Documents by the end of each record batch."""


class TokenShard(Shard):
    """Tokens of the same documents."""

    tokens: int


class Column(_Entry):
    """The whole corpus as one tokenizer sees it."""

    fingerprint: str
    folder: str = Field(pattern=r"^tokenizer-[0-9a-f]{8}$")
    files: dict[str, str]
    """Name of each file of that folder → sha256."""
    dtype: Literal["uint16", "uint32"]
    shards: list[TokenShard]
    ledger: TokenLedger


class Manifest(_Entry):
    """What is in the folder.

    ``fingerprint`` is chained over the documents, h = sha256(h + sha256(document)), where a document is its text, sentence ends
    and word ends: not names, paths or shard sizes.
    """

    schema_version: Literal[2] = 2
    language: str
    sentence_rule: SentenceRule
    word_rule: WordRule = "vocabulary"
    has_text: bool = True
    """Whether the texts were kept."""
    fingerprint: str
    shards: list[TextShard]
    columns: list[Column]
    ledger: Ledger

    @classmethod
    def read(cls, folder: Path) -> Manifest:
        """Read and validate; raises InputError where there is no corpus, DataError where there is a damaged one."""
        file = folder / MANIFEST
        if not file.is_file():
            if any(folder.glob("text-*.arrow*")):
                raise InputError(
                    f"corpus: {folder} holds an interrupted build (no {MANIFEST}). The same maskwright corpus build goes on "
                    "with it; or remove the folder and build again."
                )
            raise InputError(
                f"corpus: {folder} holds no corpus (no {MANIFEST}). Build one with: maskwright corpus build."
            )
        content = file.read_bytes()
        try:
            return cls.model_validate_json(_unsealed(content))
        except ValueError as error:
            version = _version(content)
            if version not in (None, _VERSION):
                raise DataError(
                    f"a manifest of schema version {version}, written by {'an older' if version < _VERSION else 'a newer'} "
                    f"Maskwright; this one reads version {_VERSION}. Build the corpus again.",
                    file=file,
                ) from error
            first = error.errors()[0] if isinstance(error, ValidationError) else None
            why = f"{'.'.join(map(str, first['loc']))}: {first['msg']}" if first else str(error)
            raise DataError(f"damaged ({why}). Build the corpus again.", file=file) from error

    def write(self, folder: Path) -> None:
        """Write atomically, sealed."""
        with new_file(folder / MANIFEST) as stream:
            stream.write(_sealed(self.model_dump_json(indent=2).encode()))


_VERSION = 2
_SEAL = re.compile(rb',\n  "seal": "([0-9a-f]{64})"\n}\n\Z')


def _sealed(content: bytes) -> bytes:
    """Add the sha256 of a JSON object's bytes as its last field."""
    seal = hashlib.sha256(content).hexdigest()
    return content.removesuffix(b"\n}") + f',\n  "seal": "{seal}"\n}}\n'.encode()


def _unsealed(content: bytes) -> bytes:
    """Return what was sealed; ValueError where that is not what is there."""
    found = _SEAL.search(content)
    if found is None:
        raise ValueError("its seal is missing")
    whole = content[: found.start()] + b"\n}"
    if hashlib.sha256(whole).hexdigest() != found[1].decode():
        raise ValueError("its bytes have changed since the corpus was built")
    return whole


def _version(content: bytes) -> int | None:
    """The schema version that a manifest names, whatever else is wrong with it."""
    try:
        found = json.loads(content).get("schema_version")
    except (ValueError, AttributeError):
        return None
    return found if isinstance(found, int) else None


@contextmanager
def new_file(path: Path) -> Iterator[IO[bytes]]:
    """Write a file under another name, and give it its own once all of it is on the disk."""
    partial = path.with_name(path.name + ".partial")
    try:
        with partial.open("wb") as stream:
            yield stream
            stream.flush()
            os.fsync(stream.fileno())
        partial.replace(path)
    finally:
        partial.unlink(missing_ok=True)
    folder = os.open(path.parent, os.O_RDONLY)
    try:
        os.fsync(folder)
    finally:
        os.close(folder)


def file_sha256(path: Path) -> str:
    """Return the sha256 of a file's bytes."""
    with path.open("rb") as stream:
        return hashlib.file_digest(stream, "sha256").hexdigest()
