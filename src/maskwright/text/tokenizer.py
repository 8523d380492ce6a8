"""Text to token ids and back: the tokenizers library behind a small face.

WordPiece (BERT), byte BPE (GPT-2, RoBERTa, BART), Unigram (ALBERT, XLNet, T5) and whole words (ELMo; text/vocabulary.py)
have the same face.  Two rules hold for every method.  Ids of special pieces are found by what they are for, never assumed.
Text is only text: a document that contains ``[SEP]`` does not get the id of that piece (``encode_marked`` is there for
prompts in which a person writes [MASK]).

Bounds: a caller that needs N tokens of a long text asks ``encode_truncated``, which reads no more of it than those
need.
"""

from __future__ import annotations

import json
import re
import unicodedata
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
import tokenizers
from numpy.typing import NDArray

from maskwright.errors import InputError, did_you_mean
from maskwright.text import rules
from maskwright.text.apart import cut_names
from maskwright.text.beginnings import Beginnings
from maskwright.text.chunks import ChunkCache, at_spaces, before_spaces
from maskwright.text.folder import read_source
from maskwright.text.learn import Kind, learn
from maskwright.text.sound import sound
from maskwright.text.special import ROLES, convention_of, read_frame

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
        kind: wordpiece, bpe or unigram; a vocabulary of words is bpe, without merges.
        vocab_size: number of pieces V; ids are 0 … V-1.
        words: pieces that are words, in a vocabulary of words, which have the first ids; 0 in any other.
        fingerprint: sha256 of everything that decides the ids: equal for equal rules, whatever the file looked like.
        max_length: longest sequence in tokens, special ones included.
        lowercase: whether "A" and "a" are the same to it.
        roles: role → id of the special piece, for the roles of ``special.ROLES`` that the tokenizer has.
        frame: how special pieces stand around one text and around two.
        special_ids: ids of the roles and of any other piece that its files declare special.
        starts_word_V: (V,) bool, whether each piece begins a word; see ``rules.word_starts``.
        dtype: the smallest of uint16 and uint32 that holds every id.

    ``cls_id`` and its like raise InputError where the tokenizer has no such piece (GPT-2 none for padding, T5 no cls).
    """

    def __init__(self, backend: tokenizers.Tokenizer, max_length: int, roles: Mapping[str, str] | None = None) -> None:
        """Wrap a backend; ``roles`` None takes those of the first convention whose pieces it has."""
        self._whole = backend
        content = json.loads(backend.to_str())
        self.kind: Kind = content["model"]["type"].lower()
        self._backend = cut_names(backend) if self.kind == "unigram" else backend
        self._backend.encode_special_tokens = True
        self.max_length = max_length
        self.fingerprint = rules.fingerprint(content)
        self.vocab_size: int = backend.get_vocab_size(with_added_tokens=True)
        self.words = rules.whole_words(content)
        if roles is None:
            convention = convention_of({}, backend.get_vocab())
            roles = convention.roles if convention else {}
        self._names = {role: roles[role] for role in ROLES if role in roles}
        self.roles: Mapping[str, int] = {role: self.id_of(piece) for role, piece in self._names.items()}
        self.frame = read_frame(content["post_processor"])
        self.special_ids = frozenset(token["id"] for token in content["added_tokens"] if token["special"])
        self.lowercase = backend.normalizer is not None and backend.normalizer.normalize_str("A") == "a"
        self.dtype = np.dtype("uint16" if self.vocab_size <= 1 << 16 else "uint32")
        self.starts_word_V: NDArray[np.bool_] = rules.word_starts(content, self.pieces(range(self.vocab_size)))
        self._mask_takes_space = rules.is_bytes(content)  # it stands for a word, and bytes spell a word with its space
        borders = rules.borders(content)
        self._chunks: ChunkCache | None = None
        self._beginnings: Beginnings | None = None
        if borders is not None:
            split = at_spaces if borders == "bert" else before_spaces
            self._chunks = ChunkCache(split, self.encode_batch, self.dtype)
            self._beginnings = Beginnings(self._backend, borders, self.starts_word_V)

    @property
    def classes(self) -> int:
        """What a language model chooses from: the pieces, or the words of a vocabulary of words."""
        return self.words or self.vocab_size

    def _role(self, role: str) -> int:
        if role not in self.roles:
            raise InputError(
                f"text/tokenizer: this tokenizer has no {role} piece (it has {', '.join(self.roles) or 'none'}). "
                f"Take one that has, or name it as {role}_token in its tokenizer_config.json."
            )
        return self.roles[role]

    pad_id = property(lambda self: self._role("pad"), doc="Id of the piece that fills up.")
    unk_id = property(lambda self: self._role("unk"), doc="Id of what is not known.")
    cls_id = property(lambda self: self._role("cls"), doc="Id of the piece that stands for the whole sequence.")
    sep_id = property(lambda self: self._role("sep"), doc="Id of the separator.")
    mask_id = property(lambda self: self._role("mask"), doc="Id of a hidden token.")
    bos_id = property(lambda self: self._role("bos"), doc="Id of the beginning of a text.")
    eos_id = property(lambda self: self._role("eos"), doc="Id of the end of a text.")

    @classmethod
    def load(cls, path: str | Path, *, lowercase: bool | None = None) -> Tokenizer:
        """Read a folder, or one file: tokenizer.json, vocab.txt, vocab.json beside merges.txt, spiece.model.

        Raises InputError where it cannot.

        A vocab.txt does not say whether text is to be lower-cased.  ``lowercase`` does; with None it is read from a
        tokenizer_config.json beside it, and without one guessed: a vocabulary with no capital letter is a lower-case
        one.
        """
        source = read_source(path, lowercase)
        tokenizer = cls(source.backend, source.max_length, source.roles)
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
        kind: Kind = "wordpiece",
        lowercase: bool | None = None,
        min_frequency: int = 2,
        max_length: int = 512,
    ) -> Tokenizer:
        """Learn a vocabulary of at most ``vocab_size`` pieces; the same texts always give the same one.

        ``kind``: BERT's WordPiece, RoBERTa's byte BPE, ALBERT's Unigram or the words of ELMo's language model, with that
        model's special pieces, which take the first ids.  ``lowercase`` None means yes for WordPiece and Unigram.  What is
        seen fewer than ``min_frequency`` times is left out: pieces, for Unigram characters.  ``texts`` is read once, as a
        stream.  Raises InputError where there is no text or no room.
        """
        lowercase = kind in ("wordpiece", "unigram") if lowercase is None else lowercase
        backend = learn(
            kind,
            (sound(text) for text in texts),
            vocab_size=vocab_size,
            lowercase=lowercase,
            min_frequency=min_frequency,
        )
        return cls(backend, max_length)

    def save(self, folder: str | Path) -> None:
        """Write tokenizer.json, tokenizer_config.json and for WordPiece vocab.txt, as the transformers library reads them."""
        folder = Path(folder)
        folder.mkdir(parents=True, exist_ok=True)
        self._whole.save(str(folder / "tokenizer.json"))
        segments = ["token_type_ids"] if any(place.segment for place in self.frame.pair) else []
        config = {
            "tokenizer_class": "PreTrainedTokenizerFast",
            "model_input_names": ["input_ids", *segments, "attention_mask"],
            "model_max_length": self.max_length,
            **{f"{role}_token": self._names[role] for role in sorted(self._names)},
            **rules.bert_settings(json.loads(self._whole.to_str())["normalizer"]),
        }
        _write(folder / "tokenizer_config.json", json.dumps(config, indent=2, ensure_ascii=False) + "\n")
        if self.kind == "wordpiece":
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
            if len(texts) == 1:  # alone it need not wake other threads
                return [self._backend.encode(texts[0], add_special_tokens=False).ids]
            return [encoding.ids for encoding in self._backend.encode_batch_fast(texts, add_special_tokens=False)]
        except TypeError:  # half of a surrogate pair cannot cross into the library
            return self.encode_batch([sound(text) for text in texts])

    def encode_ragged(self, texts: Sequence[str]) -> tuple[NDArray[np.unsignedinteger[Any]], NDArray[np.int64]]:
        """Return all ids end to end, (T,) of ``dtype``, and ends: text k is ``ids[ends[k - 1]:ends[k]]``.

        The way to encode a corpus: words seen before are looked up, in a table that one thread at a time may use.
        """
        if self._chunks is not None:
            return self._chunks.encode(texts)
        encoded = self.encode_batch(texts)
        ends = np.cumsum([len(ids) for ids in encoded], dtype=np.int64)
        return np.concatenate([np.array(ids, dtype=self.dtype) for ids in encoded] or [np.empty(0, self.dtype)]), ends

    def encode_truncated(self, text: str, max_tokens: int) -> list[int]:
        """Return exactly the first ``max_tokens`` ids of the whole text, reading no more of it than they need."""
        return self.encode_batch_truncated([text], max_tokens)[0]

    def encode_batch_truncated(self, texts: Sequence[str], max_tokens: int) -> list[list[int]]:
        """Return exactly the first ``max_tokens`` ids of each text; see text/beginnings.py."""
        if self._beginnings is None:
            return [ids[:max_tokens] for ids in self.encode_batch(texts)]
        return self._beginnings.first(self.encode_batch, texts, max_tokens)

    def encode_with_offsets(self, text: str) -> Encoded:
        """Return the ids of a text with the characters and the word that each came from."""
        encoding = self._backend.encode(sound(text), add_special_tokens=False)
        words = [word for word in encoding.word_ids if word is not None]
        return Encoded(encoding.ids, encoding.offsets, words)

    def encode_marked(self, text: str) -> list[int]:
        """Return the ids of a prompt in which the names of special pieces stand for the pieces: ``Paris is [MASK].``"""
        names = sorted(self.pieces(self.special_ids), key=len, reverse=True)
        marks = re.split("(" + "|".join(map(re.escape, names)) + ")", text)
        if self._mask_takes_space:
            marks = [
                part.rstrip() if after == self._names.get("mask") else part for part, after in pairwise([*marks, ""])
            ]
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

    def cut_at(self, max_length: int) -> Tokenizer:
        """Return the same tokenizer with another longest sequence."""
        other = object.__new__(type(self))
        other.__dict__.update(self.__dict__, max_length=max_length)
        return other

    def __getstate__(self) -> tuple[str, int]:
        return self._whole.to_str(), self.max_length

    def __reduce__(self) -> tuple[Any, ...]:
        return _restore, (*self.__getstate__(), self._names)


def _restore(content: str, max_length: int, roles: Mapping[str, str]) -> Tokenizer:
    return Tokenizer(tokenizers.Tokenizer.from_str(content), max_length, roles)


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
