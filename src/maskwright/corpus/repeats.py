"""How much of a corpus is said more than once: sentences compared by a hash of their ids.

The hash is multilinear, the sum of each id times a random word of its place (Carter & Wegman 1979,
https://doi.org/10.1016/0022-0000(79)90044-8): a few vector operations a token.  Memory is bounded: of a large corpus a
sample of the sentences is compared, chosen by the hash itself, so that all copies of a sentence are in it or none.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from maskwright.corpus.store import TokenColumn
from maskwright.keys import Key

__all__ = ["Repeats", "repeats"]

_SENTENCES = 1 << 21
"""Sentences compared, at the most about: some 100 MB."""
_TOKENS = 1 << 20
"""Tokens hashed at once."""
_PLACES = 1 << 12
_WORDS = Key(0).stream("repeats.hash").words(_PLACES) | np.uint64(1)
"""One for each place in a sentence; longer ones begin anew, so swapped halves of an enormous sentence look alike."""


@dataclass(frozen=True)
class Repeats:
    """What is said more than once."""

    share: float
    """Of the tokens, those in a sentence that was there before."""
    times: int
    """How often the sentence stands there that takes most tokens so."""
    begin: int
    """Its first token, in the whole corpus."""
    length: int
    """Its tokens."""


def repeats(column: TokenColumn, *, sentences: int = _SENTENCES) -> Repeats:
    """Compare the sentences of a column, or a sample of about ``sentences`` of them."""
    every = np.uint64(max(1, -(-column.sentences // sentences)))
    kept = [
        (hashes[taken], begins[taken], lengths[taken])
        for hashes, begins, lengths in _sentences(column)
        for taken in [(hashes >> np.uint64(40)) % every == 0]
    ]
    hashes, begins, lengths = (np.concatenate(each) for each in zip(*kept, strict=True)) if kept else [np.zeros(0)] * 3
    if not len(hashes):
        return Repeats(0.0, 0, 0, 0)
    _, first, counts = np.unique(hashes, return_index=True, return_counts=True)
    again = (counts - 1) * lengths[first]
    most = int(again.argmax())
    at = first[most]
    return Repeats(float(again.sum() / lengths.sum()), int(counts[most]), int(begins[at]), int(lengths[at]))


def _sentences(column: TokenColumn) -> Iterator[tuple[NDArray[np.uint64], NDArray[np.int64], NDArray[np.int64]]]:
    """Yield hash, first token and length of some sentences at a time."""
    for shard in column.shards:
        ends, at, begin = shard.sentence_ends.astype(np.int64), 0, 0
        while at < len(ends):
            stop = max(at + 1, int(np.searchsorted(ends, begin + _TOKENS)))
            lengths = np.diff(ends[at:stop], prepend=begin)
            starts = ends[at:stop] - lengths - begin
            end = int(ends[stop - 1])
            places = np.arange(end - begin) - np.repeat(starts, lengths)
            # One more than the id, so that the piece 0 counts too.
            terms = (shard.ids[begin:end].astype(np.uint64) + np.uint64(1)) * _WORDS[places % _PLACES]
            yield np.add.reduceat(terms, starts), shard.first_token + begin + starts, lengths
            at, begin = stop, end
