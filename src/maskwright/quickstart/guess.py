"""Sentences from held-out documents with one word hidden, to see what a model makes of them before and after."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import pairwise

import numpy as np
from numpy.typing import NDArray

from maskwright.corpus.store import Corpus
from maskwright.keys import Key
from maskwright.text.sentences import sentence_ends
from maskwright.text.tokenizer import Tokenizer

__all__ = ["Riddle", "riddles"]

_TOKENS = (8, 24)
_LATEST = 1_500
"""Documents are tried until enough riddles are found, at most so many."""


@dataclass(frozen=True)
class Riddle:
    """A sentence with a hidden word."""

    left: str
    answer: str
    right: str

    @property
    def prompt(self) -> str:
        """The sentence with [MASK] for the word."""
        return f"{self.left}[MASK]{self.right}"


def riddles(corpus: Corpus, documents: NDArray[np.int64], tokenizer: Tokenizer, count: int, seed: int) -> list[Riddle]:
    """Return up to ``count`` riddles, one a document, the same for the same seed.

    The hidden word is one whole piece of at least four letters and is not the sentence's first: guessing "the" shows little.
    """
    order = Key(seed).stream("quickstart.riddles").order(len(documents))[:_LATEST]
    found: list[Riddle] = []
    for place in order:
        if len(found) == count:
            break
        _, text = corpus.text(int(documents[place]))
        found.extend(_from_document(text, tokenizer, Key(seed, sample=int(documents[place]))))
    return found


def _from_document(text: str, tokenizer: Tokenizer, key: Key) -> Iterator[Riddle]:
    sentences = [text[a:b].strip() for a, b in pairwise([0, *sentence_ends(text)])]
    for number in key.stream("quickstart.sentence").order(len(sentences))[:20]:
        sentence = sentences[number]
        if not sentence[:1].isupper() or not sentence.endswith(".") or "\n" in sentence:
            continue
        encoded = tokenizer.encode_with_offsets(sentence)
        if not _TOKENS[0] <= len(encoded.ids) <= _TOKENS[1]:
            continue
        words = _whole_words(sentence, encoded.words, encoded.offsets)
        if words:
            begin, end = words[key.stream("quickstart.word").below(len(words))]
            yield Riddle(sentence[:begin], sentence[begin:end], sentence[end:])
            return


def _whole_words(sentence: str, words: Sequence[int], offsets: Sequence[tuple[int, int]]) -> list[tuple[int, int]]:
    """Places of words that are one piece of at least four letters, the first word left out."""
    return [
        place
        for word, place in zip(words, offsets, strict=True)
        if word > 0 and list(words).count(word) == 1 and place[1] - place[0] >= 4 and sentence[slice(*place)].isalpha()
    ]
