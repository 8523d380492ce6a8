"""A list of entities, found in token ids: what masking by entities hides as one.

The file is UTF-8 text with one entity a line: ``New York City``, ``北京大学``.  Empty lines and lines that begin with ``#`` are
skipped.  Each entity is written by the tokenizer itself, so case, accents and width are treated as it treats them in the
corpus, and no id ever changes.  An entity is found where it begins with a word and ends with one, as the corpus stores
them; where vocabularies write punctuation into the word before it (byte BPE, Unigram), also beside punctuation.  Of
entities that begin at the same word the longest is taken, from left to right, without overlap.

A trie finds them: a thousand entities or a million take about the same time.
Sun et al. 2019 (ERNIE), section 3.2, https://arxiv.org/abs/1904.09223
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from itertools import chain
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from maskwright.errors import DataError, InputError
from maskwright.text.tokenizer import Tokenizer

__all__ = ["LONGEST", "Gazetteer", "read_entities"]

LONGEST = 64
"""Tokens of the longest entity that is looked for."""
_MOST_BYTES = 1 << 30


def read_entities(path: Path) -> Iterator[str]:
    """Yield the entities of a file; DataError with file and line for bytes that are not UTF-8, InputError for no file."""
    if not path.is_file():
        raise InputError(f"{path}: no such gazetteer. It is a text file with one entity a line.")
    if path.stat().st_size > _MOST_BYTES:
        raise InputError(
            f"{path}: {path.stat().st_size:,} bytes is too much for a gazetteer; the most is {_MOST_BYTES:,}."
        )
    with path.open("rb") as file:
        for number, data in enumerate(file, start=1):
            try:
                line = data.decode("utf-8-sig" if number == 1 else "utf-8").strip()
            except UnicodeDecodeError as error:
                raise DataError(
                    f"byte 0x{data[error.start]:02x} at place {error.start + 1} of the line is not UTF-8. "
                    "Save the file as UTF-8.",
                    file=path,
                    line=number,
                ) from None
            if "\0" in line:
                raise DataError("a NUL is no part of an entity. Is this a text file?", file=path, line=number)
            yield line


@dataclass(frozen=True)
class Gazetteer:
    """Entities as a trie over ids.  Picklable."""

    first_V: NDArray[np.int32]
    """(V,) the node behind an entity's first piece, 0 where none begins so."""
    edges: dict[int, int]
    """node · V + id -> the node behind, for every further piece."""
    ends: bytes
    """1 for each node at which an entity ends."""
    apart_V: NDArray[np.bool_]
    """(V,) whether a piece is punctuation or space alone, so that an entity may begin behind it and end before it."""
    counts: dict[str, int]
    """What became of the lines: lines, entities, empty, duplicate, unknown, too long."""
    digest: str
    """SHA-256 of the lines; a run refuses to go on with another list."""

    @classmethod
    def read(cls, path: Path, tokenizer: Tokenizer) -> Gazetteer:
        """Read a file; InputError where it has not one entity that can be found, DataError as ``read_entities``."""
        made = cls.of(read_entities(path), tokenizer)
        if not made.counts["entities"]:
            found = ", ".join(f"{count:,} {name}" for name, count in made.counts.items() if count) or "it is empty"
            raise InputError(
                f"{path}: not one entity that this vocabulary can write ({found}). Give one entity a line."
            )
        return made

    @classmethod
    def of(cls, lines: Iterable[str], tokenizer: Tokenizer) -> Gazetteer:
        """Make the trie of some lines."""
        counts = dict.fromkeys(("lines", "entities", "empty", "duplicate", "unknown", "too long"), 0)
        names: list[str] = []
        digest = hashlib.sha256()
        for line in lines:
            counts["lines"] += 1
            digest.update(line.encode() + b"\n")
            if line and not line.startswith("#"):
                names.append(line)
            else:
                counts["empty"] += 1
        unknown, limit = tokenizer.roles.get("unk"), tokenizer.vocab_size
        trie = _Trie(np.zeros(limit, np.int32), {}, bytearray(1))
        variants = (_variants(tokenizer, names[at : at + 65_536]) for at in range(0, len(names), 65_536))
        for spellings in chain.from_iterable(variants):
            if not spellings[0] or max(map(len, spellings)) > LONGEST or unknown in spellings[0]:
                why = "empty" if not spellings[0] else "unknown" if unknown in spellings[0] else "too long"
                counts[why] += 1
                continue
            is_new = [trie.add(ids) for ids in spellings]
            counts["entities" if is_new[0] else "duplicate"] += 1
        return cls(trie.first_V, trie.edges, bytes(trie.ends), _apart(tokenizer), counts, digest.hexdigest())

    def find(
        self, ids: NDArray[np.int64], starts: NDArray[np.bool_], special: NDArray[np.bool_]
    ) -> list[tuple[int, int]]:
        """Return where the entities of a sample are: (begin, end) places, ascending, without overlap.

        ids, starts, special: (T,) as in ``Sample``.  A special token is in no entity, for no text has its id.
        """
        border = self.apart_V[ids] | special
        border[1:] |= border[:-1]
        border |= starts
        first_T = self.first_V[ids]
        first_T[~border] = 0
        begins = first_T.nonzero()[0]
        if not len(begins):
            return []
        follow, ends, limit, count = self.edges.get, self.ends, len(self.first_V), len(ids)
        borders, here = [*border.tolist(), True], ids.tolist()  # behind the last token too
        found, done = [], 0
        for begin, node in zip(begins.tolist(), first_T[begins].tolist(), strict=True):
            if begin < done:
                continue
            at = begin + 1
            while True:
                if ends[node] and borders[at]:
                    done = at
                if at == count or not (node := follow(node * limit + here[at], 0)):
                    break
                at += 1
            if done > begin:
                found.append((begin, done))
        return found


@dataclass
class _Trie:
    """Nodes are numbered in the order in which they are added; node 0 is the root."""

    first_V: NDArray[np.int32]
    edges: dict[int, int]
    ends: bytearray

    def add(self, ids: Sequence[int]) -> bool:
        """Add one spelling; whether it is new."""
        limit, node = len(self.first_V), 0
        for number in ids:
            edge = node * limit + number
            behind = self.edges.get(edge, 0) if node else int(self.first_V[number])
            if not behind:
                behind = len(self.ends)
                self.ends.append(0)
                if node:
                    self.edges[edge] = behind
                else:
                    self.first_V[number] = behind
            node = behind
        is_new = not self.ends[node]
        self.ends[node] = 1
        return is_new


def _variants(tokenizer: Tokenizer, names: Sequence[str]) -> list[list[list[int]]]:
    """Every way in which each name may be written: as a text of its own, and for byte BPE behind a space."""
    plain = tokenizer.encode_batch(names)
    if tokenizer.kind != "bpe":
        return [[ids] for ids in plain]
    spaced = tokenizer.encode_batch([f" {name}" for name in names])
    return [list(both) for both in zip(plain, spaced, strict=True)]


def _apart(tokenizer: Tokenizer) -> NDArray[np.bool_]:
    """Which pieces hold no letter and no digit."""
    pieces = tokenizer.pieces(range(tokenizer.vocab_size))
    bare = [piece.lstrip("ĠĊ▁") if tokenizer.kind != "wordpiece" else piece.removeprefix("##") for piece in pieces]
    return np.array([not any(map(str.isalnum, piece)) for piece in bare], dtype=np.bool_)
