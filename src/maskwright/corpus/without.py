"""Text that a task will ask about must not be learnt before: what a corpus shares with task files is cut out.

A run of 13 words that a task file has too (in Chinese 13 characters), ignoring case and punctuation, is shared text, as in
Brown et al. 2020, appendix C, https://arxiv.org/abs/2005.14165.  The sentences it touches are cut out of the document: a
novel is not lost for one quotation, and of a passage that is the task's own nothing stays, so that it is dropped.
"""

from __future__ import annotations

import csv
import gzip
import json
import lzma
from collections.abc import Callable, Iterable, Iterator
from functools import cached_property
from pathlib import Path
from typing import IO, Any

import numpy as np
from numpy.typing import NDArray

from maskwright.corpus.shingles import WORD, WordHashes, lowered, runs
from maskwright.errors import DataError, InputError, explain_os_error

__all__ = ["SIZE", "Without"]

SIZE = 13
"""Words.  Shorter runs are shared by chance and by idiom."""
_SUFFIXES = (".csv", ".tsv", ".json", ".jsonl", ".txt")
_OPENERS: dict[str, Callable[..., Any]] = {".gz": gzip.open, ".xz": lzma.open}
_SIEVE = (1 << 24) - 1


class Without:
    """The runs of words of some task files.

    Attributes:
        runs: their hashes, sorted.
        rows: texts read: the cells of .csv and .tsv, the strings of .json and .jsonl, the lines of .txt.
        short: those of fewer than 13 words, which cannot be looked for.
    """

    def __init__(self, files: Iterable[str | Path]) -> None:
        self.rows = self.short = 0
        hashes = WordHashes()
        found = [np.empty(0, np.uint64)]
        for file in files:
            for text in _texts(Path(file)):
                words = hashes(text)
                self.rows += len(words) > 0
                self.short += 0 < len(words) < SIZE
                found.append(runs(words, SIZE))
        self.runs = np.unique(np.concatenate(found))

    @cached_property
    def _sieve(self) -> NDArray[np.bool_]:
        # Nearly every run of a corpus is none of the task's: one look at a byte says so.
        sieve = np.zeros(_SIEVE + 1, np.bool_)
        sieve[self.runs & np.uint64(_SIEVE)] = True
        return sieve

    def __getstate__(self) -> dict[str, Any]:
        return {name: value for name, value in self.__dict__.items() if name != "_sieve"}

    def touched(self, text: str, ends: NDArray[np.int64], words: NDArray[np.uint64]) -> NDArray[np.bool_]:
        """Return which sentences of a text share a run with the task files, (S,).

        ends: the character after each sentence; words: the hash of each word, as WordHashes gives them.
        """
        cut = np.zeros(len(ends), np.bool_)
        found = runs(words, SIZE)
        maybe = np.flatnonzero(self._sieve[found & np.uint64(_SIEVE)]) if len(self.runs) else np.empty(0, np.int64)
        places = np.minimum(np.searchsorted(self.runs, found[maybe]), max(0, len(self.runs) - 1))
        first = maybe[self.runs[places] == found[maybe]]
        if len(first):
            begins = np.fromiter((match.start() for match in WORD.finditer(lowered(text))), np.int64, len(words))
            firsts, lasts = (np.searchsorted(ends, begins[at], "right") for at in (first, first + SIZE - 1))
            for begin, end in zip(firsts, lasts, strict=True):
                cut[begin : end + 1] = True
        return cut


def _texts(path: Path) -> Iterator[str]:
    packed = path.suffix if path.suffix in _OPENERS else ""
    kind = Path(path.name.removesuffix(packed)).suffix
    if kind not in _SUFFIXES:
        raise InputError(
            f"--without: {path} is none of {' '.join(_SUFFIXES)}, plain, .gz or .xz. Convert it to one of them."
        )
    try:
        with _OPENERS.get(packed, open)(path, "rt", encoding="utf-8-sig", errors="replace", newline="") as stream:
            yield from _read(path, kind, stream)
    except (EOFError, lzma.LZMAError, csv.Error) as error:
        raise DataError(f"damaged or cut off ({error}). Copy it again from its source.", file=path) from error
    except OSError as error:
        raise explain_os_error(error, "--without: reading") from error


def _read(path: Path, kind: str, stream: IO[str]) -> Iterator[str]:
    if kind == ".csv":
        csv.field_size_limit(1 << 30)
        for row in csv.reader(stream):
            yield from row
    elif kind == ".json":
        yield from _strings(_parse(path, None, stream.read()))
    else:
        for number, line in enumerate(stream, start=1):
            if kind == ".jsonl":
                yield from _strings(_parse(path, number, line)) if line.strip() else ()
            else:
                yield from line.split("\t")


def _parse(path: Path, line: int | None, content: str) -> Any:
    try:
        return json.loads(content)
    except (ValueError, RecursionError) as error:
        raise DataError(f"not JSON ({error}). Mend or remove it.", file=path, line=line) from error


def _strings(value: Any) -> Iterator[str]:
    if isinstance(value, str):
        yield value
    elif isinstance(value, (list, dict)):
        for inside in value.values() if isinstance(value, dict) else value:
            yield from _strings(inside)
