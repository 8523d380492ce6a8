"""What a user can set of static vectors, a class a kind."""

from __future__ import annotations

from typing import Literal, Self

from pydantic import Field, model_validator

from maskwright.config import Config
from maskwright.static.words import Words

__all__ = ["KINDS", "FasttextConfig", "OnehotConfig", "TfidfConfig", "Word2vecConfig"]


class OnehotConfig(Config):
    """A column a word: 1 where the text has it."""

    words: Words = Words()
    """How texts are cut into words."""
    min_count: int = Field(2, ge=1)
    """A word must occur in so many texts."""
    max_words: int | None = Field(None, ge=1)
    """Keep only so many of the most frequent words."""


class TfidfConfig(OnehotConfig):
    """A column a word: how often the text has it, times how few texts do; each text has length 1."""

    logarithmic: bool = False
    """Count a word that occurs n times as 1 + ln n."""


class Word2vecConfig(Config):
    """Vectors from which the words around can be told.  Mikolov et al. 2013, https://arxiv.org/abs/1310.4546"""

    words: Words = Words()
    """How texts are cut into words."""
    architecture: Literal["skipgram", "cbow"] = "skipgram"
    """skipgram: from a word its neighbours; cbow: from its neighbours a word, faster and weaker on rare words."""
    width: int = Field(100, ge=1, le=4096)
    """Numbers in a vector."""
    window: int = Field(5, ge=1)
    """Words to each side that count as neighbours, at most."""
    min_count: int = Field(5, ge=1)
    """A word must occur so often."""
    max_words: int | None = Field(None, ge=1)
    """Keep only so many of the most frequent words."""
    epochs: int = Field(5, ge=1)
    """Passes over the text."""
    negative: int = Field(5, ge=1)
    """Words drawn at random against each true neighbour."""
    sample: float = Field(1e-3, ge=0)
    """Words more frequent than this share of the text are left out now and then; 0 leaves none out."""
    lr: float = Field(0.025, gt=0)
    """Learning rate at the beginning."""
    lr_end: float = Field(1e-4, gt=0)
    """Learning rate at the end."""
    seed: int = Field(0, ge=0)
    """Of all random choices."""


class FasttextConfig(Word2vecConfig):
    """Word2vec whose words share the vectors of their n-grams.  Bojanowski et al. 2017, https://arxiv.org/abs/1607.04606"""

    min_n: int = Field(3, ge=1)
    """Characters in the shortest n-gram."""
    max_n: int = Field(6, ge=1)
    """Characters in the longest n-gram."""
    buckets: int = Field(200_000, ge=1)
    """Vectors that all n-grams share by their hash; the published models have 2,000,000."""

    @model_validator(mode="after")
    def _ordered(self) -> Self:
        if self.max_n < self.min_n:
            raise ValueError(f"max_n is {self.max_n}, less than min_n {self.min_n}; there would be no n-gram")
        return self


KINDS: dict[str, type[OnehotConfig] | type[Word2vecConfig]] = {
    "onehot": OnehotConfig,
    "tfidf": TfidfConfig,
    "word2vec": Word2vecConfig,
    "fasttext": FasttextConfig,
}
"""The kinds that can be made from text."""
