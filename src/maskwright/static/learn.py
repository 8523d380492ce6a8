"""word2vec and fastText learnt from text, by gensim.

The words of the text go to a temporary file once, so that every pass reads them from there and memory holds only the
vocabulary and the vectors.  One thread learns: more of them write into the same matrix without locks (Recht et al. 2011,
https://arxiv.org/abs/1106.5730), and then no two runs are alike.  So the same text, options, machine and versions give the
same bytes.
"""

from __future__ import annotations

import tempfile
from collections.abc import Callable, Iterable, Iterator, Mapping
from typing import IO, Any

import numpy as np

from maskwright.errors import InputError, MissingExtra
from maskwright.keys import Key
from maskwright.static.config import FasttextConfig, OnehotConfig, Word2vecConfig
from maskwright.static.sparse import SparseVectors
from maskwright.static.subwords import Subwords
from maskwright.static.vectors import WordVectors

__all__ = ["need_gensim", "train"]

_LONGEST = 10_000
"""Words that gensim takes at once; it leaves out, without a word, what a longer text has beyond."""


def need_gensim() -> None:
    """Raise MissingExtra without gensim."""
    try:
        import gensim.models  # noqa: F401
    except ImportError as error:
        raise MissingExtra("gensim", "static", "training word2vec or fastText") from error


def train(
    texts: Iterable[str],
    config: OnehotConfig | Word2vecConfig,
    *,
    facts: Mapping[str, Any] | None = None,
    progress: Callable[[float], None] = lambda fraction: None,
) -> WordVectors | SparseVectors:
    """Learn vectors of the kind that ``config`` belongs to from texts, which are read once.

    facts: where the texts come from, kept with the vectors.  progress is told the share of the passes that is done.
    Raises InputError where no word is frequent enough, MissingExtra without gensim (or rjieba, for Chinese).
    """
    if isinstance(config, OnehotConfig):
        return SparseVectors.fit(texts, config, facts)
    need_gensim()
    config.words.need()
    with tempfile.TemporaryFile("w+", encoding="utf-8", newline="\n") as file:
        words = _spool(texts, config, file)
        if not words:
            raise InputError("there is no word in the texts; are they of another script, or empty?")
        return _learn(_Spooled(file, words * (1 + config.epochs), progress), words, config, dict(facts or {}))


def _spool(texts: Iterable[str], config: Word2vecConfig, file: IO[str]) -> int:
    total = 0
    for text in texts:
        words = config.words.split(text)
        total += len(words)
        for begin in range(0, len(words), _LONGEST):
            file.write(" ".join(words[begin : begin + _LONGEST]) + "\n")
    return total


class _Spooled:
    """The words of the texts, again for every pass."""

    def __init__(self, file: IO[str], total: int, progress: Callable[[float], None]) -> None:
        self._file, self._total, self._progress = file, total, progress
        self._read = 0

    def __iter__(self) -> Iterator[list[str]]:
        self._file.seek(0)
        for number, line in enumerate(self._file):
            words = line.split()
            self._read += len(words)
            if number % 1000 == 0:
                self._progress(min(1.0, self._read / self._total))
            yield words


def _learn(words: _Spooled, total: int, config: Word2vecConfig, facts: dict[str, Any]) -> WordVectors:
    from gensim.models import FastText, Word2Vec

    options: dict[str, Any] = {
        "vector_size": config.width,
        "window": config.window,
        "min_count": config.min_count,
        "max_final_vocab": config.max_words,
        "sg": int(config.architecture == "skipgram"),
        "negative": config.negative,
        "sample": config.sample,
        "alpha": config.lr,
        "min_alpha": config.lr_end,
        "epochs": config.epochs,
        "seed": Key(config.seed).stream("static.train").below(2**31),
        "workers": 1,
    }
    fast = isinstance(config, FasttextConfig)
    if isinstance(config, FasttextConfig):
        options |= {"min_n": config.min_n, "max_n": config.max_n, "bucket": config.buckets}
    model = FastText(**options) if fast else Word2Vec(**options)
    model.build_vocab(words)
    if not len(model.wv):
        raise InputError(
            f"no word occurs {config.min_count} times in {total:,} words; lower min_count or give more text"
        )
    model.train(words, total_examples=model.corpus_count, epochs=model.epochs)
    names = list(model.wv.index_to_key)
    return WordVectors(
        names,
        np.asarray(model.wv.vectors, np.float32),
        split=config.words,
        kind="fasttext" if fast else "word2vec",
        counts_V=np.array([model.wv.get_vecattr(name, "count") for name in names], np.int64),
        subwords=Subwords(model.wv.vectors_ngrams, config.min_n, config.max_n)
        if isinstance(config, FasttextConfig)
        else None,
        facts={**facts, "words read": total, "config": config.model_dump(exclude={"words"})},
    )
