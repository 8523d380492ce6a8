"""A corpus on disk, opened for reading.  Ids are used where they lie in the file; nothing is copied to open it.

``Corpus`` knows the texts and the ledger; ``TokenColumn`` is what training reads.  Tokens, sentences and documents
are numbered from 0 through the whole corpus; within a shard its own arrays count from the shard's beginning.
"""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property
from itertools import accumulate
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from maskwright.corpus.ledger import Ledger
from maskwright.corpus.lists import Rows, numbers_by, running_sums
from maskwright.corpus.manifest import Column, Manifest, Shard, TextShard, file_sha256
from maskwright.corpus.manifest import TokenShard as TokenEntry
from maskwright.corpus.shards import TokenFile, read_texts, read_tokens
from maskwright.errors import DataError, InputError
from maskwright.text.tokenizer import Tokenizer

__all__ = ["Corpus", "StoredDocument", "TokenColumn", "TokenShard"]


@dataclass(frozen=True)
class StoredDocument:
    """One document as a corpus keeps it."""

    id: str
    text: str
    sentence_ends: list[int]
    """The character after each sentence."""
    word_ends: list[int] | None
    """The character after each word, where the vocabulary does not say where words begin."""


class TokenShard:
    """The tokens of some neighbouring documents.  Mapped when first used; picklable.

    Attributes:
        first_token, first_document, first_sentence: numbers in the whole corpus.
        tokens, documents, sentences: how many are here.
    """

    def __init__(
        self, path: Path, entry: TokenEntry, first_token: int, first_document: int, first_sentence: int
    ) -> None:
        self.path = path
        self.tokens, self.documents, self.sentences = entry.tokens, entry.documents, entry.sentences
        self.first_token, self.first_document, self.first_sentence = first_token, first_document, first_sentence

    @cached_property
    def _file(self) -> TokenFile:
        return read_tokens(self.path, self.documents)

    @cached_property
    def ids(self) -> NDArray[np.unsignedinteger[Any]]:
        """(tokens,) ids of the shard, in the file's memory."""
        return self._file.ids

    @cached_property
    def document_ends(self) -> NDArray[np.int32]:
        """(documents,) sentences of the shard by the end of each document."""
        return numbers_by(self._file.lengths, self._file.length_ends)

    @cached_property
    def sentence_ends(self) -> NDArray[np.int32]:
        """(sentences,) tokens of the shard by the end of each sentence."""
        return running_sums(self._file.lengths, np.int32)

    def starts_word(self, begin: int, end: int) -> NDArray[np.bool_]:
        """(end - begin,) whether each token begins a word; positions within the shard."""
        word_bits = self._file.word_bits
        if word_bits is None:
            starts: NDArray[np.bool_] = self._file.starts_V[self.ids[begin:end]]
            return starts
        first = begin // 8
        bits = np.unpackbits(word_bits[first : (end + 7) // 8], bitorder="little")
        return bits[begin - 8 * first : end - 8 * first].view(np.bool_)

    def __getstate__(self) -> dict[str, Any]:
        mapped = ("_file", "ids", "document_ends", "sentence_ends")
        return {name: value for name, value in self.__dict__.items() if name not in mapped}


class TokenColumn:
    """The whole corpus as one tokenizer sees it.  Picklable: a loader worker maps the files again.

    Attributes:
        tokenizer_fingerprint: which tokenizer.
        tokens, sentences, documents: totals.  A document may have no sentence where the column was added later.
        unknown: tokens that are [UNK].
        dtype: uint16 or uint32.
        shards: in order.
    """

    def __init__(self, folder: Path, column: Column) -> None:
        self.tokenizer_fingerprint = column.fingerprint
        self.dtype = np.dtype(column.dtype)
        ledger = column.ledger
        self.tokens, self.unknown = ledger.tokens_kept, ledger.unknown
        self.sentences, self.documents = ledger.sentences_kept, ledger.documents
        self.shards = [
            TokenShard(folder / entry.name, entry, *first)
            for entry, first in zip(column.shards, _firsts(column.shards), strict=False)
        ]
        self._first_tokens = [shard.first_token for shard in self.shards]

    def ids(self, begin: int, end: int) -> NDArray[np.unsignedinteger[Any]]:
        """(end - begin,) ids of a span of tokens within one document; a view of the file, not writable."""
        shard = self._shard_at(begin)
        return shard.ids[begin - shard.first_token : end - shard.first_token]

    def starts_word(self, begin: int, end: int) -> NDArray[np.bool_]:
        """(end - begin,) whether each token of a span begins a word."""
        shard = self._shard_at(begin)
        return shard.starts_word(begin - shard.first_token, end - shard.first_token)

    def starts_sentence(self, begin: int, end: int) -> NDArray[np.bool_]:
        """(end - begin,) whether each token of a span begins a sentence; one that begins a document does."""
        shard = self._shard_at(begin)
        first, last = begin - shard.first_token, end - shard.first_token
        # In the file's own type: another one would have the whole shard copied for every call.
        at, beyond = shard.sentence_ends.searchsorted(np.array([first, last], dtype=np.int32))
        starts = np.zeros(end - begin, dtype=np.bool_)
        starts[shard.sentence_ends[at:beyond] - first] = True
        starts[:1] |= first == 0
        return starts

    def _shard_at(self, token: int) -> TokenShard:
        return self.shards[bisect_right(self._first_tokens, token) - 1]


def _firsts(shards: list[TokenEntry]) -> Iterator[tuple[int, int, int]]:
    sizes = ((shard.tokens, shard.documents, shard.sentences) for shard in shards)
    return accumulate(sizes, lambda one, two: (one[0] + two[0], one[1] + two[1], one[2] + two[2]), initial=(0, 0, 0))


class Corpus:
    """A folder that ``build`` wrote.

    Attributes:
        folder: where it is.
        fingerprint: sha256 over texts and sentence ends, whatever the folder, the files or the shards are called.
        language, sentence_rule: how sentences were found.
        has_text: whether the texts were kept.
        documents, sentences, chars: totals of the text.
        ledger: where everything that was read went.
        fingerprints: of the tokenizers whose tokens it holds; the first is the one it was built with.
    """

    def __init__(self, folder: Path, manifest: Manifest) -> None:
        self.folder, self.manifest = folder, manifest
        self.fingerprint, self.language, self.sentence_rule = (
            manifest.fingerprint,
            manifest.language,
            manifest.sentence_rule,
        )
        self.has_text = manifest.has_text
        self.ledger: Ledger = manifest.ledger
        self.documents, self.sentences, self.chars = (
            self.ledger.documents_kept,
            self.ledger.sentences,
            self.ledger.chars,
        )
        self.fingerprints = [column.fingerprint for column in manifest.columns]
        self._document_ends = list(accumulate(shard.documents for shard in manifest.shards))
        self._last_read: tuple[tuple[str, int], Rows] | None = None

    @classmethod
    def open(cls, folder: str | Path) -> Corpus:
        """Read the manifest and compare the sizes of the files; ``verify`` reads all of them.

        Raises InputError where there is no corpus, DataError naming a file that is missing or cut off.
        """
        corpus = cls(Path(folder), Manifest.read(Path(folder)))
        for shard in corpus._shards():
            path = corpus.folder / shard.name
            size = path.stat().st_size if path.is_file() else None
            if size != shard.bytes:
                found = "missing" if size is None else f"{size:,} bytes"
                raise DataError(f"{found}, {shard.bytes:,} bytes in the manifest. Build the corpus again.", file=path)
        return corpus

    def verify(self, tokenizer: Tokenizer | str | None = None) -> None:
        """Hash every file, or only those of a tokenizer; raises DataError naming the first that was changed."""
        for shard in self._shards() if tokenizer is None else self._column(tokenizer).shards:
            _compare(self.folder / shard.name, shard.sha256)
        for column in self.manifest.columns if tokenizer is None else [self._column(tokenizer)]:
            self._verify_tokenizer(column)

    def _verify_tokenizer(self, column: Column) -> None:
        for name, sha256 in column.files.items():
            _compare(self.folder / column.folder / name, sha256)

    def tokens(self, tokenizer: Tokenizer | str | None = None) -> TokenColumn:
        """Return the token column of a tokenizer, given itself or by fingerprint; None is the one it was built with."""
        return TokenColumn(self.folder, self._column(tokenizer))

    def tokenizer(self, fingerprint: str | None = None) -> Tokenizer:
        """Load a tokenizer that the corpus was tokenised with, from its own copy; DataError names a file that changed."""
        column = self._column(fingerprint)
        self._verify_tokenizer(column)
        return Tokenizer.load(self.folder / column.folder)

    def text(self, document: int) -> tuple[str, str]:
        """Return (id, text) of a document, counted from 0; InputError where there is none, or no text was kept."""
        found = self.document(document)
        return found.id, found.text

    def document(self, number: int) -> StoredDocument:
        """Return a document, counted from 0; InputError where there is none, or no text was kept."""
        if not 0 <= number < self.documents:
            raise InputError(f"corpus: no document {number:,}; {self.folder} holds 0 to {self.documents - 1:,}.")
        place = bisect_right(self._document_ends, number)
        shard = self.manifest.shards[place]
        row = number - (self._document_ends[place] - shard.documents)
        batch = bisect_right(shard.batches, row)
        rows = self._batch(shard, batch)
        row -= shard.batches[batch - 1] if batch else 0
        name, text = (rows[column][row].tobytes().decode() for column in ("id", "text"))
        sentences, words = (
            running_sums(rows[column][row]).tolist() if column in rows else None
            for column in ("sentence_lengths", "word_lengths")
        )
        return StoredDocument(name, text, sentences or [], words)

    def texts(self, shard: TextShard) -> Iterator[Rows]:
        """Yield the documents of one shard, a batch after the other: id, text, sentence_lengths, for Chinese word_lengths."""
        self._need_text()
        return read_texts(self.folder / shard.name, shard.batches, range(len(shard.batches)))

    def _need_text(self) -> None:
        if not self.has_text:
            raise InputError(f"corpus: {self.folder} was built without its texts. Build it again with them.")

    def _batch(self, shard: TextShard, batch: int) -> Rows:
        # Texts are compressed by the batch, so the one unpacked last is kept.
        self._need_text()
        if self._last_read is None or self._last_read[0] != (shard.name, batch):
            (rows,) = read_texts(self.folder / shard.name, shard.batches, range(batch, batch + 1))
            self._last_read = ((shard.name, batch), rows)
        return self._last_read[1]

    def _column(self, tokenizer: Tokenizer | str | None) -> Column:
        columns = self.manifest.columns
        if tokenizer is None:
            return columns[0]
        wanted = tokenizer if isinstance(tokenizer, str) else tokenizer.fingerprint
        for column in columns:
            if column.fingerprint == wanted:
                return column
        known = ", ".join(column.fingerprint[:8] for column in columns)
        raise InputError(
            f"corpus: {self.folder} has no tokens of the tokenizer {wanted[:8]} (it has: {known}). "
            "Add them with maskwright.corpus.build.add_tokens."
        )

    def _shards(self) -> Iterator[Shard]:
        yield from self.manifest.shards
        for column in self.manifest.columns:
            yield from column.shards


def _compare(path: Path, sha256: str) -> None:
    if not path.is_file():
        raise DataError("missing. Build the corpus again.", file=path)
    if file_sha256(path) != sha256:
        raise DataError("its bytes have changed since the corpus was built. Build the corpus again.", file=path)
