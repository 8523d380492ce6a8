"""Whole words as pieces, and any other word spelt out: how a corpus is stored for ELMo.

ELMo reads how a word is spelt and predicts which word of a vocabulary it is; so the spelling of words outside the vocabulary
has to be kept too.  Here a word of the vocabulary is one piece, and any other the piece of an unknown word, which is a lone
space, and then its bytes:

    the zyzzyva sat     Ġthe | Ġ z y z z y v a | Ġsat

Both what is read and what is predicted follow from the ids alone.  Such a corpus is built, streamed, mapped and resumed as any
other, with or without its texts; a known word takes one id on the disk, an unknown one as many as it has bytes and one more.
Left aside: the characters (50 numbers a word), reading the texts (compressed by the batch, and perhaps dropped), a table of
unknown words beside the ids (it grows with the text, and all processes of a build would have to share it).

To the tokenizers library this is byte BPE without merges in which a word that is a piece stays one (``ignore_merges``).
Ids: ``</S>``, ``<S>``, the unknown word, words from the most frequent on, bytes.  The first three and the order are those of
bilm-tf's vocabulary files; a language model's classes are the ids below ``Tokenizer.words``.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

import numpy as np
from numpy.typing import NDArray

from maskwright.text.characters import BEGIN, END, spell_bytes
from maskwright.text.rules import BEGIN_ID, BYTES, END_ID
from maskwright.text.tokenizer import Tokenizer

__all__ = ["Spellings"]


@dataclass(frozen=True)
class Spellings:
    """The bytes of every piece of a vocabulary of words: small enough, and without the tokenizer, for workers to hold it."""

    words: int
    """Pieces that are words, borders and the unknown one included; pieces from here on are bytes of an unknown word."""
    content: NDArray[np.uint8]
    """Of all pieces, end to end; borders and the unknown word have none."""
    lengths: NDArray[np.int32]
    """(V,) bytes of each piece."""

    @classmethod
    def of(cls, tokenizer: Tokenizer) -> Spellings:
        """Take them from a vocabulary of words."""
        pieces = tokenizer.pieces(range(tokenizer.vocab_size))
        spelt = [bytes(BYTES[character] for character in piece).removeprefix(b" ") for piece in pieces]
        spelt[BEGIN_ID] = spelt[END_ID] = b""
        content = np.frombuffer(b"".join(spelt), np.uint8)
        return cls(tokenizer.words, content, np.array([len(each) for each in spelt], np.int32))

    @cached_property
    def _begins(self) -> NDArray[np.int64]:
        return np.cumsum(self.lengths, dtype=np.int64) - self.lengths

    def begins(self, ids: NDArray[np.int64]) -> NDArray[np.int64]:
        """(P,) pieces -> (W,) the places at which words begin."""
        return np.flatnonzero(ids < self.words)

    def spell(self, ids: NDArray[np.int64]) -> NDArray[np.int64]:
        """(P,) pieces -> (W, 50) characters of their words; bytes before the first word belong to none and are left out."""
        begins = self.begins(ids)
        lengths = self.lengths[ids].astype(np.int64)
        ends = np.cumsum(lengths)
        places = np.repeat(self._begins[ids] - (ends - lengths), lengths) + np.arange(lengths.sum())
        before = int(lengths[: begins[0]].sum()) if len(begins) else len(places)
        sizes = np.add.reduceat(lengths, begins) if len(begins) else lengths[:0]
        characters = spell_bytes(self.content[places[before:]], sizes)
        for border, spelling in ((BEGIN_ID, BEGIN), (END_ID, END)):
            characters[ids[begins] == border] = spelling
        return characters

    def __getstate__(self) -> dict[str, object]:
        return {name: value for name, value in self.__dict__.items() if name != "_begins"}
