"""The slow part of a build, as one pure function of some documents: it runs wherever there is a free core.

Markup taken away, cleaned, cut into sentences (and Chinese words), compared with task files, tokenised, hashed.  What comes
back are arrays: the rows of the corpus as they will lie on the disk, and what has to be known to tell duplicates.  Arrow is
not imported for it: that is memory in each process.
"""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import chain
from typing import Any

import numpy as np
from numpy.typing import NDArray

from maskwright.corpus.document import Document
from maskwright.corpus.duplicates import band_keys, shingles, signatures
from maskwright.corpus.ledger import Ledger
from maskwright.corpus.lists import Lists, Rows, in_bytes, only, running_sums
from maskwright.corpus.manifest import SentenceRule
from maskwright.corpus.markup import plain
from maskwright.corpus.shingles import WordHashes
from maskwright.corpus.without import Without
from maskwright.errors import DataError
from maskwright.text.encoder import Encoded, Encoder
from maskwright.text.sentences import line_ends, sentence_ends
from maskwright.text.sound import sound
from maskwright.text.spans import char_starts
from maskwright.text.tokenizer import Tokenizer
from maskwright.text.words import word_ends

__all__ = ["Preparation", "Prepared", "Tokenisation"]

SHINGLE = 5
"""Words; 5 suit documents."""


@dataclass(frozen=True)
class Prepared:
    """N documents with something to keep, and what happened to the others."""

    texts: Rows
    """id, text (UTF-8), sentence_lengths and for Chinese word_lengths (characters, as bytes)."""
    tokens: Rows
    """ids, sentence_lengths (tokens, as bytes) and for Chinese starts_word."""
    digests: NDArray[np.uint8]
    """(N, 32) sha256 over text, sentence ends and word ends."""
    bands: NDArray[np.uint64] | None
    """(N, bands, 2) of the MinHash signature, where near duplicates are looked for."""
    shingles: Lists | None
    """The 32-bit shingles of each document, sorted."""
    ledger: Ledger


@dataclass
class _Row:
    """A document on its way."""

    id: str
    text: str
    ends: list[int]
    words: list[int]
    hashes: NDArray[np.uint64] | None


class Preparation:
    """Documents in, ``Prepared`` out.  Picklable; keeps the words it has met, which changes no result."""

    def __init__(
        self,
        tokenizer: Tokenizer,
        language: str,
        rule: SentenceRule,
        *,
        strict: bool = False,
        near: bool = False,
        without: Without | None = None,
    ) -> None:
        self._settings = tokenizer, language, rule, strict, near, without
        self._language, self._rule, self._strict, self._near, self._without = language, rule, strict, near, without
        self._encoder = Encoder(tokenizer)
        self._hashes = WordHashes()

    def __reduce__(self) -> Any:
        return _preparation, self._settings

    def __call__(self, documents: Sequence[Document]) -> Prepared:
        """Prepare some neighbouring documents.  Raises DataError for an empty one where that is asked for."""
        ledger = Ledger()
        rows = [row for document in documents if (row := self._row(document, ledger)) is not None]
        contents = [row.text.encode() for row in rows]
        sizes = np.array([len(content) for content in contents], np.int64)
        words = [_bytes_at(content, np.array(row.words)) for content, row in zip(contents, rows, strict=True)]
        tokens = _tokenise(
            self._encoder, contents, [_byte_ends(row) for row in rows], words if self._language == "zh" else None
        )
        with_token = tokens["ids"].lengths > 0
        texts = {
            "id": Lists.of_bytes([row.id.encode() for row in rows]),
            "text": Lists.of_bytes(contents),
            "sentence_lengths": _lengths([row.ends for row in rows]),
        }
        if self._language == "zh":
            texts["word_lengths"] = _lengths([row.words for row in rows])
        if not with_token.all():
            for place in np.flatnonzero(~with_token).tolist():
                self._drop("no token", rows[place].id, int(sizes[place]), ledger)
            kept = np.flatnonzero(with_token).tolist()
            rows, contents = [rows[place] for place in kept], [contents[place] for place in kept]
            tokens, texts = only(tokens, with_token), dict(only(texts, with_token))
        digests = [_digest(content, row) for content, row in zip(contents, rows, strict=True)]
        bands, sets = self._signatures(rows) if self._near else (None, None)
        return Prepared(texts, tokens, np.frombuffer(b"".join(digests), np.uint8).reshape(-1, 32), bands, sets, ledger)

    def _row(self, document: Document, ledger: Ledger) -> _Row | None:
        """Clean a document; None where nothing stays."""
        ledger.documents_read += 1
        ledger.documents_with_bad_bytes += document.bad_bytes > 0
        ledger.bytes_bad += document.bad_bytes
        ledger.replacements += document.replacements
        text, name = document.text, sound(document.id)
        if nuls := text.count("\0"):
            ledger.bytes_nul += nuls
            if self._strict:
                raise DataError(f"document {name!r} holds {nuls:,} NULs. Mend or remove it, or build without --strict.")
            text = text.replace("\0", "")
        text = sound(text)
        if document.markup:
            marked, text = text, sound(plain(text, document.markup).replace("\0", ""))
            ledger.bytes_around["markup"] += len(marked.encode()) - len(text.encode())
        if not text or text.isspace():
            self._drop("empty", name, len(text.encode()), ledger)
            return None
        ends = line_ends(text) if self._rule == "lines" else sentence_ends(text, self._language)
        hashes = self._hashes(text) if self._near or self._without else None
        if self._without and hashes is not None:
            cut = self._without.touched(text, np.array(ends), hashes)
            if cut.any():
                size = len(text.encode())
                text, ends = _cut_out(text, ends, cut)
                if not text or text.isspace():
                    self._drop("contaminated", name, size, ledger, refused=False)
                    return None
                ledger.bytes_dropped["contaminated sentences"] += size - len(text.encode())
                hashes = self._hashes(text) if self._near else None
        return _Row(name, text, ends, word_ends(text, ends) if self._language == "zh" else [], hashes)

    def _drop(self, reason: str, name: str, size: int, ledger: Ledger, *, refused: bool = True) -> None:
        if self._strict and refused:
            what = "is empty" if reason == "empty" else "has no character that this vocabulary keeps"
            raise DataError(f"document {name!r} {what}. Remove it, or build without --strict.")
        ledger.documents_dropped[reason] += 1
        ledger.bytes_dropped[reason] += size

    def _signatures(self, rows: list[_Row]) -> tuple[NDArray[np.uint64], Lists]:
        sets = [shingles(row.hashes, SHINGLE) for row in rows if row.hashes is not None]
        short = [np.unique((each >> np.uint64(32)).astype(np.uint32)) for each in sets]
        return band_keys(signatures(sets)), Lists.of(short, np.uint32)


def _preparation(tokenizer: Tokenizer, language: str, rule: SentenceRule, *rest: Any) -> Preparation:
    strict, near, without = rest
    return Preparation(tokenizer, language, rule, strict=strict, near=near, without=without)


class Tokenisation:
    """Stored texts in, their rows of another token column out.  Picklable."""

    def __init__(self, tokenizer: Tokenizer) -> None:
        self._tokenizer = tokenizer
        self._encoder = Encoder(tokenizer)

    def __reduce__(self) -> Any:
        return Tokenisation, (self._tokenizer,)

    def __call__(self, texts: Rows) -> Rows:
        """Tokenise rows of a text shard; a document without a token stays, with no sentence."""
        numbers = range(len(texts["text"]))
        contents = [texts["text"][number].tobytes() for number in numbers]
        ends, words = (
            [
                _bytes_at(content, running_sums(texts[name][number]))
                for content, number in zip(contents, numbers, strict=True)
            ]
            if name in texts
            else None
            for name in ("sentence_lengths", "word_lengths")
        )
        assert ends is not None
        return _tokenise(self._encoder, contents, ends, words)


def _tokenise(
    encoder: Encoder,
    contents: Sequence[bytes],
    ends: Sequence[NDArray[np.int64]],
    words: Sequence[NDArray[np.int64]] | None,
) -> Rows:
    """Return rows of a token shard; a sentence without a token is left out.

    ends, words: for each text the byte after each sentence, and for Chinese after each word.
    """
    sizes = np.cumsum([len(content) for content in contents], dtype=np.int64)
    begins = np.append(0, sizes)[:-1]
    encoded = encoder.encode(
        b"".join(contents),
        _shifted(ends, begins),
        sizes,
        None if words is None else _shifted(words, begins),
    )
    return _token_rows(encoded, np.cumsum([len(each) for each in ends], dtype=np.int64))


def _token_rows(encoded: Encoded, document_ends: NDArray[np.int64]) -> Rows:
    """Return rows of a token shard; document_ends: (N,) sentences by the end of each document."""
    lengths = np.diff(encoded.ends, prepend=0)
    kept = lengths > 0
    by_document = np.append(0, encoded.ends)[document_ends]
    rows = {
        "ids": Lists(encoded.ids, by_document),
        "sentence_lengths": in_bytes(lengths[kept], np.append(0, np.cumsum(kept))[document_ends]),
    }
    return rows if encoded.starts is None else {**rows, "starts_word": Lists(encoded.starts, by_document)}


def _shifted(places: Sequence[NDArray[np.int64]], begins: NDArray[np.int64]) -> NDArray[np.int64]:
    moved = [each + begin for each, begin in zip(places, begins, strict=True)]
    return np.concatenate([np.empty(0, np.int64), *moved])


def _lengths(ends: Sequence[list[int]]) -> Lists:
    flat = np.fromiter(chain.from_iterable(ends), np.int64)
    by_document = np.cumsum([len(each) for each in ends], dtype=np.int64)
    begins = np.append(0, flat)[:-1]
    begins[np.append(0, by_document)[:-1]] = 0
    return in_bytes(flat - begins, by_document)


def _byte_ends(row: _Row) -> NDArray[np.int64]:
    if row.text.isascii():
        return np.array(row.ends, np.int64)
    ends, begin, at = [], 0, 0
    for end in row.ends:
        at += len(row.text[begin:end].encode())
        ends.append(at)
        begin = end
    return np.array(ends, np.int64)


def _bytes_at(content: bytes, chars: NDArray[np.int64]) -> NDArray[np.int64]:
    if content.isascii() or not len(chars):
        return chars.astype(np.int64)
    return char_starts(np.frombuffer(content, np.uint8))[chars]


def _cut_out(text: str, ends: list[int], cut: NDArray[np.bool_]) -> tuple[str, list[int]]:
    kept, kept_ends, begin, at = [], [], 0, 0
    for end, gone in zip(ends, cut.tolist(), strict=True):
        if not gone:
            kept.append(text[begin:end])
            at += end - begin
            kept_ends.append(at)
        begin = end
    return "".join(kept), kept_ends


def _digest(content: bytes, row: _Row) -> bytes:
    digest = hashlib.sha256()
    parts = [content, np.array(row.ends, "<i4").tobytes()]
    for part in [*parts, np.array(row.words, "<i4").tobytes()] if row.words else parts:
        digest.update(len(part).to_bytes(8, "little"))
        digest.update(part)
    return digest.digest()
