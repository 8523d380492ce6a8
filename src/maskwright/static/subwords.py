"""fastText's n-grams: a vector for a word that was never seen, from the pieces of its spelling.

A word is written <word>; each of its n-grams of ``min_n`` to ``max_n`` characters falls into one of B buckets by a hash, and
a bucket has a vector.  Bojanowski et al. 2017, section 3.2, https://arxiv.org/abs/1607.04606; the hash is that of
``Dictionary::hash`` in facebookresearch/fastText, which is FNV-1a on bytes widened with their sign.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

__all__ = ["Subwords", "buckets_of"]

_OFFSET, _PRIME, _MASK = 2166136261, 16777619, 0xFFFFFFFF
_SIGNED = [byte if byte < 128 else byte | 0xFFFFFF00 for byte in range(256)]


def buckets_of(word: str, min_n: int, max_n: int, buckets: int) -> list[int]:
    """Return the bucket of each n-gram of ``<word>``, in the order of where they begin; repeated ones are repeated.

    A single < or > is no n-gram.  Raises UnicodeEncodeError for half of a surrogate pair.
    """
    characters = [character.encode("utf-8") for character in f"<{word}>"]
    found = []
    for begin in range(len(characters)):
        hashed = _OFFSET
        for end in range(begin, min(begin + max_n, len(characters))):
            for byte in characters[end]:
                hashed = ((hashed ^ _SIGNED[byte]) * _PRIME) & _MASK
            length = end - begin + 1
            if length >= min_n and not (length == 1 and (begin == 0 or end == len(characters) - 1)):
                found.append(hashed % buckets)
    return found


@dataclass(frozen=True, eq=False)
class Subwords:
    """The n-grams of one set of vectors."""

    matrix_BD: NDArray[np.float32]
    """A row a bucket; may be mapped."""
    min_n: int
    """Characters in the shortest n-gram, the < and > included."""
    max_n: int
    """Characters in the longest n-gram."""

    def buckets(self, word: str) -> list[int]:
        """Return the rows of a word's n-grams."""
        return buckets_of(word, self.min_n, self.max_n, len(self.matrix_BD))

    def compose(self, word: str) -> NDArray[np.float32] | None:
        """Return the mean of the word's n-grams, (D,), or None where it has none: shorter than ``min_n``."""
        rows = self.buckets(word)
        return np.asarray(self.matrix_BD[rows].mean(axis=0, dtype=np.float64), np.float32) if rows else None
