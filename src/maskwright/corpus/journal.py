"""How far a build is, so that it can go on after it was ended, however it was ended.

    build.json        this: written anew after each shard, gone when the corpus is complete
    seen-00000.npz    what the documents of a shard are told again by, where duplicates are looked for

A shard that is not in the journal does not exist: it is made again.
"""

from __future__ import annotations

import shutil
from pathlib import Path
from typing import Literal

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from maskwright.corpus.chunks import Place
from maskwright.corpus.ledger import Ledger, TokenLedger
from maskwright.corpus.manifest import MANIFEST, TextShard, TokenShard, new_file
from maskwright.errors import InputError

__all__ = ["JOURNAL", "Journal", "claim", "clear", "seen_name"]

JOURNAL = "build.json"


class Journal(BaseModel):
    """The state between two shards."""

    model_config = ConfigDict(extra="forbid")

    schema_version: Literal[2] = 2
    settings: dict[str, str]
    """What decides the bytes of the corpus, besides the input."""
    sources: list[tuple[str, int]]
    """Names and sizes of what is read."""
    place: Place = Field(default_factory=Place)
    decided: Ledger = Field(default_factory=Ledger)
    """What became of the documents that were read."""
    tokens: TokenLedger = Field(default_factory=TokenLedger)
    shards: list[TextShard] = Field(default_factory=list)
    token_shards: list[TokenShard] = Field(default_factory=list)
    content: str = ""
    """The fingerprint so far."""

    def write(self, folder: Path) -> None:
        """Write atomically."""
        with new_file(folder / JOURNAL) as stream:
            stream.write(self.model_dump_json().encode())

    def files(self) -> set[str]:
        """Names of the files that belong to it."""
        return {
            JOURNAL,
            *(shard.name for shard in (*self.shards, *self.token_shards)),
            *map(seen_name, range(len(self.shards))),
        }


def seen_name(shard: int) -> str:
    """Return the name of the file that goes with a shard."""
    return f"seen-{shard:05d}.npz"


def claim(out: Path, new: Journal) -> Journal:
    """Return the journal to go on from: ``new`` in an empty folder, or that of an interrupted build of the same corpus.

    Raises InputError where the folder holds something else.
    """
    if (out / MANIFEST).exists() and not (out / JOURNAL).exists():
        raise InputError(
            f"corpus/build: {out} already holds a corpus, which is never written over. "
            "Choose another folder, or remove that one first; add_tokens adds another tokenizer's tokens to it."
        )
    out.mkdir(parents=True, exist_ok=True)
    (out / f"{JOURNAL}.partial").unlink(missing_ok=True)
    if not (out / JOURNAL).exists():
        if any(out.iterdir()):
            what = (
                "an interrupted build of which no journal is left" if any(out.glob("text-*.arrow*")) else "other files"
            )
            raise InputError(f"corpus/build: {out} holds {what}. Choose another folder, or remove that one first.")
        new.write(out)
        return new
    try:
        found = Journal.model_validate_json((out / JOURNAL).read_bytes())
    except ValidationError as error:
        raise InputError(
            f"corpus/build: {out / JOURNAL} is damaged or of another version. Remove the folder."
        ) from error
    _compare(out, found, new)
    if not (out / MANIFEST).exists():  # with one the corpus is complete, and its last shard in no journal
        clear(out, keep=found.files())
    return found


def _compare(out: Path, found: Journal, new: Journal) -> None:
    for name, value in new.settings.items():
        if found.settings.get(name) != value:
            raise InputError(
                f"corpus/build: {out} holds an interrupted build with {name} {found.settings.get(name)}, and {value} is "
                "asked for. Give it as before to go on, or remove the folder."
            )
    for number, (before, now) in enumerate(zip(found.sources, [*new.sources, *found.sources], strict=False)):
        # The file it was in may have been mended further on; what was read of it is compared when it is read again.
        if before[0] != now[0] or (number < found.place.source and before != now) or number >= len(new.sources):
            raise InputError(
                f"corpus/build: {out} holds an interrupted build of other input: {before[0]} was file {number + 1}, "
                f"{before[1]:,} bytes. Give the same files to go on, or remove the folder."
            )


def clear(out: Path, keep: set[str] | frozenset[str] = frozenset()) -> None:
    """Take away what builds write, except some names."""
    for pattern in ("text-*.arrow*", "tokens-*.arrow*", "seen-*.npz*", f"{MANIFEST}*", f"{JOURNAL}*"):
        for file in out.glob(pattern):
            if file.name not in keep:
                file.unlink()
    for folder in out.glob("tokenizer-*"):
        shutil.rmtree(folder)
