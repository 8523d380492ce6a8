"""A list of entities, found in token ids: what masking by entities hides as one.

The file is UTF-8 text with one entity a line: ``New York City``, ``北京大学``.  Empty lines and lines that begin with ``#`` are
skipped.  Each entity is written by the tokenizer itself, so case, accents and width are treated as it treats them in the
corpus, and no id ever changes.  An entity is found where it begins with a word and ends with one, as the corpus stores
them; where vocabularies write punctuation into the word before it (byte BPE, Unigram), also beside punctuation.  Of
entities that begin at the same word the longest is taken, from left to right, without overlap.

A trie in three arrays finds them: a thousand entities or a million take about the same time.
Sun et al. 2019 (ERNIE), section 3.2, https://arxiv.org/abs/1904.09223
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from maskwright.errors import DataError, InputError
from maskwright.text.tokenizer import Tokenizer

__all__ = ["LONGEST", "Gazetteer", "read_entities"]

LONGEST = 64
"""Tokens of the longest entity that is looked for."""
_MOST_BYTES = 1 << 30
_LINE_FEEDS = ("Ġ", "Ċ")
"""Byte BPE's space and line end, which a sentence before may have left as a piece of their own."""


def read_entities(path: Path) -> Iterator[str]:
    """Yield the entities of a file; DataError with file and line for bytes that are not UTF-8, InputError for no file."""
    if not path.is_file():
        raise InputError(f"{path}: no such gazetteer. It is a text file with one entity a line.")
    if path.stat().st_size > _MOST_BYTES:
        raise InputError(f"{path}: {path.stat().st_size:,} bytes is too much for a gazetteer; the most is {_MOST_BYTES:,}.")
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
    edges: NDArray[np.int64]
    """Ascending: node · V + id, for every further piece."""
    nodes: NDArray[np.int32]
    """The node behind each edge."""
    ends: NDArray[np.bool_]
    """Whether an entity ends at a node."""
    apart_V: NDArray[np.bool_]
    """(V,) whether a piece is punctuation or space alone, so that an entity may begin behind it and end before it."""
    counts: dict[str, int] = field(default_factory=dict)
    """What became of the lines: lines, entities, empty, duplicate, unknown, too long."""

    @classmethod
    def read(cls, path: Path, tokenizer: Tokenizer) -> Gazetteer:
        """Read a file; InputError where it has not one entity that can be found, DataError as ``read_entities``."""
        made = cls.of(read_entities(path), tokenizer)
        if not made.counts["entities"]:
            found = ", ".join(f"{count:,} {name}" for name, count in made.counts.items() if count) or "it is empty"
            raise InputError(f"{path}: not one entity that this vocabulary can write ({found}). Give one entity a line.")
        return made

    @classmethod
    def of(cls, lines: Iterable[str], tokenizer: Tokenizer) -> Gazetteer:
        """Make the trie of some lines."""
        counts = dict.fromkeys(("lines", "entities", "empty", "duplicate", "unknown", "too long"), 0)
        names: list[str] = []
        for line in lines:
            counts["lines"] += 1
            if line and not line.startswith("#"):
                names.append(line)
            else:
                counts["empty"] += 1
        unknown, limit = tokenizer.roles.get("unk"), tokenizer.vocab_size
        trie, ends = {}, [False]
        variants = [_variants(tokenizer, names[at : at + 65_536]) for at in range(0, len(names), 65_536)]
        for spellings in (each for part in variants for each in part):
            if not spellings[0] or max(map(len, spellings)) > LONGEST or unknown in spellings[0]:
                why = "empty" if not spellings[0] else "unknown" if unknown in spellings[0] else "too long"
                counts[why] += 1
                continue
            is_new = [_add(trie, ends, ids, limit) for ids in spellings]
            counts["entities" if is_new[0] else "duplicate"] += 1
        keys = np.fromiter(trie.keys(), np.int64, len(trie))
        values = np.fromiter(trie.values(), np.int32, len(trie))
        order = np.argsort(keys)
        keys, values = keys[order], values[order]
        roots = int(np.searchsorted(keys, limit))  # node 0's edges come first
        first_V = np.zeros(limit, np.int32)
        first_V[keys[:roots]] = values[:roots]
        return cls(first_V, keys[roots:], values[roots:], np.array(ends), _apart(tokenizer), counts)

    def find(
        self, ids: NDArray[np.int64], starts: NDArray[np.bool_], special: NDArray[np.bool_]
    ) -> list[tuple[int, int]]:
        """Return where the entities of a sample are: (begin, end) places, ascending, without overlap.

        ids, starts, special: (T,) as in ``Sample``.  A special token is in no entity.
        """
        border = starts | special
        loose = self.apart_V[ids]
        border |= loose
        border[1:] |= (loose | special)[:-1]
        begins = np.flatnonzero(border & ~special)
        nodes = self.first_V[ids[begins]]
        alive = nodes > 0
        begins, nodes = begins[alive], nodes[alive].astype(np.int64)
        if not len(begins):
            return []
        longest = np.zeros(len(begins), np.int64)
        rows, limit, depth, length = np.arange(len(begins)), len(self.first_V), 1, len(ids)
        while True:
            after = begins[rows] + depth
            complete = self.ends[nodes] & ((after == length) | border[np.minimum(after, length - 1)])
            longest[rows[complete]] = depth
            inside = after < length
            rows, nodes, after = rows[inside], nodes[inside], after[inside]
            if not len(rows) or not len(self.edges):
                break
            wanted = nodes * limit + ids[after]
            at = np.minimum(np.searchsorted(self.edges, wanted), len(self.edges) - 1)
            goes = (self.edges[at] == wanted) & ~special[after]
            rows, nodes = rows[goes], self.nodes[at[goes]].astype(np.int64)
            if not len(rows):
                break
            depth += 1
        return list(_without_overlap(begins[longest > 0].tolist(), longest[longest > 0].tolist()))


def _without_overlap(begins: Sequence[int], lengths: Sequence[int]) -> Iterator[tuple[int, int]]:
    done = 0
    for begin, length in zip(begins, lengths, strict=True):
        if begin >= done:
            done = begin + length
            yield begin, done


def _variants(tokenizer: Tokenizer, names: Sequence[str]) -> list[list[list[int]]]:
    """Every way in which each name may be written: as a text of its own, and for byte BPE behind a space."""
    plain = tokenizer.encode_batch(names)
    if tokenizer.kind != "bpe":
        return [[ids] for ids in plain]
    spaced = tokenizer.encode_batch([f" {name}" for name in names])
    known = set(tokenizer.pieces(range(tokenizer.vocab_size)))
    before = [[tokenizer.id_of(piece)] for piece in _LINE_FEEDS if piece in known]
    return [[ids, behind, *(one + ids for one in before)] for ids, behind in zip(plain, spaced, strict=True)]


def _add(trie: dict[int, int], ends: list[bool], ids: Sequence[int], limit: int) -> bool:
    """Add one spelling; whether it is new.  The trie maps node · V + id to a node; node 0 is the root."""
    node = 0
    for number in ids:
        edge = node * limit + number
        node = trie.get(edge, 0)
        if not node:
            node = trie[edge] = len(ends)
            ends.append(False)
    is_new = not ends[node]
    ends[node] = True
    return is_new


def _apart(tokenizer: Tokenizer) -> NDArray[np.bool_]:
    """Which pieces hold no letter and no digit."""
    pieces = tokenizer.pieces(range(tokenizer.vocab_size))
    bare = [piece.lstrip("ĠĊ▁") if tokenizer.kind != "wordpiece" else piece.removeprefix("##") for piece in pieces]
    return np.array([not any(map(str.isalnum, piece)) for piece in bare], dtype=np.bool_)
