"""One token column on its way to disk: texts in, shards and their ledger out."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise
from pathlib import Path

import numpy as np

from maskwright.corpus.ledger import Ledger, TokenLedger
from maskwright.corpus.manifest import Column, TokenShard
from maskwright.corpus.shards import Text, Tokens, write_tokens
from maskwright.text.tokenizer import Tokenizer

__all__ = ["ColumnWriter"]


class ColumnWriter:
    """Tokenises texts and writes the shards of one token column."""

    def __init__(self, folder: Path, tokenizer: Tokenizer) -> None:
        self._folder, self._tokenizer = folder, tokenizer
        self._short = tokenizer.fingerprint[:8]
        self._shards: list[TokenShard] = []
        self.ledger = TokenLedger()

    def tokenise(self, texts: Sequence[Text]) -> list[Tokens]:
        """Encode sentence by sentence; a sentence without a token is left out."""
        sentences = [text.text[begin:end] for text in texts for begin, end in pairwise([0, *text.ends])]
        ids_T, stops = self._tokenizer.encode_ragged(sentences)
        self.ledger.tokens_made += len(ids_T)
        documents = []
        first = begin = 0
        for text in texts:
            mine = stops[first : first + len(text.ends)]
            kept = mine[np.diff(mine, prepend=begin) > 0]
            end = int(mine[-1])
            documents.append(Tokens(ids_T[begin:end], kept - begin))
            first, begin = first + len(text.ends), end
        return documents

    def write(self, texts: Sequence[Text], documents: Sequence[Tokens]) -> None:
        """Write the next shard."""
        path = self._folder / f"tokens-{self._short}-{len(self._shards):05d}.arrow"
        self._shards.append(write_tokens(path, documents, self._tokenizer.starts_word_V))
        for text, tokens in zip(texts, documents, strict=True):
            self.ledger.documents_empty += len(tokens.ids) == 0
            self.ledger.sentences_read += len(text.ends)
            self.ledger.sentences_without_token += len(text.ends) - len(tokens.ends)
            self.ledger.unknown += int(np.count_nonzero(tokens.ids == self._tokenizer.unk_id))

    def finish(self, corpus: Ledger) -> Column:
        """Save the tokenizer and return the column, once its numbers agree with the corpus."""
        self.ledger.documents = sum(shard.documents for shard in self._shards)
        self.ledger.sentences_kept = sum(shard.sentences for shard in self._shards)
        self.ledger.tokens_kept = sum(shard.tokens for shard in self._shards)
        self.ledger.check(corpus)
        folder = f"tokenizer-{self._short}"
        self._tokenizer.save(self._folder / folder)
        return Column(
            fingerprint=self._tokenizer.fingerprint,
            folder=folder,
            dtype=self._tokenizer.dtype.name,
            shards=self._shards,
            ledger=self.ledger,
        )
