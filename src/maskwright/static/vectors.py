"""A vector a word: looked up, compared, and averaged to vectors of texts.

A static vector is the same in every sentence, so the two senses of a word share one: what an encoder with context changed.
It costs a look-up, needs no network, and is what an encoder must beat.  The matrix may be mapped from a file: only rows that
are used are read.  A word that is not there is not passed over in silence: ``encode_counted`` tells how many there were.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from functools import cached_property
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from maskwright.errors import ConfigError, InputError, did_you_mean
from maskwright.static.coverage import Coverage, checked
from maskwright.static.subwords import Subwords
from maskwright.static.words import Words

__all__ = ["Pooling", "Unknown", "WordVectors"]

Pooling = Literal["mean", "sif"]
Unknown = Literal["skip", "zero", "refuse"]

SIF = 1e-3
"""a of the weight a / (a + p(word)).  Arora et al. 2017, section 3, https://openreview.net/forum?id=SyK00v5xx"""
_CHUNK = 1 << 16


class WordVectors:
    """V words with vectors of width D.

    Attributes:
        words: the vocabulary, row by row.
        matrix_VD: float32; mapped from its file where it was loaded from a folder.
        split: how texts are cut into words.
        kind: word2vec, fasttext or glove.
        counts_V: how often each word occurred in training, or None where the file did not say.
        subwords: fastText's n-grams, or None.
        facts: where the vectors come from.
    """

    def __init__(
        self,
        words: Sequence[str],
        matrix_VD: NDArray[np.float32],
        *,
        split: Words,
        kind: str,
        counts_V: NDArray[np.int64] | None = None,
        subwords: Subwords | None = None,
        facts: Mapping[str, Any] | None = None,
    ) -> None:
        self.words, self.matrix_VD, self.split, self.kind = words, matrix_VD, split, kind
        self.counts_V, self.subwords, self.facts = counts_V, subwords, dict(facts or {})
        if not len(words) or matrix_VD.ndim != 2 or matrix_VD.shape[0] != len(words):
            raise InputError(f"{len(words):,} words and a matrix of shape {matrix_VD.shape} do not belong together")
        self._row = {word: row for row, word in enumerate(words)}
        if len(self._row) != len(words):
            raise InputError(f"{len(words) - len(self._row):,} words are there twice; each needs one vector")

    @property
    def width(self) -> int:
        """D."""
        return int(self.matrix_VD.shape[1])

    def __len__(self) -> int:
        return len(self.words)

    def __contains__(self, word: str) -> bool:
        return word in self._row

    def row(self, word: str) -> int | None:
        """Return the number of a word in the vocabulary, or None."""
        return self._row.get(word)

    def vector(self, word: str) -> NDArray[np.float32]:
        """Return the vector of a word, (D,); fastText composes that of a word it has not seen.

        Raises InputError for a word without a vector.
        """
        if (found := self._find(word)) is not None:
            return found
        near = (other for other in self.words if other[:1] == word[:1] and abs(len(other) - len(word)) < 2)
        raise InputError(f"no vector for {word!r} among {len(self):,} words.{did_you_mean(word, near)}")

    def similarity(self, one: str, other: str) -> float:
        """Return the cosine of two words' vectors; 0 where one of them is all zeros."""
        a, b = (self.vector(word).astype(np.float64) for word in (one, other))
        lengths = float(np.linalg.norm(a) * np.linalg.norm(b))
        return float(a @ b) / lengths if lengths else 0.0

    def nearest(self, word: str, count: int = 10) -> list[tuple[str, float]]:
        """Return the ``count`` words of the highest cosine with a word, best first; the word itself is left out."""
        return self.nearest_to(self.vector(word), count, without=(word,))

    def analogy(self, one: str, to: str, other: str, count: int = 10) -> list[tuple[str, float]]:
        """Return what is to ``other`` as ``to`` is to ``one``: the nearest to v(to) - v(one) + v(other), each of length 1.

        The three words are left out (3CosAdd: Levy and Goldberg 2014, https://aclanthology.org/W14-1618).
        """
        a, b, c = (_unit(self.vector(word)) for word in (one, to, other))
        return self.nearest_to(b - a + c, count, without=(one, to, other))

    def nearest_to(
        self, vector_D: NDArray[np.float32], count: int = 10, *, without: Iterable[str] = ()
    ) -> list[tuple[str, float]]:
        """Return the words whose vectors have the highest cosine with ``vector_D``; of equals the more frequent first."""
        query = _unit(np.asarray(vector_D, np.float32))
        scores = np.concatenate([self.matrix_VD[at : at + _CHUNK] @ query for at in range(0, len(self), _CHUNK)])
        np.divide(scores, self._lengths_V, out=scores, where=self._lengths_V > 0)
        scores[self._lengths_V == 0] = -np.inf
        scores[[row for word in without if (row := self.row(word)) is not None]] = -np.inf
        count = min(count, len(self))
        best = np.argpartition(-scores, count - 1)[:count] if count else np.empty(0, np.int64)
        best = best[np.lexsort((best, -scores[best]))]
        return [(self.words[row], min(1.0, float(scores[row]))) for row in best if np.isfinite(scores[row])]

    def encode(
        self, texts: Sequence[str], *, pooling: Pooling = "mean", unknown: Unknown = "skip"
    ) -> NDArray[np.float32]:
        """Return one vector a text, (len(texts), D): the mean of its words' vectors.

        pooling: "mean", or "sif", which gives a word of frequency p the weight 0.001 / (0.001 + p) and needs counts.
        unknown: a word without a vector is left out of the mean ("skip"), counts as zeros ("zero"), or is an InputError
        ("refuse").  A text without any vector gets zeros.
        """
        return self.encode_counted(texts, pooling=pooling, unknown=unknown)[0]

    def encode_counted(
        self, texts: Sequence[str], *, pooling: Pooling = "mean", unknown: Unknown = "skip"
    ) -> tuple[NDArray[np.float32], Coverage]:
        """Return what ``encode`` does, and what became of the words."""
        if pooling not in ("mean", "sif") or unknown not in ("skip", "zero", "refuse"):
            raise ConfigError(f"pooling {pooling!r} is mean or sif; unknown {unknown!r} is skip, zero or refuse")
        weights_V = self._weights_V if pooling == "sif" else None
        out, seen = np.zeros((len(texts), self.width), np.float32), Coverage(texts=len(texts))
        for at, text in enumerate(checked(texts)):
            words = self.split.split(text)
            rows = [row for word in words if (row := self._row.get(word)) is not None]
            total = np.zeros(self.width, np.float64)
            if rows:
                vectors = self.matrix_VD[rows]
                total += vectors.sum(axis=0, dtype=np.float64) if weights_V is None else weights_V[rows] @ vectors
            made = 0
            for word in words if len(rows) < len(words) else ():
                if word in self._row:
                    continue
                if (vector := self._find(word)) is not None:
                    total, made = total + vector, made + 1  # of probability 0, so of weight 1
                elif unknown == "refuse":
                    raise InputError(f"encode: texts[{at}] has the word {word!r}, which has no vector")
                else:
                    seen.missing[word] += 1
            used = len(rows) + made
            seen.words, seen.known, seen.composed = (
                seen.words + len(words),
                seen.known + len(rows),
                seen.composed + made,
            )
            seen.empty += not used
            if used:
                out[at] = total / (len(words) if unknown == "zero" else used)
        return out, seen

    def coverage(self, texts: Sequence[str]) -> Coverage:
        """Count the words of some texts that have a vector."""
        return self.encode_counted(texts)[1]

    def _find(self, word: str) -> NDArray[np.float32] | None:
        row = self._row.get(word)
        if row is not None:
            return np.array(self.matrix_VD[row], np.float32)
        return self.subwords.compose(word) if self.subwords is not None else None

    @cached_property
    def _lengths_V(self) -> NDArray[np.float32]:
        parts = (self.matrix_VD[at : at + _CHUNK] for at in range(0, len(self), _CHUNK))
        return np.concatenate([np.linalg.norm(part, axis=1) for part in parts])

    @cached_property
    def _weights_V(self) -> NDArray[np.float64]:
        if self.counts_V is None or not self.counts_V.sum():
            raise ConfigError(
                'pooling "sif" needs how often each word occurred, which these vectors do not say; use "mean"'
            )
        return np.asarray(SIF / (SIF + self.counts_V / self.counts_V.sum()), np.float64)


def _unit(vector_D: NDArray[np.float32]) -> NDArray[np.float32]:
    length = np.linalg.norm(vector_D)
    return np.asarray(vector_D / length, np.float32) if length else vector_D
