"""One-hot and TF-IDF: a column a word, no learning, nothing known of two words but whether they are the same.

One-hot vectors are what word vectors were invented against: as wide as the vocabulary, nearly all zeros, and any two words
at right angles.  TF-IDF weighs each word by how few texts have it, with the smoothing of scikit-learn.  Salton and Buckley
1988, https://doi.org/10.1016/0306-4573(88)90021-0.  Inside all is sparse; ``encode`` is dense, so that it can stand where any
other encoder stands, and refuses to take more than DENSE_LIMIT bytes.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from functools import cached_property
from typing import Any

import numpy as np
from numpy.typing import NDArray

from maskwright.errors import InputError
from maskwright.static.config import OnehotConfig, TfidfConfig
from maskwright.static.coverage import Coverage, checked
from maskwright.static.words import Words

__all__ = ["DENSE_LIMIT", "SparseVectors"]

DENSE_LIMIT = 1 << 30
"""Bytes that ``encode`` may return: 1 GiB, 26,843 texts of 10,000 words."""


class SparseVectors:
    """V words, each a column.

    Attributes:
        words: the vocabulary, column by column, the most frequent first.
        split: how texts are cut into words.
        idf_V: float32 weight of each word, or None for one-hot.
        logarithmic: whether n occurrences count as 1 + ln n.
        counts_V: how many of the texts it was fitted on have each word, or None.
        facts: where the vectors come from.
    """

    def __init__(
        self,
        words: Sequence[str],
        *,
        split: Words,
        idf_V: NDArray[np.float32] | None = None,
        logarithmic: bool = False,
        counts_V: NDArray[np.int64] | None = None,
        facts: Mapping[str, Any] | None = None,
    ) -> None:
        self.words, self.split, self.idf_V, self.logarithmic, self.counts_V = words, split, idf_V, logarithmic, counts_V
        self.facts = dict(facts or {})
        if not len(words) or len(set(words)) != len(words):
            raise InputError(
                f"{len(words):,} words, of them {len(set(words)):,} different: each needs a column of its own"
            )

    @classmethod
    def fit(
        cls, texts: Iterable[str], config: OnehotConfig | TfidfConfig, facts: Mapping[str, Any] | None = None
    ) -> SparseVectors:
        """Learn the vocabulary, and for a TfidfConfig the weights, from texts that are read once.

        Raises InputError where no word is left.
        """
        from sklearn.feature_extraction.text import CountVectorizer, TfidfTransformer

        config.words.need()
        counter = CountVectorizer(analyzer=config.words.split, binary=True, dtype=np.int64)
        try:
            counts = counter.fit_transform(texts)
        except ValueError:  # an empty vocabulary
            raise InputError("there is no word in the texts; are they of another script, or empty?") from None
        names = counter.get_feature_names_out()
        having = np.asarray(counts.sum(axis=0)).ravel()
        # Of words that as many texts have, the first in the alphabet: the same for any order of the texts.
        order = np.lexsort((names, -having))
        order = order[having[order] >= config.min_count][: config.max_words]
        if not len(order):
            raise InputError(
                f"no word occurs in {config.min_count} texts or more ({counts.shape[0]:,} texts, {len(names):,} words); "
                "lower min_count"
            )
        idf = None
        if isinstance(config, TfidfConfig):
            idf = TfidfTransformer().fit(counts).idf_[order].astype(np.float32)
        return cls(
            [str(word) for word in names[order]],
            split=config.words,
            idf_V=idf,
            logarithmic=isinstance(config, TfidfConfig) and config.logarithmic,
            counts_V=having[order],
            facts={**(facts or {}), "texts": int(counts.shape[0])},
        )

    @property
    def kind(self) -> str:
        """Onehot or tfidf."""
        return "onehot" if self.idf_V is None else "tfidf"

    @property
    def width(self) -> int:
        """V, which is also D here."""
        return len(self.words)

    def __len__(self) -> int:
        return len(self.words)

    def encode_sparse(self, texts: Sequence[str]) -> Any:
        """Return a scipy CSR matrix, (len(texts), V) float32; TF-IDF rows have length 1, or 0 where no word is known."""
        from sklearn.preprocessing import normalize

        counts = self._counter.transform(checked(texts)).astype(np.float32)
        if self.idf_V is None:
            return counts
        if self.logarithmic:
            counts.data = 1 + np.log(counts.data)
        counts.data *= self.idf_V[counts.indices]
        return normalize(counts, copy=False)

    def encode(self, texts: Sequence[str]) -> NDArray[np.float32]:
        """Return one vector a text, (len(texts), V).  Raises InputError beyond DENSE_LIMIT: use ``encode_sparse``."""
        size = 4 * len(texts) * len(self)
        if size > DENSE_LIMIT:
            raise InputError(
                f"encode: {len(texts):,} texts by {len(self):,} words would take {size / 2**30:.1f} GiB, over the limit of "
                f"{DENSE_LIMIT / 2**30:.0f} GiB. Use encode_sparse, fewer texts at once, or max_words."
            )
        return np.asarray(self.encode_sparse(texts).toarray(), np.float32)

    def coverage(self, texts: Sequence[str]) -> Coverage:
        """Count the words of some texts that have a column."""
        seen, there = Coverage(texts=len(texts)), set(self.words)
        for text in checked(texts):
            words = self.split.split(text)
            missing = [word for word in words if word not in there]
            seen.missing.update(missing)
            seen.words, seen.known = seen.words + len(words), seen.known + len(words) - len(missing)
            seen.empty += len(missing) == len(words)
        return seen

    @cached_property
    def _counter(self) -> Any:
        from sklearn.feature_extraction.text import CountVectorizer

        return CountVectorizer(analyzer=self.split.split, vocabulary=list(self.words), binary=self.idf_V is None)
