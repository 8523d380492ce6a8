"""A vocabulary extended with the words of a new domain; every old id stays what it was.

A pre-trained vocabulary spells the words of another domain in many pieces, which makes sequences longer and spreads a word's
meaning over parts.  The words that cost most (how often they occur x the pieces that one piece would save) become
pieces of their own, behind the old ones.  Only whole words are added: they are found whenever they occur, since WordPiece
takes the longest piece first, and a reader can judge them.  ``maskwright.grow`` gives them their embeddings.
"""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

import tokenizers

from maskwright.errors import InputError
from maskwright.text import rules
from maskwright.text.sound import sound
from maskwright.text.tokenizer import Tokenizer
from maskwright.text.wordpiece import PREFIX

__all__ = ["Extension", "NewPiece", "extend", "split", "with_pieces"]


@dataclass(frozen=True)
class NewPiece:
    """A word that became one piece."""

    piece: str
    was: tuple[str, ...]
    """The old pieces that spelt it."""
    saved: int
    """Tokens that it saves in the texts, longer words that begin with it included."""


@dataclass(frozen=True)
class Extension:
    """An extended vocabulary and what it saves on the texts that it was chosen by."""

    tokenizer: Tokenizer
    pieces: tuple[NewPiece, ...]
    """In the order of their ids, the most useful first; their ids begin where the old vocabulary ends."""
    words: int
    """Words of the texts, punctuation marks included."""
    tokens_before: int
    """Tokens of the texts in the old vocabulary."""
    tokens_after: int
    """Tokens of the texts in the new one."""


def extend(tokenizer: Tokenizer, texts: Iterable[str], *, add: int, min_frequency: int = 5) -> Extension:
    """Add at most ``add`` whole words to a vocabulary, those that save most tokens on ``texts``.

    Old pieces keep their ids, and text without a new piece keeps its tokens.  A word's occurrences are counted without those
    in the text that has most of them (unless there is one text only): the name of one book's hero is no word of the
    domain.  That count must reach ``min_frequency``.  Words that are [UNK] are left out, for they have no pieces to start from.
    The same texts give the same pieces, in whatever order they come; ``texts`` is read once, as a stream.

    Raises InputError where no word qualifies, or where the tokenizer does not cut text at white space first.
    """
    if add < 1:
        raise InputError(f"text/extend: add is {add}; at least one piece must be wanted.")
    content, _ = tokenizer.__getstate__()
    if not rules.words_are_local(json.loads(content)):
        raise InputError(
            "text/extend: this tokenizer does not work word by word as BERT's does, so new words cannot be told apart; "
            "train a vocabulary on the texts instead: maskwright tokenizer train"
        )
    words, elsewhere = _count(texts, tokenizers.Tokenizer.from_str(content))
    spelt = sorted(words)
    counts = [words[word] for word in spelt]
    before = tokenizer.encode_batch(spelt)
    candidates = {
        word: elsewhere[word] * (len(old) - 1)
        for word, old in zip(spelt, before, strict=True)
        if len(old) > 1 and elsewhere[word] >= min_frequency
    }
    while candidates:
        chosen = sorted(candidates, key=lambda word: (-candidates[word], word))[:add]
        extended = with_pieces(tokenizer, chosen)
        saved = _saved(extended, chosen, spelt, counts, before)
        useless = [word for word in chosen if saved[word] <= 0]
        if not useless:
            pieces = tuple(
                NewPiece(word, tuple(tokenizer.pieces(ids)), saved[word])
                for word, ids in zip(chosen, tokenizer.encode_batch(chosen), strict=True)
            )
            total = sum(count * len(old) for count, old in zip(counts, before, strict=True))
            return Extension(extended, pieces, sum(counts), total, total - sum(saved.values()))
        for word in useless:
            del candidates[word]
    raise InputError(
        f"text/extend: nothing to add: of {len(words):,} different words, none that is spelt in several pieces is seen "
        f"{min_frequency} times outside the text that has it most. Give more text, or keep the vocabulary as it is."
    )


def with_pieces(tokenizer: Tokenizer, pieces: Sequence[str]) -> Tokenizer:
    """Return the tokenizer with more pieces behind its own; InputError for one that it has already."""
    content, max_length = tokenizer.__getstate__()
    changed = json.loads(content)
    vocabulary = changed["model"]["vocab"]
    for number, piece in enumerate(pieces, start=tokenizer.vocab_size):
        if piece in vocabulary:
            raise InputError(f"text/extend: {piece!r} is a piece already, with the id {vocabulary[piece]}.")
        vocabulary[piece] = number
    return Tokenizer(tokenizers.Tokenizer.from_str(json.dumps(changed)), max_length)


def split(piece: str, vocabulary: Mapping[str, int], unknown: str) -> list[str]:
    """Return the pieces of a vocabulary that spell a piece, the longest first as in WordPiece; else ``[unknown]``.

    A piece that continues a word (``##ing``) is spelt with such pieces only.
    """
    prefix = PREFIX if piece.startswith(PREFIX) else ""
    rest, found = piece.removeprefix(prefix), []
    while rest:
        end = next((end for end in range(len(rest), 0, -1) if prefix + rest[:end] in vocabulary), 0)
        if not end:
            return [unknown]
        found.append(prefix + rest[:end])
        rest, prefix = rest[end:], PREFIX
    return found


def _count(texts: Iterable[str], backend: tokenizers.Tokenizer) -> tuple[Counter[str], Counter[str]]:
    """Count each word, and its occurrences outside the text that has most of them."""
    words: Counter[str] = Counter()
    most: Counter[str] = Counter()
    known: dict[str, list[str]] = {}
    documents = 0
    for text in texts:
        here: Counter[str] = Counter()
        for chunk, count in Counter(backend.normalizer.normalize_str(sound(text)).split()).items():
            if chunk not in known:
                known[chunk] = [word for word, _ in backend.pre_tokenizer.pre_tokenize_str(chunk)]
            for word in known[chunk]:
                here[word] += count
        words.update(here)
        most |= here
        documents += 1
    return words, words - most if documents > 1 else words


def _saved(
    extended: Tokenizer, chosen: Sequence[str], words: Sequence[str], counts: Sequence[int], before: Sequence[list[int]]
) -> Counter[str]:
    """Tokens saved by each new piece.  A word has at most one, for only its beginning can be a whole word.

    A piece behind which the rest of a word cannot be spelt, so that the word becomes [UNK], is worse than useless.
    """
    saved: Counter[str] = Counter()
    first_new = extended.vocab_size - len(chosen)
    new = set(chosen)
    for word, count, old, ids in zip(words, counts, before, extended.encode_batch(words), strict=True):
        if ids[:1] > [first_new - 1]:
            saved[chosen[ids[0] - first_new]] += count * (len(old) - len(ids))
        elif ids != old:
            begins = next(word[:end] for end in range(len(word), 0, -1) if word[:end] in new)
            saved[begins] = -(1 << 62)
    return saved
