"""What is hidden together: single tokens, whole words, spans and n-grams of words, entities.

A unit rule chooses places of a sample until a number of tokens is reached:

    token    every token for itself.  Devlin et al. 2019, https://arxiv.org/abs/1810.04805
    word     all pieces of a word or none, as in the 2019 update of BERT's code; in Chinese the words that the corpus stores
             (Cui et al. 2019, https://arxiv.org/abs/1906.08101)
    span     successive words, P(n) ∝ (1 - p)^(n - 1), n = 1 … 10.  Joshi et al. 2020, https://arxiv.org/abs/1907.10529
    ngram    successive words, P(n) ∝ 1 / n, n = 1 … 3.  Lan et al. 2020, https://arxiv.org/abs/1909.11942
    entity   what a gazetteer lists, and words.  Sun et al. 2019, https://arxiv.org/abs/1904.09223

The promise of all but ``token``: never more tokens than wanted, no word in part, and no word is left that would still have
fitted.  The one exception is a sample in which no word fits at all: a part of it is better than no target.

Deliberate differences: spans and n-grams neither touch each other nor end within a word, as long as there is room for that,
so their lengths are those drawn but for the last one, which is cut to the words that fit (SpanBERT lets them touch, and cuts
the last one anywhere).
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from maskwright.data.batch import Sample
from maskwright.keys import Stream
from maskwright.objectives.gazetteer import Gazetteer

__all__ = ["Entities", "Lengths", "Places", "Spans", "Tokens", "Unit", "WholeWords", "Words", "geometric", "harmonic"]

Places = tuple[NDArray[np.int64], NDArray[np.int64]]
"""(M,) places in the sample, ascending, and (M,) the number of the unit that each belongs to, from 0."""

_TRIES = 16
"""Random places that are tried for a span before all that are left are listed."""


class Unit(Protocol):
    """A rule of choice."""

    def __call__(self, sample: Sample, wanted: int, draw: Stream) -> Places:
        """Choose about ``wanted`` places, never a special token's."""
        ...


@dataclass(frozen=True)
class Words:
    """The words of a sample; special tokens are in none."""

    begins_W: NDArray[np.int64]
    """(W,) the first token of each."""
    sizes_W: NDArray[np.int64]
    """(W,) tokens."""

    @classmethod
    def of(cls, special: NDArray[np.bool_], starts: NDArray[np.bool_]) -> Words:
        """Find them.  A word that the sample's beginning cut, or a special token interrupts, begins there anew."""
        begin = starts | special
        begin[0] = True
        begin[1:] |= special[:-1]
        marks = begin.nonzero()[0]
        sizes = np.empty_like(marks)
        sizes[:-1] = marks[1:] - marks[:-1]
        sizes[-1] = len(starts) - marks[-1]
        inside = ~special[marks]
        return cls(marks[inside], sizes[inside])

    def places(self, words: NDArray[np.int64], unit: NDArray[np.int64]) -> Places:
        """Return the tokens of some words, ascending; ``unit`` numbers them."""
        sizes = self.sizes_W[words]
        ends = sizes.cumsum()
        total = int(ends[-1]) if len(ends) else 0
        return (self.begins_W[words] - ends + sizes).repeat(sizes) + np.arange(total), unit.repeat(sizes)


@dataclass(frozen=True)
class Tokens:
    """Single tokens."""

    def __call__(self, sample: Sample, wanted: int, draw: Stream) -> Places:
        """Choose exactly ``wanted`` places, or all there are."""
        candidates = (~sample.special).nonzero()[0]
        places = candidates[draw.order(len(candidates))[:wanted]]
        places.sort()
        return places, np.arange(len(places))


@dataclass(frozen=True)
class WholeWords:
    """Whole words in random order while they fit; one that does not is passed over, as in BERT's code."""

    def __call__(self, sample: Sample, wanted: int, draw: Stream) -> Places:
        """Choose words."""
        return _choose(Words.of(sample.special, sample.starts_word), wanted, draw)


@dataclass(frozen=True)
class Entities:
    """The entities of a gazetteer, each as one word, and the other words: all are equally likely to be chosen."""

    gazetteer: Gazetteer

    def __call__(self, sample: Sample, wanted: int, draw: Stream) -> Places:
        """Choose entities and words."""
        starts = sample.starts_word.copy()
        for begin, end in self.gazetteer.find(sample.ids, sample.starts_word, sample.special):
            starts[begin + 1 : end] = False
        words = Words.of(sample.special, starts)
        if int(words.sizes_W.min(initial=wanted + 1)) > wanted:  # not one entity fits: take them apart
            words = Words.of(sample.special, sample.starts_word)
        return _choose(words, wanted, draw)


def _choose(words: Words, wanted: int, draw: Stream) -> Places:
    chosen = _while_they_fit(draw.order(len(words.sizes_W)), words.sizes_W, wanted)
    chosen.sort()
    if len(chosen) or not len(words.sizes_W):
        return words.places(chosen, np.arange(len(chosen)))
    return np.arange(words.begins_W[0], words.begins_W[0] + wanted), np.zeros(wanted, dtype=np.int64)


def _while_they_fit(order: NDArray[np.int64], sizes_W: NDArray[np.int64], left: int) -> NDArray[np.int64]:
    """Take words in the given order while they fit; a word that would go over the number is passed over."""
    ends = sizes_W[order].cumsum()
    count = int(ends.searchsorted(left, "right"))
    taken, rest = [order[:count]], order[count:]
    left -= int(ends[count - 1]) if count else 0
    while left and len(rest):
        fits = sizes_W[rest] <= left
        first = int(fits.argmax())
        if not fits[first]:
            break
        taken.append(rest[first : first + 1])
        left -= int(sizes_W[rest[first]])
        rest = rest[first + 1 :]
    return np.concatenate(taken)


@dataclass(frozen=True)
class Lengths:
    """How many words a span has."""

    shares_L: NDArray[np.float64]
    """Probability of 1, 2, … words."""

    @cached_property
    def _bounds(self) -> NDArray[np.float64]:
        return self.shares_L.cumsum()[:-1]

    def draw(self, uniforms: NDArray[np.float64]) -> list[int]:
        """Turn numbers in [0, 1) into lengths."""
        lengths: list[int] = (self._bounds.searchsorted(uniforms, "right") + 1).tolist()
        return lengths


def geometric(p: float, longest: int) -> Lengths:
    """P(n) ∝ (1 - p)^(n - 1) up to ``longest``: SpanBERT's p = 0.2 and 10 have the mean 3.797."""
    weights = (1 - p) ** np.arange(longest)
    return Lengths(weights / weights.sum())


def harmonic(longest: int) -> Lengths:
    """P(n) ∝ 1 / n up to ``longest``: ALBERT's 3 has the mean 1.636."""
    weights = 1 / np.arange(1.0, longest + 1)
    return Lengths(weights / weights.sum())


@dataclass(frozen=True)
class Spans:
    """Successive words, spans of random lengths at random places."""

    lengths: Lengths

    def __call__(self, sample: Sample, wanted: int, draw: Stream) -> Places:
        """Choose spans; every place at which one fits is equally likely."""
        words = Words.of(sample.special, sample.starts_word)
        count = len(words.sizes_W)
        if not count:
            return words.begins_W, words.begins_W
        # Words on a line, with a blocked place before, between and behind the stretches that special tokens part.
        line = np.arange(1, count + 1)
        line[1:] += (words.begins_W[1:] > words.begins_W[:-1] + words.sizes_W[:-1]).cumsum()
        blocked = bytearray(b"\1" * (int(line[-1]) + 2))
        free = np.frombuffer(blocked, np.uint8)
        free[line] = 0
        sizes = np.zeros(len(blocked), dtype=np.int64)
        sizes[line + 1] = words.sizes_W
        spans, left = self._place(blocked, sizes.cumsum().tolist(), line.tolist(), wanted, draw)
        number = np.full(len(blocked), -1)
        for unit, (begin, end) in enumerate(spans):
            number[begin:end] = unit
        unit_W = number[line]
        if left:
            self._fill(words, unit_W, free[line] > 0, left, draw)
        chosen = (unit_W >= 0).nonzero()[0]
        if not len(chosen):
            return np.arange(words.begins_W[0], words.begins_W[0] + wanted), np.zeros(wanted, dtype=np.int64)
        return words.places(chosen, unit_W[chosen])

    def _place(
        self, blocked: bytearray, ends: list[int], line: list[int], left: int, draw: Stream
    ) -> tuple[list[tuple[int, int]], int]:
        """Lay spans until one does not fit whole any more, or no place is left; return them and the tokens left."""
        spans: list[tuple[int, int]] = []
        count, at = len(line), 0
        lengths: list[int] = []
        uniforms: list[float] = []
        while left:
            if len(spans) == len(lengths):
                lengths += self.lengths.draw(draw.uniforms(16))
            length, begin = lengths[len(spans)], 0
            for _ in range(_TRIES):
                if at == len(uniforms):
                    uniforms, at = draw.uniforms(64).tolist(), 0
                tried = line[int(uniforms[at] * count)]
                at += 1
                if blocked.find(1, tried, tried + length) < 0:
                    begin = tried
                    break
            else:
                begin, length = _anywhere(blocked, length, draw)
                if not length:
                    break
            end = begin + length
            while end > begin and ends[end] - ends[begin] > left:
                end -= 1
            if end == begin:
                break
            spans.append((begin, end))
            left -= ends[end] - ends[begin]
            # The words beside a span too: the next one must not touch it.
            blocked[begin - 1 : end + 1] = b"\1" * (end - begin + 2)
        return spans, left

    @staticmethod
    def _fill(words: Words, unit_W: NDArray[np.int64], blocked_W: NDArray[np.bool_], left: int, draw: Stream) -> None:
        """Add single words, first those that touch no span, until none fits."""
        order = draw.order(len(unit_W))
        order = order[unit_W[order] < 0]
        order = np.concatenate([order[~blocked_W[order]], order[blocked_W[order]]])
        more = _while_they_fit(order, words.sizes_W, left)
        unit_W[more] = int(unit_W.max()) + 1 + np.arange(len(more))


def _anywhere(blocked: bytearray, length: int, draw: Stream) -> tuple[int, int]:
    """Return one of all places where so many words are free, or fewer where there is none; (0, 0) without any."""
    before = np.append(0, np.cumsum(np.frombuffer(blocked, np.uint8), dtype=np.int64))
    for shorter in range(min(length, len(blocked)), 0, -1):
        free = np.flatnonzero(before[shorter:] == before[:-shorter])
        if len(free):
            return int(free[draw.below(len(free))]), shorter
    return 0, 0
