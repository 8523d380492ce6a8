"""The first ids of a long text, exactly those of the whole text, from no more of it than they need.

A beginning is encoded and its end set aside, which the cut may have spoilt; where too few ids are left, a four times
longer beginning is tried.  At worst (one endless word) the cost is that of encoding the whole text, and a third of it
over again.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence

import numpy as np
import tokenizers
from numpy.typing import NDArray

from maskwright.text.chunks import last_border
from maskwright.text.rules import Borders
from maskwright.text.sound import sound

__all__ = ["Beginnings"]

EncodeBatch = Callable[[Sequence[str]], list[list[int]]]

_CUT_WORDS = 3
"""Words of GPT-2's rules that a cut may spoil: ``'ll`` cut in two is ``'`` and ``l``; one more for a mark behind it."""


class Beginnings:
    """What is certain about the ids of texts when only their beginnings are read."""

    def __init__(
        self,
        backend: tokenizers.Tokenizer,
        borders: Borders,
        starts_word_V: NDArray[np.bool_],
    ) -> None:
        self._backend, self._borders, self._starts_word_V = backend, borders, starts_word_V
        names = (token.content for token in backend.get_added_tokens_decoder().values())
        self._longest_name = max(map(len, names), default=0)
        self._pairs: frozenset[str] | None = None

    def first(self, encode_batch: EncodeBatch, texts: Sequence[str], max_tokens: int) -> list[list[int]]:
        """Return exactly the first ``max_tokens`` ids that ``encode_batch`` gives each text."""
        width = 64 + 8 * max_tokens
        heads = encode_batch([self._head(text, width) for text in texts])
        return [self._first(encode_batch, *case, width, max_tokens) for case in zip(texts, heads, strict=True)]

    def _first(self, encode_batch: EncodeBatch, text: str, ids: list[int], width: int, max_tokens: int) -> list[int]:
        while width < len(text):
            if self._borders == "bert":
                certain = ids[: self._before_last_word(ids)]
            else:
                certain = ids if len(ids) >= max_tokens else self._certain(text, width)
            if len(certain) >= max_tokens:
                return certain[:max_tokens]
            width *= 4
            (ids,) = encode_batch([self._head(text, width)])
        return ids[:max_tokens]

    def _head(self, text: str, width: int) -> str:
        if self._borders == "bert" or width >= len(text):
            return text[:width]
        return text[: last_border(text[: width + 1])]

    def _before_last_word(self, ids: list[int]) -> int:
        last = len(ids) - 1
        while last > 0 and not self._starts_word_V[ids[last]]:
            last -= 1
        return max(last, 0)

    def _certain(self, text: str, width: int) -> list[int]:
        """Return ids that every text beginning with ``text[:width]`` has: for text in which spaces are far apart."""
        at = width if self._borders == "bytes" else _plain_cut(text, width)
        encoding = self._backend.encode(sound(text[:at]), add_special_tokens=False)
        words = [word for word in encoding.word_ids if word is not None]
        if self._borders == "words":
            return list(encoding.ids[: self._last_forced(encoding.tokens, words)])
        spoilt = words[-1] - _CUT_WORDS if words else 0
        return [number for number, word in zip(encoding.ids, words, strict=True) if word <= spoilt]

    def _last_forced(self, pieces: list[str], words: list[int]) -> int:
        """Return the last place between pieces through which every way of spelling the text goes.

        The likeliest way up to such a place does not depend on what follows.  It is one between words, or between two
        characters that no piece holds side by side.  The end is left out as far as the name of a special piece, which
        is cut where it is seen whole (text/apart.py), may reach beyond it.
        """
        if self._pairs is None:
            vocabulary = json.loads(self._backend.to_str())["model"]["vocab"]
            self._pairs = frozenset(piece[at : at + 2] for piece, _ in vocabulary for at in range(len(piece) - 1))
        behind = 0
        for at in range(len(pieces) - 1, 0, -1):
            behind += len(pieces[at])
            if behind >= self._longest_name and (
                words[at] != words[at - 1] or pieces[at - 1][-1] + pieces[at][0] not in self._pairs
            ):
                return at
        return 0


def _plain_cut(text: str, width: int) -> int:
    """Return a place at or shortly before ``width`` across which no normaliser looks, or 0."""
    for at in range(width, max(0, width - 256), -1):
        if _is_plain(text[at - 1]) and _is_plain(text[at]):
            return at
    return 0


def _is_plain(character: str) -> bool:
    """Whether it is a letter or digit of a script whose characters do not combine."""
    code = ord(character)
    return character.isalnum() and (code < 0x80 or 0x400 <= code < 0x482 or 0x3400 <= code < 0xA000)
