"""What a corpus looks like, in plain numbers.

The unigram entropy is the loss of a masked language model that has learnt only how frequent each piece is: a run that
stays near it has not begun to read context yet.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from maskwright.corpus.store import Corpus, TokenColumn, TokenShard
from maskwright.text.tokenizer import Tokenizer

__all__ = ["piece_counts", "summary"]

LENGTH_EDGES = (8, 16, 32, 64, 128, 256, 512)
"""A sentence is counted at the first edge that is not below its length in tokens, or beyond the last."""
DOCUMENT_EDGES = (32, 128, 512, 2_048, 8_192, 32_768, 131_072)
"""The same for documents."""


def summary(corpus: Corpus, tokenizer: Tokenizer | str | None = None, *, top: int = 20) -> dict[str, Any]:
    """Return documents, sentences, tokens, lengths of both, the most frequent pieces and the ledger, all JSON-ready.

    ``tokenizer`` chooses the token column, by default the one the corpus was built with; ``top`` is how many pieces
    are named. Shares are of the tokens, 0 to 1; the entropy is in nats a token.
    """
    column = corpus.tokens(tokenizer)
    reader = corpus.tokenizer(column.tokenizer_fingerprint)
    counts_V = piece_counts(column, reader.vocab_size)
    sentences = [np.diff(shard.sentence_ends, prepend=np.int32(0)) for shard in column.shards]
    documents = [np.diff(_token_ends(shard), prepend=np.int32(0)) for shard in column.shards]
    share_V = counts_V / column.tokens
    seen = share_V[counts_V > 0]
    frequent = np.argsort(-counts_V, kind="stable")[: min(top, len(seen))]
    return {
        "fingerprint": corpus.fingerprint,
        "language": corpus.language,
        "sentence_rule": corpus.sentence_rule,
        "word_rule": corpus.manifest.word_rule,
        "documents": corpus.documents,
        "sentences": corpus.sentences,
        "chars": corpus.chars,
        "tokenizer": column.tokenizer_fingerprint,
        "tokens": column.tokens,
        "unknown_share": column.unknown / column.tokens,
        "tokens_a_sentence": column.tokens / column.sentences,
        "sentence_lengths": _histogram(sentences, LENGTH_EDGES, "sentences"),
        "document_lengths": _histogram(documents, DOCUMENT_EDGES, "documents"),
        "pieces_used": len(seen),
        "vocab_size": reader.vocab_size,
        "frequent_pieces": [
            {"piece": piece, "count": int(counts_V[number]), "share": float(share_V[number])}
            for number, piece in zip(frequent, reader.pieces(frequent.tolist()), strict=True)
        ],
        "top_piece_share": float(share_V.max()),
        "unigram_entropy": float(-(seen * np.log(seen)).sum()),
        "ledger": corpus.ledger.model_dump(),
        "token_ledgers": {entry.fingerprint: entry.ledger.model_dump() for entry in corpus.manifest.columns},
    }


def piece_counts(column: TokenColumn, vocab_size: int) -> NDArray[np.int64]:
    """Return how often each piece stands in a corpus, (V,)."""
    counts_V = np.zeros(vocab_size, dtype=np.int64)
    for shard in column.shards:
        counts_V += np.bincount(shard.ids, minlength=vocab_size)
    return counts_V


def _token_ends(shard: TokenShard) -> NDArray[np.int32]:
    """Tokens of the shard by the end of each document."""
    return np.append(np.int32(0), shard.sentence_ends)[shard.document_ends]


def _histogram(lengths: list[NDArray[np.int32]], edges: tuple[int, ...], name: str) -> list[dict[str, int | None]]:
    """By length: {"up_to": longest counted here or None, ``name``: count}."""
    counts = np.zeros(len(edges) + 1, np.int64)
    for each in lengths:
        counts += np.bincount(np.searchsorted(edges, each), minlength=len(counts))
    return [{"up_to": edge, name: int(count)} for edge, count in zip((*edges, None), counts, strict=True)]
