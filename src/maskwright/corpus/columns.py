"""One token column on its way to disk: rows in, shards and their ledger out."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pyarrow as pa

from maskwright.corpus.ledger import Ledger, TokenLedger
from maskwright.corpus.manifest import Column, TokenShard
from maskwright.corpus.shards import write_tokens
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
        self._unknown = tokenizer.roles.get("unk")  # byte BPE knows everything
        self.shards = list(shards)
        self.ledger = ledger or TokenLedger()
        self._held: list[pa.RecordBatch] = []

    def add(self, tokens: pa.RecordBatch) -> None:
        """Take some rows."""
        self._held.append(tokens)
        self.ledger.tokens_made += len(tokens.column("ids").values)

    def write(self, texts: Sequence[pa.RecordBatch]) -> None:
        """Write the shard of all rows taken since the last one; ``texts`` are the same documents."""
        path = self._folder / f"tokens-{self._short}-{len(self.shards):05d}.arrow"
        self.shards.append(write_tokens(path, self._held))
        ledger = self.ledger
        for batch in texts:
            ledger.sentences_read += len(batch.column("sentence_ends").values)
        for batch in self._held:
            ids = batch.column("ids")
            ledger.documents_empty += int(np.count_nonzero(np.diff(ids.offsets.to_numpy()) == 0))
            if self._unknown is not None:
                ledger.unknown += int(np.count_nonzero(ids.values.to_numpy() == self._unknown))
        ledger.documents = sum(shard.documents for shard in self.shards)
        ledger.sentences_kept = sum(shard.sentences for shard in self.shards)
        ledger.sentences_without_token = ledger.sentences_read - ledger.sentences_kept
        ledger.tokens_kept = sum(shard.tokens for shard in self.shards)
        self._held = []

    def finish(self, corpus: Ledger) -> Column:
        """Save the tokenizer and return the column, once its numbers agree with the corpus."""
        self.ledger.check(corpus)
        folder = f"tokenizer-{self._short}"
        self._tokenizer.save(self._folder / folder)
        return Column(
            fingerprint=self._tokenizer.fingerprint,
            folder=folder,
            dtype=self._tokenizer.dtype.name,
            shards=self.shards,
            ledger=self.ledger,
        )
