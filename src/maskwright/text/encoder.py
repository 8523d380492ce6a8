"""Many sentences to token ids at once, for a corpus: each different word is tokenised once, and looked up from then on.

Under BERT's rules the ids of a text are those of its spans (text/spans.py) in a row.  A span of up to 16 bytes is its own
128-bit key, a longer one is hashed; keys, numbers and ids are looked up for some 50,000 spans together.  On English novels
that is about five times as fast as the tokenizer alone.  Other tokenizers are given sentence by sentence.

Byte BPE and Unigram write a word with the space before it.  So the white space before the first word of a sentence goes to the
tokenizer with that sentence, and not with the one before it, where it would be left as a piece of its own: wherever white space
stands between two sentences, their ids in a row are those of the text.  Where none does (Chinese), no piece goes across the
end of a sentence.
"""

from __future__ import annotations

import json
import re
from dataclasses import dataclass
from itertools import chain
from typing import Any

import numpy as np
from numpy.typing import NDArray

from maskwright.text import rules
from maskwright.text.spans import CHINESE, Spans, char_starts, find_spans
from maskwright.text.table import Table, scramble
from maskwright.text.tokenizer import Tokenizer

__all__ = ["Encoded", "Encoder"]

MAX_WORDS = 1 << 17
"""Words known at once, some 8 MB; then all are forgotten."""
MAX_WORD = 128
"""Bytes.  A longer span is tokenised when it is met."""
STRETCH = 1 << 18
"""Bytes handled at once, unless a sentence is longer."""


@dataclass(frozen=True)
class Encoded:
    """The tokens of S sentences end to end."""

    ids: NDArray[np.unsignedinteger[Any]]
    """(T,)"""
    starts: NDArray[np.bool_] | None
    """(T,) whether each token begins a word; None where its piece says so."""
    ends: NDArray[np.int64]
    """(S,) tokens by the end of each sentence."""


class Encoder:
    """A tokenizer with the words it has met.  One thread at a time."""

    def __init__(self, tokenizer: Tokenizer) -> None:
        self._tokenizer = tokenizer
        self._by_span = _is_local(tokenizer)
        self._begins: NDArray[np.uint32]
        self._lengths: NDArray[np.uint32]
        self._flat: NDArray[np.unsignedinteger[Any]]
        self._forget()

    def encode(
        self,
        data: bytes,
        ends: NDArray[np.int64],
        text_ends: NDArray[np.int64],
        word_ends: NDArray[np.int64] | None = None,
    ) -> Encoded:
        """Encode the sentences of some texts that lie end to end.

        data: UTF-8 without NULs; ends: (S,) the byte after each sentence; text_ends: the byte after each text, which is the
        end of a sentence too.  A word begins where the vocabulary says so; given ``word_ends``, byte positions, a token that
        is a Chinese character begins one only after such a position or at the beginning of a sentence.
        """
        if not self._by_span:
            ends = _with_space_before(data, ends, text_ends)
        parts, first, begin = [], 0, 0
        while first < len(ends):
            last = max(first + 1, int(np.searchsorted(ends, begin + STRETCH, "right")))
            stretch = np.frombuffer(data, np.uint8)[begin : ends[last - 1]]
            here = None
            if word_ends is not None:
                inside = np.searchsorted(word_ends, [begin, ends[last - 1]], "left")
                here = word_ends[inside[0] : inside[1]] - begin
            encode = self._encode_spans if self._by_span else self._encode_sentences
            parts.append(encode(stretch, ends[first:last] - begin, here))
            first, begin = last, int(ends[last - 1])
        if len(parts) == 1:
            return parts[0]
        before = np.cumsum([0, *(len(part.ids) for part in parts)])
        return Encoded(
            np.concatenate([part.ids for part in parts] or [np.empty(0, self._tokenizer.dtype)]),
            None
            if word_ends is None
            else np.concatenate([np.empty(0, np.bool_), *(part.starts for part in parts if part.starts is not None)]),
            np.concatenate(
                [part.ends + at for part, at in zip(parts, before, strict=False)] or [np.empty(0, np.int64)]
            ),
        )

    def _encode_spans(
        self, data: NDArray[np.uint8], ends: NDArray[np.int64], word_ends: NDArray[np.int64] | None
    ) -> Encoded:
        spans = find_spans(data, ends)
        ids, lengths = self._look_up(data, spans)
        after = np.cumsum(lengths)
        starts = None
        if word_ends is not None:
            starts = self._tokenizer.starts_word_V[ids]
            marked = np.zeros(len(data) + 1, np.bool_)
            marked[0] = marked[ends] = marked[word_ends] = True
            chinese = spans.chinese & (lengths > 0)
            starts[after[chinese] - lengths[chinese]] = marked[spans.begins[chinese]]
        return Encoded(ids, starts, np.append(0, after)[np.searchsorted(spans.begins, ends, "left")])

    def _look_up(
        self, data: NDArray[np.uint8], spans: Spans
    ) -> tuple[NDArray[np.unsignedinteger[Any]], NDArray[np.int64]]:
        """Return the ids of all spans in a row, and how many each one has."""
        if len(self._table) > MAX_WORDS:
            self._forget()
        sizes = spans.ends - spans.begins
        known = len(self._table)
        numbers = self._table.number(_keys(data, spans.begins, sizes))
        if len(self._table) > known:
            where = np.flatnonzero(numbers >= known)
            first = where[np.unique(numbers[where], return_index=True)[1]]
            # All long ones share a key, which stays without ids.
            ends = np.where(sizes[first] > MAX_WORD, spans.begins[first], spans.ends[first])
            flat, lengths = self._tokenise(data, spans.begins[first], ends)
            self._begins = np.append(self._begins, (len(self._flat) + np.cumsum(lengths) - lengths).astype(np.uint32))
            self._lengths = np.append(self._lengths, lengths.astype(np.uint32))
            self._flat = np.append(self._flat, flat)
        lengths, begins = (values[numbers].astype(np.int64) for values in (self._lengths, self._begins))
        flat = self._flat
        long = np.flatnonzero(sizes > MAX_WORD)
        if len(long):
            more, lengths[long] = self._tokenise(data, spans.begins[long], spans.ends[long])
            begins[long] = len(flat) + np.cumsum(lengths[long]) - lengths[long]
            flat = np.append(flat, more)
        shift = begins - (np.cumsum(lengths) - lengths)
        return flat[np.repeat(shift, lengths) + np.arange(lengths.sum())], lengths

    def _tokenise(
        self, data: NDArray[np.uint8], begins: NDArray[np.int64], ends: NDArray[np.int64]
    ) -> tuple[NDArray[np.unsignedinteger[Any]], NDArray[np.int64]]:
        content = data.tobytes()
        words = [content[begin:end].decode() for begin, end in zip(begins.tolist(), ends.tolist(), strict=True)]
        encoded = self._tokenizer.encode_batch(words)
        lengths = np.fromiter(map(len, encoded), np.int64, len(encoded))
        return np.fromiter(chain.from_iterable(encoded), self._tokenizer.dtype, lengths.sum()), lengths

    def _forget(self) -> None:
        self._table = Table()
        self._begins, self._lengths = np.empty(0, np.uint32), np.empty(0, np.uint32)
        self._flat = np.empty(0, self._tokenizer.dtype)

    def _encode_sentences(
        self, data: NDArray[np.uint8], ends: NDArray[np.int64], word_ends: NDArray[np.int64] | None
    ) -> Encoded:
        content = data.tobytes()
        begins = [0, *ends[:-1].tolist()]
        sentences = [content[begin:end].decode() for begin, end in zip(begins, ends.tolist(), strict=True)]
        if word_ends is not None:
            return self._encode_by_offsets(sentences, data, word_ends)
        ids, after = self._tokenizer.encode_ragged(sentences)
        return Encoded(ids, None, after)

    def _encode_by_offsets(
        self, sentences: list[str], data: NDArray[np.uint8], word_ends: NDArray[np.int64]
    ) -> Encoded:
        marked = np.zeros(len(data) + 1, np.bool_)
        marked[word_ends] = True
        in_chars = marked[char_starts(data)]
        ids: list[int] = []
        starts: list[bool] = []
        ends = []
        first = 0
        for sentence in sentences:
            encoded = self._tokenizer.encode_with_offsets(sentence)
            last = -1
            for number, (begin, _) in zip(encoded.ids, encoded.offsets, strict=True):
                is_start = bool(self._tokenizer.starts_word_V[number])
                if _is_chinese(sentence[begin : begin + 1]):
                    is_start = begin != last and (begin == 0 or bool(in_chars[first + begin]))
                last = begin
                ids.append(number)
                starts.append(is_start)
            ends.append(len(ids))
            first += len(sentence)
        return Encoded(np.array(ids, self._tokenizer.dtype), np.array(starts, np.bool_), np.array(ends, np.int64))


def _is_local(tokenizer: Tokenizer) -> bool:
    content = json.loads(tokenizer.__getstate__()[0])
    return rules.words_are_local(content) and bool(content["normalizer"]["handle_chinese_chars"])


_SPACE = re.compile(rb"[\t-\r ]|\xc2[\x85\xa0]|\xe1\x9a\x80|\xe2\x80[\x80-\x8a\xa8\xa9\xaf]|\xe2\x81\x9f|\xe3\x80\x80")
"""White space of Unicode, in UTF-8.  Python's own has four control characters more, which no tokenizer treats so."""
_MAY_BE_SPACE = np.zeros(256, np.bool_)
_MAY_BE_SPACE[[*range(0x09, 0x0E), 0x20, *range(0x80, 0xC0), 0xC2, 0xE1, 0xE2, 0xE3]] = True
"""The first and the last bytes of these."""


def _with_space_before(data: bytes, ends: NDArray[np.int64], text_ends: NDArray[np.int64]) -> NDArray[np.int64]:
    """Move each end between two sentences of a text to the last white-space character there, if there is one.

    Of all places in white space, byte BPE's rule for it (openai/gpt-2, src/encoder.py) cuts there and nowhere else for sure.
    """
    ends, content = ends.copy(), np.frombuffer(data, np.uint8)
    inside = np.flatnonzero((ends > 0) & ~np.isin(ends, text_ends))
    before, after = content[ends[inside] - 1], content[ends[inside]]
    usual = (before == 0x20) & ~_MAY_BE_SPACE[after]
    ends[inside[usual]] -= 1
    for place in inside[~usual & (_MAY_BE_SPACE[before] | _MAY_BE_SPACE[after])].tolist():
        at = end = int(ends[place])
        last = None
        stop = int(text_ends[np.searchsorted(text_ends, at, "right")])
        while at < stop and (found := _SPACE.match(data, at)):
            last, at = found.start(), found.end()
        if at < stop and last is None:
            last = next((end - size for size in (1, 2, 3) if _SPACE.fullmatch(data, max(0, end - size), end)), None)
        if at < stop and last is not None:
            ends[place] = last
    return ends


def _is_chinese(char: str) -> bool:
    return any(first <= ord(char or " ") <= last for first, last in CHINESE)


def _keys(data: NDArray[np.uint8], begins: NDArray[np.int64], sizes: NDArray[np.int64]) -> NDArray[np.uint64]:
    """Return 128 bits for each span, (W, 2): its bytes, or for more than 16 of them a hash of these."""
    padded = np.append(data, np.zeros(16, np.uint8))
    words = np.ndarray((len(data) + 9,), np.dtype("<u8"), padded.data, strides=(1,))
    keys = np.empty((len(begins), 2), np.uint64)
    for half in (0, 1):
        keys[:, half] = words[begins + 8 * half] & _FIRST_BYTES[np.clip(sizes - 8 * half, 0, 8)]
    left = np.flatnonzero((sizes > 16) & (sizes <= MAX_WORD))
    at = 16
    while len(left):
        keys[left, 0] = scramble(keys[left, 0] + np.uint64(at)) + keys[left, 1]
        keys[left, 1] = scramble(keys[left, 1] ^ keys[left, 0])
        for half in (0, 1):
            keys[left, half] ^= (
                words[begins[left] + at + 8 * half] & _FIRST_BYTES[np.clip(sizes[left] - at - 8 * half, 0, 8)]
            )
        at += 16
        left = left[sizes[left] > at]
    long = sizes > MAX_WORD
    keys[long] = 0
    return keys


_FIRST_BYTES = np.array([(1 << 8 * count) - 1 for count in range(9)], np.uint64)
