"""One token column on its way to disk: rows in, shards and their ledger out."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np

from maskwright.corpus.ledger import Ledger, TokenLedger
from maskwright.corpus.lists import Pile, Rows
from maskwright.corpus.manifest import Column, TokenShard, file_sha256
from maskwright.corpus.shards import IDS, write_tokens
from maskwright.text.rules import UNKNOWN_ID
from maskwright.text.tokenizer import Tokenizer

__all__ = ["ColumnWriter"]


class ColumnWriter:
    """Holds the rows of a token column until their shard is full, and writes it.

    ``shards`` and ``ledger`` are those of a column that was begun earlier.
    """

    def __init__(
        self, folder: Path, tokenizer: Tokenizer, shards: Sequence[TokenShard] = (), ledger: TokenLedger | None = None
    ) -> None:
        self._folder, self._tokenizer = folder, tokenizer
        self._short = tokenizer.fingerprint[:8]
        # Byte BPE knows everything; a vocabulary of words spells what it does not know.
        self._unknown = UNKNOWN_ID if tokenizer.words else tokenizer.roles.get("unk")
        self.shards = list(shards)
        self.ledger = ledger or TokenLedger()
        self._held: dict[str, Pile] = {}

    def add(self, tokens: Rows, sentences: int) -> None:
        """Take some rows; ``sentences`` are those of their texts."""
        for name, lists in tokens.items():
            self._held.setdefault(name, Pile(lists.flat.dtype)).add(lists)
        ids, ledger = tokens[IDS], self.ledger
        ledger.sentences_read += sentences
        ledger.tokens_made += len(ids.flat)
        ledger.documents_empty += int(np.count_nonzero(ids.lengths == 0))
        if self._unknown is not None:
            ledger.unknown += int(np.count_nonzero(ids.flat == self._unknown))

    def write(self) -> None:
        """Write the shard of all rows taken since the last one."""
        path = self._folder / f"tokens-{self._short}-{len(self.shards):05d}.arrow"
        rows = {name: pile.take() for name, pile in self._held.items()}
        self.shards.append(write_tokens(path, rows, self._tokenizer.starts_word_V))
        ledger = self.ledger
        ledger.documents = sum(shard.documents for shard in self.shards)
        ledger.sentences_kept = sum(shard.sentences for shard in self.shards)
        ledger.sentences_without_token = ledger.sentences_read - ledger.sentences_kept
        ledger.tokens_kept = sum(shard.tokens for shard in self.shards)

    def finish(self, corpus: Ledger) -> Column:
        """Save the tokenizer and return the column, once its numbers agree with the corpus."""
        self.ledger.check(corpus)
        folder = f"tokenizer-{self._short}"
        self._tokenizer.save(self._folder / folder)
        return Column(
            fingerprint=self._tokenizer.fingerprint,
            folder=folder,
            files={path.name: file_sha256(path) for path in sorted((self._folder / folder).iterdir())},
            dtype=self._tokenizer.dtype.name,
            shards=self.shards,
            ledger=self.ledger,
        )
