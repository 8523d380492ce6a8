"""How much of a corpus examples of a length show at all.

Runs show every token.  Pairs lose what does not fit: a sentence longer than an example is cut at both ends in every pass.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from maskwright.corpus.store import TokenColumn
from maskwright.data.pairs import Pairing
from maskwright.keys import Key

__all__ = ["seen_share"]

SAMPLE = 2_000_000
"""Tokens of the documents looked at, roughly."""


def seen_share(column: TokenColumn, pairing: Pairing, *, passes: int = 5) -> float:
    """Return the share of tokens, 0 to 1, that stand in an example at least once in some passes; measured on a sample.

    Raises ConfigError for a length without room, InputError where pairs are asked of a single document.
    """
    step = max(1, column.tokens // SAMPLE)
    documents = np.arange(0, column.documents, step if column.documents > 4 * step else 1)
    spans = np.concatenate([pairing(column, documents, Key(0, epoch))[:, :4].reshape(-1, 2) for epoch in range(passes)])
    spans = spans[np.argsort(spans[:, 0], kind="stable")]
    reached = np.maximum.accumulate(np.append(0, spans[:-1, 1]))
    seen = np.maximum(0, spans[:, 1] - np.maximum(spans[:, 0], reached)).sum()
    return float(seen / _tokens(column, documents))


def _tokens(column: TokenColumn, documents: NDArray[np.int64]) -> int:
    total = 0
    for shard in column.shards:
        ends = np.append(np.int32(0), shard.sentence_ends)[shard.document_ends]
        lengths = np.diff(ends, prepend=np.int32(0))
        here = documents[(documents >= shard.first_document) & (documents < shard.first_document + shard.documents)]
        total += int(lengths[here - shard.first_document].sum())
    return total
