"""The slow part of a build, as one pure function of some documents: it runs wherever there is a free core.

Markup taken away, cleaned, cut into sentences (and Chinese words), compared with task files, tokenised, hashed.  What comes
back are arrays: the rows of the corpus as they will lie on the disk, and what has to be known to tell duplicates.
"""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from maskwright.corpus.duplicates import band_keys, shingles, signatures
from maskwright.corpus.ledger import Ledger
from maskwright.corpus.manifest import SentenceRule
from maskwright.corpus.markup import plain
from maskwright.corpus.read import Document
from maskwright.corpus.shards import lists, strings, text_batch, token_batch
from maskwright.corpus.shingles import WordHashes
from maskwright.corpus.without import Without
from maskwright.errors import DataError
from maskwright.text.encoder import Encoder
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

    texts: pa.RecordBatch
    tokens: pa.RecordBatch
    digests: NDArray[np.uint8]
    """(N, 32) sha256 over text, sentence ends and word ends."""
    bands: NDArray[np.uint64] | None
    """(N, bands, 2) of the MinHash signature, where near duplicates are looked for."""
    shingles: pa.ListArray | None
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
        ends = np.fromiter((end for row in rows for end in _byte_ends(row)), np.int64)
        sizes = np.array([len(content) for content in contents], np.int64)
        begins = np.cumsum(sizes) - sizes
        sentences = np.array([len(row.ends) for row in rows], np.int64)
        words = None
        if self._language == "zh":
            words = np.concatenate(
                [
                    begin + _word_bytes(content, row.words)
                    for begin, content, row in zip(begins, contents, rows, strict=True)
                ]
                or [np.empty(0, np.int64)]
            )
        encoded = self._encoder.encode(b"".join(contents), ends + np.repeat(begins, sentences), words)
        by_document = np.cumsum(sentences)
        with_token = np.diff(np.append(0, encoded.ends)[np.append(0, by_document)]) > 0
        tokens = token_batch(encoded.ids, encoded.starts, encoded.ends, by_document)
        if not with_token.all():
            for place in np.flatnonzero(~with_token).tolist():
                self._drop("no token", rows[place].id, int(sizes[place]), ledger)
            kept = np.flatnonzero(with_token).tolist()
            rows, contents = [rows[place] for place in kept], [contents[place] for place in kept]
            tokens = tokens.filter(pa.array(with_token))
        texts = text_batch(
            strings([row.id.encode() for row in rows]),
            strings(contents),
            lists([np.array(row.ends, np.int32) for row in rows]),
            lists([np.array(row.words, np.int32) for row in rows]) if self._language == "zh" else None,
        )
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

    def _signatures(self, rows: list[_Row]) -> tuple[NDArray[np.uint64], pa.ListArray]:
        sets = [shingles(row.hashes, SHINGLE) for row in rows if row.hashes is not None]
        return band_keys(signatures(sets)), lists(
            [np.unique((each >> np.uint64(32)).astype(np.uint32)) for each in sets]
        )


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

    def __call__(self, texts: pa.RecordBatch) -> pa.RecordBatch:
        """Tokenise rows of a text shard; a document without a token stays, with no sentence."""
        contents = [text.encode() for text in texts.column("text").to_pylist()]
        ends = texts.column("sentence_ends").to_pylist()
        begins = np.cumsum([0, *map(len, contents)])
        byte_ends = [
            _bytes_at(content, np.array(each)) + begin
            for content, each, begin in zip(contents, ends, begins, strict=False)
        ]
        words = None
        if "word_ends" in texts.schema.names:
            stored = texts.column("word_ends").to_pylist()
            words = np.concatenate(
                [
                    _word_bytes(content, each) + begin
                    for content, each, begin in zip(contents, stored, begins, strict=False)
                ]
            )
        encoded = self._encoder.encode(b"".join(contents), np.concatenate(byte_ends), words)
        return token_batch(encoded.ids, encoded.starts, encoded.ends, np.cumsum([len(each) for each in ends]))


def _byte_ends(row: _Row) -> list[int]:
    if row.text.isascii():
        return row.ends
    ends, begin, at = [], 0, 0
    for end in row.ends:
        at += len(row.text[begin:end].encode())
        ends.append(at)
        begin = end
    return ends


def _bytes_at(content: bytes, chars: NDArray[np.int64]) -> NDArray[np.int64]:
    if content.isascii():
        return chars
    return char_starts(np.frombuffer(content, np.uint8))[chars]


def _word_bytes(content: bytes, words: list[int]) -> NDArray[np.int64]:
    return _bytes_at(content, np.array(words, np.int64))


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
