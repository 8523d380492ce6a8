"""Near-duplicate texts by MinHash: which texts are nearly the same, without comparing all with all.

A text is the set of its word shingles.  64 hash functions give each set a signature in which two sets agree in a share of
places that is, on average, their Jaccard similarity (Broder 1997, https://doi.org/10.1109/SEQUEN.1997.666900); texts that
agree in a whole band of the signature are compared exactly.  So a reported pair is certain, and one at the threshold 0.7
is missed with probability 2e-4 (2 % at 0.5).  Groups are the same in every process.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Hashable, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from maskwright.corpus.shingles import WORD, WordHashes, runs
from maskwright.errors import ConfigError
from maskwright.keys import Key
from maskwright.text.table import scramble

__all__ = ["LOWEST_THRESHOLD", "WORD", "band_keys", "groups", "merge", "shingles", "signatures", "similar"]

PERMUTATIONS = 64
ROWS = 3  # places in a band; 21 bands catch a pair of similarity s with probability 1 - (1 - s^3)^21
LOWEST_THRESHOLD = 0.5
_MULTIPLIERS = Key(0).stream("duplicates.multiply").words(PERMUTATIONS) | np.uint64(1)
_OFFSETS = Key(0).stream("duplicates.add").words(PERMUTATIONS)


def groups(texts: Sequence[str], threshold: float = 0.7, *, shingle: int = 3) -> NDArray[np.int64]:
    """Number the groups of near-duplicates among N texts.

    Two texts are near-duplicates where the Jaccard similarity of their sets of ``shingle`` successive words, ignoring case
    and punctuation, is at least ``threshold``; a group is everything that such pairs connect.  A text of fewer words is one
    shingle; texts without a word are one group.

    Returns the group of each text, (N,), numbered from 0 in the order of each group's first text.
    Raises ConfigError for a threshold outside 0.5 to 1, where banding would miss too many pairs, or a shingle below 1.
    """
    if not LOWEST_THRESHOLD <= threshold <= 1:
        raise ConfigError(f"threshold: {threshold} is outside {LOWEST_THRESHOLD} to 1. 0.7 is a good start.")
    if shingle < 1:
        raise ConfigError(f"shingle: {shingle} words are no shingle. 3 suits short texts, 5 long ones.")
    hashes = WordHashes()
    sets = [shingles(hashes(text), shingle) for text in texts]
    forest = _Forest(len(texts))
    compared: set[tuple[int, int]] = set()
    for bucket in _buckets(signatures(sets)):
        for place, right in enumerate(bucket):
            for left in bucket[:place]:
                if (left, right) in compared or forest.root(left) == forest.root(right):
                    continue
                compared.add((left, right))
                if similar(sets[left], sets[right], threshold):
                    forest.join(left, right)
    return forest.numbers()


def merge(*partitions: Sequence[Hashable] | NDArray[np.int64]) -> NDArray[np.int64]:
    """Number the groups that several groupings of the same N things make together.

    Things that share a group in any of the groupings share one in the result, (N,), numbered as in ``groups``.
    """
    forest = _Forest(len(partitions[0]))
    for partition in partitions:
        first: dict[Hashable, int] = {}
        for thing, group in enumerate(partition):
            forest.join(first.setdefault(group, thing), thing)
    return forest.numbers()


class _Forest:
    """Union-find in which the root of a group is its first member."""

    def __init__(self, count: int) -> None:
        self._parent = list(range(count))

    def root(self, node: int) -> int:
        parent = self._parent
        while parent[node] != node:
            parent[node] = parent[parent[node]]
            node = parent[node]
        return node

    def join(self, left: int, right: int) -> None:
        first, second = sorted((self.root(left), self.root(right)))
        self._parent[second] = first

    def numbers(self) -> NDArray[np.int64]:
        roots = np.array([self.root(node) for node in range(len(self._parent))], dtype=np.int64)
        return np.unique(roots, return_inverse=True)[1].astype(np.int64)


def shingles(words: NDArray[np.uint64], size: int) -> NDArray[np.uint64]:
    """Return the sorted distinct shingles of a text, given the hashes of its words; at least one."""
    if len(words) == 0:
        return np.zeros(1, np.uint64)
    return np.unique(runs(words, min(size, len(words))))


def signatures(sets: Sequence[NDArray[np.uint64]]) -> NDArray[np.uint64]:
    """Return the minima of every set under every hash function, (N, PERMUTATIONS)."""
    if not sets:
        return np.zeros((0, PERMUTATIONS), dtype=np.uint64)
    flat = np.concatenate(sets)
    starts = np.cumsum([0, *(len(members) for members in sets[:-1])])
    columns = [
        np.minimum.reduceat(scramble(flat * multiplier + offset), starts)
        for multiplier, offset in zip(_MULTIPLIERS, _OFFSETS, strict=True)
    ]
    return np.stack(columns, axis=1)


def band_keys(rows: NDArray[np.uint64]) -> NDArray[np.uint64]:
    """Return 128 bits for each band of each signature: (N, PERMUTATIONS) -> (N, bands, 2)."""
    keys = []
    for band, start in enumerate(range(0, PERMUTATIONS - ROWS + 1, ROWS)):
        places = rows[:, start : start + ROWS]
        key = np.full((len(rows), 2), band, np.uint64)
        for place in range(ROWS):
            key[:, 0] = scramble(key[:, 0] + places[:, place])
            key[:, 1] = scramble(key[:, 1] ^ key[:, 0])
        keys.append(key)
    return np.stack(keys, axis=1)


def _buckets(signatures: NDArray[np.uint64]) -> list[list[int]]:
    """Return the texts, two or more and in order, that agree in a whole band; each set of texts once."""
    found: dict[tuple[int, ...], None] = {}
    for start in range(0, PERMUTATIONS - ROWS + 1, ROWS):
        band: defaultdict[bytes, list[int]] = defaultdict(list)
        for text, row in enumerate(np.ascontiguousarray(signatures[:, start : start + ROWS])):
            band[row.tobytes()].append(text)
        found.update((tuple(bucket), None) for bucket in band.values() if len(bucket) > 1)
    return [list(bucket) for bucket in found]


def similar(left: NDArray[Any], right: NDArray[Any], threshold: float) -> bool:
    """Whether two sets, sorted, have at least this Jaccard similarity."""
    shorter, longer = sorted((len(left), len(right)))
    if shorter < threshold * longer:
        return False
    common = len(np.intersect1d(left, right, assume_unique=True))
    return common >= threshold * (len(left) + len(right) - common)
