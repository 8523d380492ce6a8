"""Where the pieces of a text that BERT's rules treat one by one begin and end, found in its bytes for all of it at once.

White space separates; ASCII punctuation, the punctuation of English, German or Chinese print and each Chinese character
stand alone.  No rule of BERT's normaliser or pre-tokenizer looks across such a border, so the ids of a text are those of its
spans in a row.  Which characters those are is the tokenizers library's; a test asks it about every one of them.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

__all__ = ["CHINESE", "PUNCTUATION", "Spans", "char_starts", "find_spans"]

CHINESE = (
    (0x3400, 0x4DBF), (0x4E00, 0x9FFF), (0xF900, 0xFAFF), (0x20000, 0x2A6DF), (0x2A700, 0x2B81F), (0x2B920, 0x2CEAF),
    (0x2F800, 0x2FA1F),
)  # fmt: skip
"""Code points that BERT puts spaces around."""

PUNCTUATION = (
    (0x2010, 0x2027), (0x2030, 0x2043), (0x2045, 0x2051), (0x3001, 0x3003), (0x3008, 0x3011), (0x3014, 0x301F),
    (0xFF01, 0xFF03), (0xFF05, 0xFF0A), (0xFF0C, 0xFF0F), (0xFF1A, 0xFF1B), (0xFF1F, 0xFF20), (0xFF3B, 0xFF3D),
)  # fmt: skip
"""Frequent punctuation outside ASCII.  What is not named here stays part of its span, and the tokenizer finds it there."""

_SPACE, _WORD, _ALONE = 0, 1, 2
_BYTE = np.full(256, _WORD, np.uint8)
_BYTE[[0x20, 0x09, 0x0A, 0x0D]] = _SPACE
for _first, _last in ((33, 47), (58, 64), (91, 96), (123, 126)):
    _BYTE[_first : _last + 1] = _ALONE

_IS_CHINESE = np.zeros(0x30000, np.bool_)
for _first, _last in CHINESE:
    _IS_CHINESE[_first : _last + 1] = True
_IS_ALONE = _IS_CHINESE.copy()
for _first, _last in PUNCTUATION:
    _IS_ALONE[_first : _last + 1] = True


@dataclass(frozen=True)
class Spans:
    """W spans, in bytes."""

    begins: NDArray[np.int64]
    ends: NDArray[np.int64]
    chinese: NDArray[np.bool_]
    """Which are one Chinese character."""


def char_starts(data: NDArray[np.uint8]) -> NDArray[np.int64]:
    """Return the byte at which each character of UTF-8 begins, and the length of ``data``: (chars + 1,)."""
    return np.append(np.flatnonzero((data & 0xC0) != 0x80), len(data))


def find_spans(data: NDArray[np.uint8], cuts: NDArray[np.int64]) -> Spans:
    """Return the spans of sound UTF-8; ``cuts`` are byte positions that no span goes across."""
    kind = _BYTE[data]
    solid = kind != _SPACE
    begins = np.zeros(len(data) + 1, np.bool_)
    begins[0] = True
    np.greater(solid[1:], solid[:-1], out=begins[1:-1])
    begins[cuts] = True
    alone = np.flatnonzero(kind == _ALONE)
    begins[alone] = begins[alone + 1] = True
    chinese = np.empty(0, np.int64)
    if len(data) and data.max() >= 0xE0:
        chinese = _outside_ascii(data, begins)
    ends = np.empty_like(begins)
    ends[1:] = solid & (np.append(~solid[1:], True) | begins[1:])
    starts = np.flatnonzero(begins[:-1] & solid)
    of_character = np.zeros(len(data), np.bool_)
    of_character[chinese] = True
    return Spans(starts, np.flatnonzero(ends[1:]) + 1, of_character[starts])


def _outside_ascii(data: NDArray[np.uint8], begins: NDArray[np.bool_]) -> NDArray[np.int64]:
    """Mark the characters of three and four bytes that stand alone; return where the Chinese ones begin."""
    chinese = []
    for low, high, size in ((0xE0, 0xF0, 3), (0xF0, 0xF8, 4)):
        leads = np.flatnonzero((data >= low) & (data < high))
        points = data[leads].astype(np.int64) & (0xFF >> (size + 1))
        for place in range(1, size):
            points = points << 6 | (data[leads + place] & 0x3F)
        points = np.minimum(points, len(_IS_ALONE) - 1)
        alone = leads[_IS_ALONE[points]]
        begins[alone] = begins[alone + size] = True
        chinese.append(leads[_IS_CHINESE[points]])
    return np.concatenate(chinese)
