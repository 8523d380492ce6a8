"""A WordPiece vocabulary learnt from text, the same on every run.

BERT's shape: characters, then pieces made by joining the most frequent neighbours; a piece that continues a word
begins with ``##``.  Schuster and Nakajima 2012, https://research.google/pubs/japanese-and-korean-voice-search/; the
merging is that of byte-pair encoding, Sennrich et al. 2016, https://arxiv.org/abs/1508.07909, as in the tokenizers
library.

The library numbers continuing characters in the order of a randomly seeded hash table and breaks ties between merges
by these numbers, so the same text gives another vocabulary each time.  Here words are counted first and every
character piece is handed over in a fixed order; what remains for the library is the merging, which is then
determined.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator

from tokenizers import Tokenizer, models, pre_tokenizers, trainers
from tokenizers.normalizers import Normalizer
from tokenizers.pre_tokenizers import PreTokenizer

__all__ = ["PREFIX", "learn_pieces", "repeat"]

PREFIX = "##"
"""Marks a piece that continues a word."""

_FEED_CHARS = 1 << 16


def learn_pieces(
    texts: Iterable[str],
    *,
    normalizer: Normalizer,
    pre_tokenizer: PreTokenizer,
    special: tuple[str, ...],
    vocab_size: int,
    min_frequency: int,
) -> list[str]:
    """Return at most ``vocab_size`` pieces: the special ones, the characters, then joined pieces in order of merging.

    Characters and joins seen fewer than ``min_frequency`` times are left out; where not all characters fit, the most
    frequent stay.  Words with a character that was left out teach nothing.
    """
    words = _count_words(texts, normalizer, pre_tokenizer)
    characters = _character_pieces(words, vocab_size - len(special), min_frequency)
    trainer = trainers.WordPieceTrainer(
        vocab_size=vocab_size,
        min_frequency=min_frequency,
        special_tokens=[*special, *characters],
        continuing_subword_prefix=PREFIX,
        show_progress=False,
    )
    backend = Tokenizer(models.WordPiece(unk_token=special[1]))
    backend.pre_tokenizer = pre_tokenizers.WhitespaceSplit()
    known = set(characters)
    kept = {word: count for word, count in sorted(words.items()) if _spelt_with(known, word)}
    backend.train_from_iterator(repeat(kept), trainer)
    vocabulary = backend.get_vocab()
    return sorted(vocabulary, key=vocabulary.__getitem__)


def _count_words(texts: Iterable[str], normalizer: Normalizer, pre_tokenizer: PreTokenizer) -> Counter[str]:
    chunks: Counter[str] = Counter()
    for text in texts:
        chunks.update(normalizer.normalize_str(text).split())
    words: Counter[str] = Counter()
    for chunk, count in chunks.items():
        for word, _ in pre_tokenizer.pre_tokenize_str(chunk):
            words[word] += count
    return words


def _character_pieces(words: Counter[str], room: int, min_frequency: int) -> list[str]:
    """Characters by code point; one that was seen inside a word also in its continuing form."""
    seen: Counter[str] = Counter()
    inside: set[str] = set()
    for word, count in words.items():
        for character in word:
            seen[character] += count
        if len(word) > 1:
            inside.update(word)
    pieces: list[str] = []
    for character, count in sorted(seen.items(), key=lambda item: (-item[1], item[0])):
        forms = [character, PREFIX + character] if character in inside else [character]
        if count < min_frequency or len(pieces) + len(forms) > room:
            break
        pieces += forms
    return sorted(pieces, key=lambda piece: (len(piece), piece))


def _spelt_with(known: set[str], word: str) -> bool:
    return word[0] in known and all(PREFIX + character in known for character in word[1:])


def repeat(words: dict[str, int]) -> Iterator[str]:
    """Write each word as often as it was seen, in lines of bounded length: the trainer takes text, not counts."""
    for word, count in words.items():
        step = max(1, _FEED_CHARS // (len(word) + 1))
        for begin in range(0, count, step):
            yield f"{word} " * min(step, count - begin)
