"""Text to token ids and back: the tokenizers library behind a small face.

Two rules hold for every method.  Ids of special pieces are found by name, never assumed.  Text is only text: a
document that contains ``[SEP]`` does not get the id of that piece (``encode_marked`` is there for prompts in which a
person writes [MASK]).

Bounds: a caller that needs N tokens of a long text asks ``encode_truncated``, which reads no more of it than those
need.
"""

from __future__ import annotations

import json
import re
import unicodedata
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import tokenizers
from numpy.typing import NDArray

from maskwright.errors import InputError, did_you_mean
from maskwright.text import rules
from maskwright.text.chunks import ChunkCache
from maskwright.text.folder import CLS, MASK, PAD, SEP, SPECIAL, UNK, bert_backend, read_backend
from maskwright.text.sound import sound
from maskwright.text.wordpiece import learn_pieces

__all__ = ["Encoded", "Tokenizer"]


@dataclass(frozen=True)
class Encoded:
    """Ids of one text with where each came from, all lists of the same length."""

    ids: list[int]
    offsets: list[tuple[int, int]]
    """(begin, end) in characters of the text as it was given."""
    words: list[int]
    """Index of each token's word in the text, from 0."""


class Tokenizer:
    """A tokenizer, its special ids and its limits.  Picklable.

    Attributes:
        vocab_size: number of pieces V; ids are 0 … V-1.
        fingerprint: sha256 of everything that decides the ids: equal for equal rules, whatever the file looked like.
        max_length: longest sequence in tokens, special ones included.
        lowercase: whether "A" and "a" are the same to it.
        cls_id, sep_id, pad_id, mask_id, unk_id: ids of the five special pieces.
        special_ids: those and any other piece that its files declare special.
        starts_word_V: (V,) bool, whether each piece begins a word.
        dtype: the smallest of uint16 and uint32 that holds every id.
    """

    def __init__(self, backend: tokenizers.Tokenizer, max_length: int) -> None:
        self._backend = backend
        self._backend.encode_special_tokens = True
        self.max_length = max_length
        content = json.loads(backend.to_str())
        self.fingerprint = rules.fingerprint(content)
        self.vocab_size: int = backend.get_vocab_size(with_added_tokens=True)
        self.cls_id, self.sep_id = self.id_of(CLS), self.id_of(SEP)
        self.pad_id, self.mask_id, self.unk_id = self.id_of(PAD), self.id_of(MASK), self.id_of(UNK)
        self.special_ids = frozenset(token["id"] for token in content["added_tokens"] if token["special"])
        self.lowercase = backend.normalizer is not None and backend.normalizer.normalize_str("A") == "a"
        self.dtype = np.dtype("uint16" if self.vocab_size <= 1 << 16 else "uint32")
        prefix = content["model"]["continuing_subword_prefix"]
        self.starts_word_V: NDArray[np.bool_] = np.array(
            [not piece.startswith(prefix) for piece in self.pieces(range(self.vocab_size))], dtype=np.bool_
        )
        self._words_are_local = rules.words_are_local(content)
        self._chunks = ChunkCache(self.encode_batch, self.dtype)

    @classmethod
    def load(cls, path: str | Path, *, lowercase: bool | None = None) -> Tokenizer:
        """Read a folder with tokenizer.json or vocab.txt, or one of these files; raises InputError where it cannot.

        A vocab.txt does not say whether text is to be lower-cased.  ``lowercase`` does; with None it is read from a
        tokenizer_config.json beside it, and without one guessed: a vocabulary with no capital letter is a lower-case
        one.
        """
        backend, max_length = read_backend(path, lowercase)
        tokenizer = cls(backend, max_length)
        if lowercase not in (None, tokenizer.lowercase):
            raise InputError(
                f"text/tokenizer: {path} says lowercase is {tokenizer.lowercase}, {lowercase} was asked for. "
                "A tokenizer.json decides that itself; give its vocab.txt to choose."
            )
        return tokenizer

    @classmethod
    def train(
        cls,
        texts: Iterable[str],
        *,
        vocab_size: int,
        lowercase: bool = True,
        min_frequency: int = 2,
        max_length: int = 512,
    ) -> Tokenizer:
        """Learn a WordPiece vocabulary of at most ``vocab_size`` pieces; the same texts always give the same one.

        Pieces seen fewer than ``min_frequency`` times are left out.  The special pieces take ids 0 to 4.  ``texts``
        is read once, as a stream.  Raises InputError where there is no text or no room.
        """
        if vocab_size <= len(SPECIAL):
            raise InputError(
                f"text/tokenizer: vocab_size is {vocab_size}; {len(SPECIAL)} special pieces need more room."
            )
        untrained = bert_backend(list(SPECIAL), lowercase=lowercase)
        pieces = learn_pieces(
            (sound(text) for text in texts),
            normalizer=untrained.normalizer,
            pre_tokenizer=untrained.pre_tokenizer,
            special=SPECIAL,
            vocab_size=vocab_size,
            min_frequency=min_frequency,
        )
        if len(pieces) == len(SPECIAL):
            raise InputError("text/tokenizer: nothing to learn a vocabulary from: no character was seen often enough.")
        return cls(bert_backend(pieces, lowercase=lowercase), max_length)

    def save(self, folder: str | Path) -> None:
        """Write tokenizer.json, tokenizer_config.json and vocab.txt, as the transformers library reads them."""
        folder = Path(folder)
        folder.mkdir(parents=True, exist_ok=True)
        self._backend.save(str(folder / "tokenizer.json"))
        config = {
            "tokenizer_class": "PreTrainedTokenizerFast",
            "model_input_names": ["input_ids", "token_type_ids", "attention_mask"],
            "model_max_length": self.max_length,
            "cls_token": CLS,
            "mask_token": MASK,
            "pad_token": PAD,
            "sep_token": SEP,
            "unk_token": UNK,
            **rules.bert_settings(json.loads(self._backend.to_str())["normalizer"]),
        }
        _write(folder / "tokenizer_config.json", json.dumps(config, indent=2, ensure_ascii=False) + "\n")
        _write(folder / "vocab.txt", "".join(f"{piece}\n" for piece in self.pieces(range(self.vocab_size))))

    def encode(self, text: str, max_chars: int | None = None) -> list[int]:
        """Return the ids of a text, without special pieces around it.

        With ``max_chars`` only the beginning is read, cut at white space where there is some nearby and never before
        a combining mark.  No cap in characters can promise N tokens (a text may be all spaces); where the cut fell on
        white space the ids are exactly the first ones of the whole text, otherwise the last word may be a shorter
        one.
        """
        return self.encode_batch([text if max_chars is None else _cut(text, max_chars)])[0]

    def encode_batch(self, texts: Sequence[str]) -> list[list[int]]:
        """Return the ids of each text, without special pieces around them."""
        try:
            return [encoding.ids for encoding in self._backend.encode_batch_fast(texts, add_special_tokens=False)]
        except TypeError:  # half of a surrogate pair cannot cross into the library
            return self.encode_batch([sound(text) for text in texts])

    def encode_ragged(self, texts: Sequence[str]) -> tuple[NDArray[np.unsignedinteger[Any]], NDArray[np.int64]]:
        """Return all ids end to end, (T,) of ``dtype``, and ends: text k is ``ids[ends[k - 1]:ends[k]]``.

        The way to encode a corpus: words seen before are looked up, in a table that one thread at a time may use.
        """
        if self._words_are_local:
            return self._chunks.encode(texts)
        encoded = self.encode_batch(texts)
        ends = np.cumsum([len(ids) for ids in encoded], dtype=np.int64)
        return np.concatenate([np.array(ids, dtype=self.dtype) for ids in encoded] or [np.empty(0, self.dtype)]), ends

    def encode_truncated(self, text: str, max_tokens: int) -> list[int]:
        """Return exactly the first ``max_tokens`` ids of the whole text, reading no more of it than they need."""
        return self.encode_batch_truncated([text], max_tokens)[0]

    def encode_batch_truncated(self, texts: Sequence[str], max_tokens: int) -> list[list[int]]:
        """Return exactly the first ``max_tokens`` ids of each text.

        A beginning is encoded and its last word, which the cut may have gone through, set aside; where the rest is
        too short a four times longer beginning is tried.  At worst (one endless word) the cost is 4/3 of encoding the
        whole text.
        """
        if not self._words_are_local:
            return [ids[:max_tokens] for ids in self.encode_batch(texts)]
        width = 64 + 8 * max_tokens
        heads = self.encode_batch([text[:width] for text in texts])
        return [self._first(text, ids, width, max_tokens) for text, ids in zip(texts, heads, strict=True)]

    def _first(self, text: str, ids: list[int], width: int, max_tokens: int) -> list[int]:
        while width < len(text) and self._whole_words(ids) < max_tokens:
            width *= 4
            ids = self.encode(text[:width])
        return ids[:max_tokens]

    def _whole_words(self, ids: list[int]) -> int:
        """Count the tokens before the last word."""
        last = len(ids) - 1
        while last > 0 and not self.starts_word_V[ids[last]]:
            last -= 1
        return max(last, 0)

    def encode_with_offsets(self, text: str) -> Encoded:
        """Return the ids of a text with the characters and the word that each came from."""
        encoding = self._backend.encode(sound(text), add_special_tokens=False)
        words = [word for word in encoding.word_ids if word is not None]
        return Encoded(encoding.ids, encoding.offsets, words)

    def encode_marked(self, text: str) -> list[int]:
        """Return the ids of a prompt in which the names of special pieces stand for the pieces: ``Paris is [MASK].``"""
        marks = re.split("(" + "|".join(map(re.escape, SPECIAL)) + ")", text)
        return [
            number
            for place, part in enumerate(marks)
            for number in ([self.id_of(part)] if place % 2 else self.encode(part))
        ]

    def decode(self, ids: Sequence[int]) -> str:
        """Return readable text for the ids, special pieces left out; spacing and case are not what they were."""
        self.pieces(ids)
        text: str = self._backend.decode([int(number) for number in ids], skip_special_tokens=True)
        return text

    def pieces(self, ids: Iterable[int]) -> list[str]:
        """Return the piece of each id; raises InputError for an id outside 0 … V-1."""
        found = []
        for number in ids:
            piece = self._backend.id_to_token(int(number)) if number >= 0 else None
            if piece is None:
                raise InputError(f"text/tokenizer: no piece has the id {number}; ids are 0 to {self.vocab_size - 1:,}.")
            found.append(piece)
        return found

    def id_of(self, piece: str) -> int:
        """Return the id of a piece; raises InputError naming the closest known one."""
        number: int | None = self._backend.token_to_id(piece)
        if number is None:
            hint = did_you_mean(piece, self._backend.get_vocab())
            raise InputError(f"text/tokenizer: no piece {piece!r} among {self.vocab_size:,}.{hint}")
        return number

    def __getstate__(self) -> tuple[str, int]:
        return self._backend.to_str(), self.max_length

    def __setstate__(self, state: tuple[str, int]) -> None:
        content, max_length = state
        self.__init__(tokenizers.Tokenizer.from_str(content), max_length)  # type: ignore[misc]


def _cut(text: str, max_chars: int) -> str:
    if len(text) <= max_chars:
        return text
    nearby = max(0, max_chars - 64)
    space = max(text.rfind(space, nearby, max_chars + 1) for space in " \n\t")
    if space > 0:
        return text[:space]
    end = max_chars
    while end > max(1, nearby) and unicodedata.combining(text[end]):
        end -= 1
    return text[:end]


def _write(path: Path, content: str) -> None:
    path.write_text(content, encoding="utf-8", newline="\n")
