"""What is wrong with a corpus as food for pre-training, named before the first step: each fault with its reason and remedy.

One pass over the ends of sentences and documents, two over the ids, in memory that does not grow with the corpus; a few
documents are read as text.  Not looked for: whether random pairs are told by the kind of text alone (novels beside speeches).
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Literal

import numpy as np

from maskwright.corpus.repeats import repeats
from maskwright.corpus.script import foreign_letters
from maskwright.corpus.show import piece_counts
from maskwright.corpus.store import Corpus, TokenColumn
from maskwright.report.numbers import share

__all__ = ["Finding", "Severity", "findings"]

Severity = Literal["note", "warning"]

# Where a fault begins.  Measured on 609 English documents (20.6 M tokens: novels, speeches, news), vocabulary of 8,192.
FEW_DOCUMENTS = 100
"""The usual 2 % held out of fewer would be a single document, and its score that of one text."""
ONE_SENTENCE = 0.20
"""Share of pairs.  Such a pair is always a random one: from here on one answer is right in 60 % and more."""
SHORT, SHORT_SHARE = 8, 0.20
"""Share of documents with fewer tokens than these: one is hidden and six are left to guess it from."""
UNSPLIT, UNSPLIT_SHARE = 256, 0.50
"""Share of tokens in sentences of more tokens than these.  There: 0.6 %."""
CUT = 0.10
"""Share of tokens that do not fit an example.  There: 2 % at length 128, 12 % at 64."""
UNUSED = 0.95
"""Share of tokens in documents that fill less than half an example."""
REPEATED = 0.10
"""Share of tokens.  There: 0.3 %; in speeches alone 1.2 %; in Python's docstrings, full of copied lines, 22 %."""
UNKNOWN = 0.01
"""Share of tokens: [UNK] would be one of the ten most frequent pieces.  There: 0.003 %."""
RARELY, RARE = 10, 0.50
"""Share of pieces that occur fewer times than these, and so are predicted less than twice in a pass.  There: 4 %."""
FOREIGN = 0.50
"""Share of letters outside the language's script; quotations and formulas stay far below."""


@dataclass(frozen=True)
class Finding:
    """One thing that is wrong, or worth knowing."""

    name: str
    severity: Severity
    """A warning costs quality or makes a score worthless; a note may be as it should be."""
    fact: str
    """What was found, in numbers."""
    why: str
    """What it does to a run."""
    remedy: str


def findings(corpus: Corpus, column: TokenColumn, *, length: int, pairs: bool) -> list[Finding]:
    """Look for faults that spoil a pre-training; an empty list where there are none.

    length: tokens in an example, special ones included; pairs: whether examples are pairs of segments (NSP).
    """
    seen = _Seen(corpus, column, length, pairs, _measure(column, length - (3 if pairs else 2)))
    return [found for look in _LOOKS if (found := look(seen)) is not None]


@dataclass
class _Sums:
    """What the ends of sentences and documents say."""

    documents: int = 0
    """With a token or more."""
    empty: int = 0
    short: int = 0
    pairs: int = 0
    """About how many a pass makes."""
    lonely: int = 0
    """Pairs among them from documents of one sentence."""
    unsplit: int = 0
    """Tokens in sentences of more than ``UNSPLIT``."""
    beyond: int = 0
    """Tokens of sentences that alone are longer than an example, less what fits."""
    half: int = 0
    """Tokens in documents of less than half an example."""
    quarter: int = 0


@dataclass(frozen=True)
class _Seen:
    corpus: Corpus
    column: TokenColumn
    length: int
    pairs: bool
    sums: _Sums

    def of_tokens(self, count: int) -> float:
        return count / max(1, self.column.tokens)


def _measure(column: TokenColumn, room: int) -> _Sums:
    """room: tokens of text in an example."""
    sums = _Sums()
    for shard in column.shards:
        sentences = np.diff(shard.sentence_ends, prepend=np.int32(0))
        inside = np.diff(shard.document_ends, prepend=np.int32(0))
        documents = np.diff(np.append(np.int32(0), shard.sentence_ends)[shard.document_ends], prepend=np.int32(0))
        pairs = np.maximum(1, documents // room)
        sums.documents += int((documents > 0).sum())
        sums.empty += int((documents == 0).sum())
        sums.short += int((documents < SHORT).sum())
        sums.pairs += int(pairs[documents > 0].sum())
        sums.lonely += int(pairs[inside == 1].sum())
        sums.unsplit += int(sentences[sentences > UNSPLIT].sum())
        sums.beyond += int(np.maximum(0, sentences - room).sum())
        sums.half += int(documents[documents < room / 2].sum())
        sums.quarter += int(documents[documents < room / 4].sum())
    return sums


def _few_documents(seen: _Seen) -> Finding | None:
    count = seen.sums.documents
    if count >= FEW_DOCUMENTS:
        return None
    why = (
        "what is held out is a document or two, and its score says little about other text"
        if count > 1
        else "nothing can be held out, so no score is honest; next-sentence prediction has no other document to draw from"
    )
    return Finding(
        "few documents",
        "warning",
        f"{count:,} document{'s' if count != 1 else ''} with text",
        why,
        "separate documents by blank lines (.txt) or give one a line (.jsonl); add text",
    )


def _one_sentence(seen: _Seen) -> Finding | None:
    part = seen.sums.lonely / max(1, seen.sums.pairs)
    if not seen.pairs or part < ONE_SENTENCE:
        return None
    return Finding(
        "one-sentence documents",
        "warning",
        f"about {share(part)} of the pairs come from documents of one sentence",
        "nothing follows in such a document, so its pairs are all random ones: next-sentence prediction leans to one answer, "
        "and sentence order has nothing to swap",
        "join the lines of each document (a blank line ends one), or --objectives mlm",
    )


def _short_documents(seen: _Seen) -> Finding | None:
    part = seen.sums.short / max(1, seen.sums.documents + seen.sums.empty)
    if part < SHORT_SHARE:
        return None
    return Finding(
        "near-empty documents",
        "warning",
        f"{share(part)} of the documents have fewer than {SHORT} tokens",
        "what is hidden in them has hardly any context to be guessed from",
        "join the lines of each document, or leave such documents out",
    )


def _sentence_ends(seen: _Seen) -> Finding | None:
    unsplit, beyond = seen.of_tokens(seen.sums.unsplit), seen.of_tokens(seen.sums.beyond)
    if unsplit >= UNSPLIT_SHARE:
        return Finding(
            "no sentence ends",
            "warning",
            f"{share(unsplit)} of the tokens stand in sentences of more than {UNSPLIT}",
            "examples end in mid-sentence, and pairs lose most of their text",
            f"build with the text's own --language (here {seen.corpus.language}), or --sentences lines where each line is one",
        )
    if seen.pairs and beyond >= CUT:
        return Finding(
            "text cut off",
            "warning",
            f"{share(beyond)} of the tokens or more are cut off at length {seen.length:,}",
            "a sentence longer than an example loses its beginning and its end in every pass, and hardly ever shows them",
            f"--length {2 * seen.length}, or --objectives mlm, which makes several examples of a long sentence",
        )
    return None


def _unused_length(seen: _Seen) -> Finding | None:
    # A pair is filled up from another document, so that two short ones make one example.
    small = seen.sums.quarter if seen.pairs else seen.sums.half
    if seen.of_tokens(small) < UNUSED:
        return None
    return Finding(
        "length not used",
        "note",
        f"nearly all documents fill less than half of length {seen.length:,}" + (" in pairs" if seen.pairs else ""),
        "positions that no example reaches are never trained: a later text of that length meets random ones",
        f"--length {max(16, seen.length // 2)}, or longer documents",
    )


def _repeated(seen: _Seen) -> Finding | None:
    found = repeats(seen.column)
    if found.share < REPEATED:
        return None
    ids = seen.column.ids(found.begin, found.begin + min(found.length, 24))
    example = seen.corpus.tokenizer(seen.column.tokenizer_fingerprint).decode(ids.tolist())
    return Finding(
        "repeated sentences",
        "warning",
        f"{share(found.share)} of the tokens stand in sentences that came before; most of all {example[:60]!r}, "
        f"{found.times:,} times",
        "these are learnt by heart while the rest stays at word frequencies (a plateau, often near 8 nats), and held-out text "
        "that repeats training text flatters",
        "remove boilerplate lines and repeated records before the build",
    )


def _unknown(seen: _Seen) -> Finding | None:
    part = seen.of_tokens(seen.column.unknown)
    if part < UNKNOWN or seen.corpus.tokenizer(seen.column.tokenizer_fingerprint).words:  # these are spelt out
        return None
    return Finding(
        "unknown tokens",
        "warning",
        f"{share(part)} of the tokens are [UNK]",
        "what they stood for is lost, and [UNK] is an easy answer",
        "train a vocabulary on this text (maskwright tokenizer train), or take one of its language and case",
    )


def _rare_pieces(seen: _Seen) -> Finding | None:
    size = seen.corpus.tokenizer(seen.column.tokenizer_fingerprint).vocab_size
    frequent = int((piece_counts(seen.column, size) >= RARELY).sum())
    if size - frequent < RARE * size:
        return None
    return Finding(
        "rare pieces",
        "warning",
        f"{size - frequent:,} of the {size:,} pieces occur fewer than {RARELY} times",
        "their embeddings stay random, unless the run goes on from a trained model",
        "more text, a smaller --vocab-size (maskwright tokenizer train), or --start from a trained model",
    )


def _script(seen: _Seen) -> Finding | None:
    found = foreign_letters(seen.corpus)
    if found is None or found[0] < FOREIGN:
        return None
    return Finding(
        "another language",
        "warning",
        f"{share(found[0])} of the letters are not those of --language {seen.corpus.language} (most are {found[1]})",
        "the ends of sentences were looked for by another language's rules",
        "build the corpus again with the --language of the text",
    )


_LOOKS: tuple[Callable[[_Seen], Finding | None], ...] = (
    _few_documents,
    _one_sentence,
    _short_documents,
    _sentence_ends,
    _unused_length,
    _repeated,
    _unknown,
    _rare_pieces,
    _script,
)
