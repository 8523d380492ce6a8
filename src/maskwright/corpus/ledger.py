"""The ledger of a corpus: every document, byte and token that came in was kept, or dropped for a reason that is
written down.

Three hands write in it: the reader counts the bytes of the files, the builder decides about each document, and what
lies in the finished shards is counted again from the shards.  ``check`` compares them, so that a document lost
between any two is an error and not a smaller corpus.
"""

from __future__ import annotations

from collections import Counter
from typing import Any

from pydantic import BaseModel, ConfigDict, Field

from maskwright.errors import MaskwrightError

__all__ = ["Ledger", "TokenLedger", "UnbalancedLedgerError"]

REPLACEMENT_BYTES = len("\ufffd".encode())


class UnbalancedLedgerError(MaskwrightError):
    """Something was lost or counted twice: a fault of ours, never the user's."""

    exit_code = 3


class _Counts(BaseModel):
    model_config = ConfigDict(extra="forbid")


class Ledger(_Counts):
    """Plain numbers.

    A byte is a byte of UTF-8, after decompression and re-coding: a file in GB18030 counts as if it had been written in
    UTF-8, and what its encoding does not know counts as it stands there, as bad bytes.  Of a table that is not text
    (Parquet, Arrow) only the column that is read counts.  Bytes on disk are told apart, in ``bytes_on_disk``.
    """

    files: int = 0
    files_skipped: Counter[str] = Field(default_factory=Counter)
    """By reason."""
    encodings: Counter[str] = Field(default_factory=Counter)
    """Text files by the encoding they were read in."""
    bytes_on_disk: int = 0
    """Bytes of the files as they lie there, compressed where they are; grows while they are read."""

    documents_read: int = 0
    documents_kept: int = 0
    documents_dropped: Counter[str] = Field(default_factory=Counter)
    """By reason."""
    documents_with_bad_bytes: int = 0
    documents_split: int = 0
    """Cuts made in texts too long for one document."""

    bytes_read: int = 0
    bytes_kept: int = 0
    """UTF-8 bytes of the text in the shards."""
    bytes_around: Counter[str] = Field(default_factory=Counter)
    """Bytes between and around texts: line ends, JSON structure and escapes, byte order marks."""
    bytes_bad: int = 0
    """Bytes that are not UTF-8; each run of them became one or more U+FFFD."""
    bytes_nul: int = 0
    bytes_dropped: Counter[str] = Field(default_factory=Counter)
    """Text bytes of dropped documents, by reason."""
    replacements: int = 0
    """U+FFFD characters written for bad bytes, three bytes each."""

    chars: int = 0
    sentences: int = 0

    def add(self, other: Ledger) -> None:
        """Add every number of another ledger to this one."""
        for name in type(self).model_fields:
            mine, theirs = getattr(self, name), getattr(other, name)
            if isinstance(mine, Counter):
                mine.update(theirs)
            else:
                setattr(self, name, mine + theirs)

    def check(self) -> None:
        """Raise UnbalancedLedgerError unless everything read is accounted for."""
        _balance("documents", self.documents_read, self.documents_kept + self.documents_dropped.total())
        explained = (
            self.bytes_kept + self.bytes_around.total() + self.bytes_dropped.total() + self.bytes_bad + self.bytes_nul
        )
        _balance("bytes", self.bytes_read + REPLACEMENT_BYTES * self.replacements, explained)

    def accounts(self) -> dict[str, dict[str, Any]]:
        """Return unit -> read, kept, dropped by reason, as tables and pages show it.

        Kept bytes are those of the files: the U+FFFD that stand for bad bytes are not counted as text there.
        """
        bytes_dropped = {
            **self.bytes_around,
            "bytes that are not UTF-8": self.bytes_bad,
            "NULs": self.bytes_nul,
            **self.bytes_dropped,
        }
        read = {"documents": self.documents_read, "bytes": self.bytes_read}
        dropped = {"documents": dict(self.documents_dropped), "bytes": {k: n for k, n in bytes_dropped.items() if n}}
        return {
            unit: {"read": read[unit], "kept": read[unit] - sum(dropped[unit].values()), "dropped": dropped[unit]}
            for unit in read
        }


class TokenLedger(_Counts):
    """One token column: sentences of the text in, sentences and tokens out."""

    documents: int = 0
    documents_empty: int = 0
    """Documents of the corpus that give this tokenizer nothing to hold; they stay, with no sentence."""
    sentences_read: int = 0
    sentences_kept: int = 0
    sentences_without_token: int = 0
    tokens_made: int = 0
    tokens_kept: int = 0
    unknown: int = 0
    """Tokens that are [UNK]."""

    def check(self, corpus: Ledger) -> None:
        """Raise UnbalancedLedgerError unless the column holds the whole corpus."""
        _balance("documents of the token column", corpus.documents_kept, self.documents)
        _balance("sentences given to the tokenizer", corpus.sentences, self.sentences_read)
        _balance("sentences", self.sentences_read, self.sentences_kept + self.sentences_without_token)
        _balance("tokens", self.tokens_made, self.tokens_kept)


def _balance(what: str, read: int, explained: int) -> None:
    if read != explained:
        raise UnbalancedLedgerError(
            f"corpus/ledger: {what}: {read:,} in, {explained:,} kept or dropped by a known reason; "
            f"{abs(read - explained):,} {'missing' if read > explained else 'too many'}. "
            "The corpus was not written. This is a fault in Maskwright; please report it."
        )
