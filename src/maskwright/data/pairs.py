"""How documents become examples: pairs of segments as BERT and ALBERT make them, or single sentences, or runs of them.

Pairs: Devlin et al. 2019, appendix A.2, and the published ``create_pretraining_data.py``: walk a document, collect sentences up
to a target length, split them at random into A and B, replace B by text from elsewhere in half of the cases (then B's
sentences are used again), cut tokens at random from front or back of the longer segment.  Deliberate differences:

- "elsewhere" is always another document (there: up to ten draws, then possibly the same one);
- the target length, when it is short, and all other choices are keyed by (seed, epoch, document), not by a shared generator.

Neighbours: Lan et al. 2020, section 3.1: both segments from the same document, in half of the cases in the other order.

Columns of a plan made here: A begins, A ends, B begins, B ends (global token offsets), label.
"""

from __future__ import annotations

from array import array
from bisect import bisect_left
from collections.abc import Iterator
from dataclasses import dataclass
from itertools import pairwise
from typing import TYPE_CHECKING, ClassVar, Protocol

import numpy as np
from numpy.typing import NDArray

from maskwright.errors import ConfigError, InputError
from maskwright.keys import Key, Stream

if TYPE_CHECKING:  # a corpus brings pyarrow, which encoding has no use for
    from maskwright.corpus.store import TokenColumn

__all__ = [
    "ENDS",
    "FOLLOWS",
    "GOES_ON",
    "IN_ORDER",
    "RANDOM",
    "SWAPPED",
    "Chunks",
    "NeighbourPairs",
    "NextPairs",
    "Pairing",
    "Runs",
    "Sentences",
    "check_room",
]

FOLLOWS, RANDOM = 0, 1
"""Labels of a pair, as in BERT's weights; the API speaks the names."""

IN_ORDER, SWAPPED = 0, 1
"""Labels of two neighbours, as in ALBERT's weights; the API speaks the names."""

GOES_ON, ENDS = 0, 1
"""Labels of a chunk: whether the document ends with it."""

Example = tuple[int, int, int, int, int]


class Pairing(Protocol):
    """How documents become examples.  ``length`` counts special tokens."""

    texts: ClassVar[int]
    """Texts in an example: 1 or 2."""

    @property
    def special(self) -> int:
        """Special tokens of an example: what the tokenizer's frame says."""
        ...

    def __call__(self, column: TokenColumn, documents: NDArray[np.int64], key: Key) -> NDArray[np.int64]:
        """Return (E, 5) over the given documents: the columns named above; a single segment has an empty B."""
        ...


class _Table:
    """Rows of five numbers that grow: 40 bytes a row, where a list of tuples takes some 200."""

    def __init__(self) -> None:
        self._flat = array("q")
        self.add = self._flat.extend

    def rows(self) -> NDArray[np.int64]:
        """(E, 5)."""
        return np.array(self._flat, dtype=np.int64).reshape(-1, 5)


def _bounds(column: TokenColumn) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Document -> first sentence, and sentence -> first token, over all shards, each with its end."""
    documents = [shard.first_sentence + np.append(0, shard.document_ends)[:-1] for shard in column.shards]
    sentences = [shard.first_token + np.append(0, shard.sentence_ends)[:-1] for shard in column.shards]
    return (
        np.append(np.concatenate(documents), column.sentences).astype(np.int64),
        np.append(np.concatenate(sentences), column.tokens).astype(np.int64),
    )


def _with_text(documents: NDArray[np.int64], sentences: NDArray[np.int64]) -> NDArray[np.int64]:
    """The documents that have a sentence: all but a few whose characters this tokenizer drops."""
    return documents[sentences[documents + 1] > sentences[documents]]


def check_room(length: int, special: int, texts: int = 2) -> None:
    """Refuse a length that has no token for each text beside the special ones."""
    if length < special + texts:
        raise ConfigError(f"length {length} leaves no room for text beside {special} special tokens; use 16 or more")


@dataclass(frozen=True)
class Runs:
    """Single segments: as many whole sentences of one document as fit; a longer sentence is cut.  No token is lost."""

    length: int
    short_rate: float = 0.1
    """Share of documents cut to a random shorter length, so that short inputs are met in pre-training too."""
    special: int = 2
    """Special tokens of an example, by the tokenizer's frame."""
    texts: ClassVar[int] = 1

    def __call__(self, column: TokenColumn, documents: NDArray[np.int64], key: Key) -> NDArray[np.int64]:
        """Return (E, 5), B empty."""
        check_room(self.length, self.special)
        sentences, tokens = _bounds(column)
        examples = _Table()
        for document in _with_text(documents, sentences).tolist():
            room = _target(key.at(document).stream("runs.length"), self.length - self.special, self.short_rate)
            ends = tokens[sentences[document] : sentences[document + 1] + 1].tolist()
            begin = ends[0]
            while begin < ends[-1]:
                fits = bisect_left(ends, begin + room + 1) - 1
                end = ends[fits] if ends[fits] > begin else begin + room
                examples.add((begin, end, end, end, FOLLOWS))
                begin = end
        return examples.rows()


@dataclass(frozen=True)
class Sentences:
    """Single texts of one sentence; a longer one is cut before the last word that begins in the room.  No token is lost."""

    length: int
    special: int = 2
    """Special tokens of an example, by the tokenizer's frame."""
    texts: ClassVar[int] = 1

    def __call__(self, column: TokenColumn, documents: NDArray[np.int64], key: Key) -> NDArray[np.int64]:
        """Return (E, 5), B empty; nothing is drawn."""
        check_room(self.length, self.special)
        sentences, tokens = _bounds(column)
        room = self.length - self.special
        examples = _Table()
        for document in _with_text(documents, sentences).tolist():
            for begin, last in pairwise(tokens[sentences[document] : sentences[document + 1] + 1].tolist()):
                while last - begin > room:
                    starts = np.flatnonzero(column.starts_word(begin + 1, begin + room + 1))
                    end = begin + 1 + int(starts[-1]) if len(starts) else begin + room
                    examples.add((begin, end, end, end, FOLLOWS))
                    begin = end
                examples.add((begin, last, last, last, FOLLOWS))
        return examples.rows()


@dataclass(frozen=True)
class Chunks:
    """Single texts of the full length, wherever they end; only the last one of a document is shorter.  No token is lost."""

    length: int
    special: int = 2
    """Special tokens of an example, by the tokenizer's frame."""
    overlap: int = 0
    """Tokens that a chunk shares with the one before it."""
    texts: ClassVar[int] = 1

    def __call__(self, column: TokenColumn, documents: NDArray[np.int64], key: Key) -> NDArray[np.int64]:
        """Return (E, 5), B empty; nothing is drawn."""
        check_room(self.length, self.special)
        sentences, tokens = _bounds(column)
        room = self.length - self.special
        examples = _Table()
        for document in _with_text(documents, sentences).tolist():
            begin, last = (int(tokens[sentences[at]]) for at in (document, document + 1))
            while True:
                end = min(begin + room, last)
                examples.add((begin, end, end, end, ENDS if end == last else GOES_ON))
                if end == last:
                    break
                begin = end - self.overlap
        return examples.rows()


@dataclass(frozen=True)
class NextPairs:
    """Pairs for next-sentence prediction."""

    length: int
    short_rate: float = 0.1
    """Share of documents with a random shorter target length."""
    random_rate: float = 0.5
    """Share of pairs whose B comes from another document; pairs of one sentence always do."""
    special: int = 3
    """Special tokens of a pair, by the tokenizer's frame."""
    texts: ClassVar[int] = 2

    def __call__(self, column: TokenColumn, documents: NDArray[np.int64], key: Key) -> NDArray[np.int64]:
        """Return (E, 5).  InputError when there is only one document, for then nothing is elsewhere."""
        check_room(self.length, self.special)
        sentences, tokens = _bounds(column)
        documents = _with_text(documents, sentences)
        if len(documents) < 2:
            raise InputError(
                "next-sentence prediction needs at least two documents and the corpus has one: "
                "separate documents by blank lines, or pre-train with --objectives mlm"
            )
        walk = _Walk(self, documents.tolist(), sentences, tokens)
        examples = _Table()
        for place in range(len(documents)):
            for example in walk(place, key):
                examples.add(example)
        return examples.rows()


@dataclass(frozen=True)
class NeighbourPairs:
    """Pairs for sentence-order prediction: two neighbouring segments of one document, in order or swapped.

    A document of a single sentence gives none; a last sentence that is left alone is paired with the one before it.
    """

    length: int
    short_rate: float = 0.1
    """Share of documents with a random shorter target length."""
    swap_rate: float = 0.5
    """Share of pairs whose segments change places."""
    special: int = 3
    """Special tokens of a pair, by the tokenizer's frame."""
    texts: ClassVar[int] = 2

    def __call__(self, column: TokenColumn, documents: NDArray[np.int64], key: Key) -> NDArray[np.int64]:
        """Return (E, 5).  InputError when no document has two sentences."""
        check_room(self.length, self.special)
        sentences, tokens = _bounds(column)
        documents = documents[sentences[documents + 1] - sentences[documents] > 1]
        if not len(documents):
            raise InputError(
                "sentence-order prediction needs documents of at least two sentences and the corpus has none: "
                "separate documents by blank lines, not sentences, or pre-train with --objectives mlm"
            )
        examples = _Table()
        for document in documents.tolist():
            ends = tokens[sentences[document] : sentences[document + 1] + 1].tolist()
            for example in self._of(ends, key.at(document).stream("sop.pairs")):
                examples.add(example)
        return examples.rows()

    def _of(self, ends: list[int], draw: Stream) -> Iterator[Example]:
        """The pairs of a document whose sentences begin and end at ``ends``."""
        room = self.length - self.special
        target = _target(draw, room, self.short_rate)
        at, count = 0, len(ends) - 1
        while at < count:
            at = min(at, count - 2)
            stop = max(at + 2, min(count, bisect_left(ends, ends[at] + target, at + 1)))
            split = at + 1 + draw.below(stop - at - 1)
            pair = (ends[at], ends[split]), (ends[split], ends[stop])
            swapped = draw.uniform() < self.swap_rate
            # Cut behind the swap: of two long segments the second keeps less, which would tell them apart.
            yield (*_cut(*(pair[::-1] if swapped else pair), room, draw), SWAPPED if swapped else IN_ORDER)
            at = stop


def _target(draw: Stream, room: int, short_rate: float) -> int:
    """The length to aim at: all the room, or in a share of the cases anything from 2 tokens up."""
    return 2 + draw.below(room - 1) if draw.uniform() < short_rate else room


class _Walk:
    """The pairs of one document after another."""

    def __init__(
        self, rule: NextPairs, documents: list[int], sentences: NDArray[np.int64], tokens: NDArray[np.int64]
    ) -> None:
        self.rule, self.room = rule, rule.length - rule.special
        self.documents, self.sentences, self.tokens = documents, sentences.tolist(), tokens

    def __call__(self, place: int, key: Key) -> Iterator[Example]:
        document = self.documents[place]
        key = key.at(document)
        draw = key.stream("nsp.pairs")
        target = _target(draw, self.room, self.rule.short_rate)
        first, last = self.sentences[document], self.sentences[document + 1]
        ends = self.tokens[first : last + 1].tolist()
        at, count = 0, last - first
        while at < count:
            stop = min(count, bisect_left(ends, ends[at] + target, at + 1))
            sentences = stop - at
            split = at + (1 + draw.below(sentences - 1) if sentences > 1 else 1)
            a = (ends[at], ends[split])
            if sentences == 1 or draw.uniform() < self.rule.random_rate:
                b, label, at = self._elsewhere(place, target - (a[1] - a[0]), draw), RANDOM, split
            else:
                b, label, at = (ends[split], ends[stop]), FOLLOWS, stop
            yield (*_cut(a, b, self.room, draw), label)

    def _elsewhere(self, place: int, wanted: int, draw: Stream) -> tuple[int, int]:
        """At least one sentence, and up to ``wanted`` tokens of sentences, from a random place of another document."""
        other = draw.below(len(self.documents) - 1)
        other = self.documents[other + (other >= place)]
        first, last = self.sentences[other], self.sentences[other + 1]
        begin = first + draw.below(last - first)
        start = int(self.tokens[begin])
        stop = int(np.searchsorted(self.tokens, start + wanted))
        return start, int(self.tokens[min(last, max(begin + 1, stop))])


def _cut(a: tuple[int, int], b: tuple[int, int], room: int, draw: Stream) -> tuple[int, int, int, int]:
    """Cut the longer segment, token by token, at its front or its back, until the pair fits."""
    len_a, len_b = a[1] - a[0], b[1] - b[0]
    excess = len_a + len_b - room
    if excess <= 0:
        return (*a, *b)
    # The longer one down to the shorter, then both in turn; on a tie B goes first.
    from_a = min(excess, max(0, len_a - len_b))
    from_b = min(excess, max(0, len_b - len_a))
    from_a, from_b = (
        from_a + (excess - from_a - from_b) // 2,
        from_b + (excess - from_a - from_b + 1) // 2,
    )
    front_a = int((draw.uniforms(from_a) < 0.5).sum()) if from_a else 0
    front_b = int((draw.uniforms(from_b) < 0.5).sum()) if from_b else 0
    return a[0] + front_a, a[1] - from_a + front_a, b[0] + front_b, b[1] - from_b + front_b
