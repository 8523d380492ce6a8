"""Vocabularies learnt from text, the same on every run: WordPiece, byte BPE, Unigram and whole words.

Words are counted first, in a fixed order, and rare characters left out; the tokenizers library then joins or chooses
pieces.  What it does in the order of a randomly seeded table is put right here: WordPiece's numbering (text/wordpiece.py) and
the last digits of Unigram's scores.
"""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Callable, Iterable, Mapping
from typing import Any, Literal

from tokenizers import Tokenizer, decoders, models, normalizers, pre_tokenizers, trainers

from maskwright.errors import InputError
from maskwright.text.folder import SPECIAL, bert_backend
from maskwright.text.original import SPACE, byte_backend, frame_backend, unigram_backend
from maskwright.text.special import CONVENTIONS
from maskwright.text.split import MARKS
from maskwright.text.wordpiece import learn_pieces, repeat

__all__ = ["Kind", "learn"]

Kind = Literal["wordpiece", "bpe", "unigram", "words"]

_BPE_SPECIAL = ("<s>", "<pad>", "</s>", "<unk>", "<mask>")
_UNIGRAM_SPECIAL = ("<pad>", "<unk>", "[CLS]", "[SEP]", "[MASK]")
_WORDS_SPECIAL = ("</S>", "<S>")
"""In the order of RoBERTa's, ALBERT's and bilm-tf's ids."""

_DIGITS = 4
"""Decimals of a Unigram score: the library's sums differ from run to run in the fourteenth."""

_STEP = 0.0001

_MAX_PIECE = 16
"""Characters of a Unigram piece, as in SentencePiece."""


def learn(kind: Kind, texts: Iterable[str], *, vocab_size: int, lowercase: bool, min_frequency: int) -> Tokenizer:
    """Learn a vocabulary of at most ``vocab_size`` pieces; raises InputError where there is no text or no room."""
    if kind not in _LEARNERS:
        raise InputError(f"text/tokenizer: kind is {kind!r}; {', '.join(_LEARNERS)} are known.")
    special, taken, learner = _LEARNERS[kind]
    if vocab_size <= len(special) + taken:
        what = f"{len(special)} special pieces" + (f" and {taken} bytes" if taken else "")
        raise InputError(f"text/tokenizer: vocab_size is {vocab_size}; {what} need more room.")
    return learner(texts, vocab_size, lowercase, min_frequency)


def _wordpiece(texts: Iterable[str], vocab_size: int, lowercase: bool, min_frequency: int) -> Tokenizer:
    untrained = bert_backend(list(SPECIAL), lowercase=lowercase)
    pieces = learn_pieces(
        texts,
        normalizer=untrained.normalizer,
        pre_tokenizer=untrained.pre_tokenizer,
        special=SPECIAL,
        vocab_size=vocab_size,
        min_frequency=min_frequency,
    )
    if len(pieces) == len(SPECIAL):
        raise _nothing()
    return bert_backend(pieces, lowercase=lowercase)


def _byte_bpe(texts: Iterable[str], vocab_size: int, lowercase: bool, min_frequency: int) -> Tokenizer:
    alphabet = sorted(pre_tokenizers.ByteLevel.alphabet())
    untrained = _bytes({byte: number for number, byte in enumerate(alphabet)}, [], lowercase)
    words: Counter[str] = Counter()
    for text in texts:
        plain = untrained.normalizer.normalize_str(text) if untrained.normalizer else text
        words.update(word for word, _ in untrained.pre_tokenizer.pre_tokenize_str(plain))
    if not any(word.strip("Ġ") for word in words):
        raise _nothing()
    trainer = trainers.BpeTrainer(
        vocab_size=vocab_size,
        min_frequency=min_frequency,
        special_tokens=list(_BPE_SPECIAL),
        initial_alphabet=alphabet,
        show_progress=False,
    )
    model = _train(models.BPE(), words, trainer)
    merges = [(first, second) for first, second in model["merges"]]
    return frame_backend(_bytes(model["vocab"], merges, lowercase), CONVENTIONS["roberta"])


def _bytes(vocabulary: dict[str, int], merges: list[tuple[str, str]], lowercase: bool) -> Tokenizer:
    steps = [normalizers.NFD(), normalizers.StripAccents(), normalizers.Lowercase()] if lowercase else []
    return byte_backend(
        vocabulary, merges, prefix_space=False, normalizer=normalizers.Sequence(steps) if steps else None
    )


def _unigram(texts: Iterable[str], vocab_size: int, lowercase: bool, min_frequency: int) -> Tokenizer:
    """Learn pieces within words and within scripts, as SentencePiece does: ``(`` and ``word`` are never one piece."""
    steps = (
        [normalizers.NFKD(), normalizers.StripAccents(), normalizers.Lowercase()] if lowercase else [normalizers.NFKC()]
    )
    normalizer = normalizers.Sequence([normalizers.Nmt(), *steps])
    chunks: Counter[str] = Counter()
    for text in texts:
        chunks.update(normalizer.normalize_str(text).split())
    scripts = pre_tokenizers.UnicodeScripts()
    words: Counter[str] = Counter()
    for chunk, count in chunks.items():
        for word, (begin, _) in scripts.pre_tokenize_str(chunk):
            words[word if begin else SPACE + word] += count
    kept = _known_characters(words, vocab_size - len(_UNIGRAM_SPECIAL), min_frequency)
    if not kept:
        raise _nothing()
    trainer = trainers.UnigramTrainer(
        vocab_size=vocab_size,
        special_tokens=list(_UNIGRAM_SPECIAL),
        unk_token=_UNIGRAM_SPECIAL[1],
        max_piece_length=_MAX_PIECE,
        show_progress=False,
    )
    model = _train(models.Unigram(), kept, trainer)
    learnt = _settle([(piece, score) for piece, score in model["vocab"] if piece not in _UNIGRAM_SPECIAL])
    room = vocab_size - len(_UNIGRAM_SPECIAL) - sum(len(piece) == 1 for piece, _ in learnt)
    longer = {piece for piece, _ in [item for item in learnt if len(item[0]) > 1][: max(0, room)]}
    pieces = [(piece, 0.0) for piece in _UNIGRAM_SPECIAL]
    pieces += [(piece, score) for piece, score in learnt if len(piece) == 1 or piece in longer]
    return frame_backend(unigram_backend(pieces, 1, normalizer), CONVENTIONS["albert"])


def _words(texts: Iterable[str], vocab_size: int, lowercase: bool, min_frequency: int) -> Tokenizer:
    """Take the most frequent words; see text/vocabulary.py for what becomes of the others."""
    if lowercase:
        raise InputError(
            "text/tokenizer: kind words keeps upper case: its words are read as they are spelt. "
            "Leave out --no-cased (in Python lowercase=True)."
        )
    alphabet = sorted(pre_tokenizers.ByteLevel.alphabet())
    cutter = pre_tokenizers.Sequence([MARKS, pre_tokenizers.ByteLevel(add_prefix_space=True, use_regex=False)])
    seen: Counter[str] = Counter()
    for text in texts:
        seen.update(word for word, _ in cutter.pre_tokenize_str(text))
    order = sorted(
        (word for word, count in seen.items() if count >= min_frequency), key=lambda word: (-seen[word], word)
    )
    if not order:
        raise _nothing()
    words = order[: vocab_size - len(_WORDS_SPECIAL) - len(alphabet)]
    pieces = [*_WORDS_SPECIAL, "Ġ", *words, *(byte for byte in alphabet if byte != "Ġ")]
    backend = Tokenizer(models.BPE({piece: number for number, piece in enumerate(pieces)}, [], ignore_merges=True))
    backend.pre_tokenizer, backend.decoder = cutter, decoders.ByteLevel()
    return frame_backend(backend, CONVENTIONS["elmo"])


def _settle(pieces: list[tuple[str, float]]) -> list[tuple[str, float]]:
    """Order pieces by score, and level what the library leaves to chance.

    Characters that no spelling used get the lowest score and steps of 0.0001 above it, in the order of a hash table: here all
    that lie so low share the lowest.
    """
    lowest = min(score for _, score in pieces)
    unused = lowest + _STEP * sum(len(piece) == 1 for piece, _ in pieces)
    settled = [
        (piece, round(lowest if len(piece) == 1 and score < unused else score, _DIGITS)) for piece, score in pieces
    ]
    return sorted(settled, key=lambda item: (-item[1], item[0]))


def _known_characters(words: Counter[str], room: int, min_frequency: int) -> Counter[str]:
    """Cut rare characters out of the words, for every character left will be a piece; a Chinese word may be a clause."""
    seen: Counter[str] = Counter()
    for word, count in words.items():
        for character in word:
            seen[character] += count
    order = sorted(seen.items(), key=lambda item: (-item[1], item[0]))[:room]
    known = {character for character, count in order if count >= min_frequency}
    kept: Counter[str] = Counter()
    for word, count in words.items():
        for part in "".join(character if character in known else " " for character in word).split():
            kept[part] += count
    return kept


def _train(model: models.Model, words: Mapping[str, int], trainer: trainers.Trainer) -> dict[str, Any]:
    learner = Tokenizer(model)
    learner.pre_tokenizer = pre_tokenizers.WhitespaceSplit()
    learner.train_from_iterator(repeat(dict(sorted(words.items()))), trainer)
    content: dict[str, Any] = json.loads(learner.to_str())["model"]
    return content


def _nothing() -> InputError:
    return InputError("text/tokenizer: nothing to learn a vocabulary from: no character was seen often enough.")


_LEARNERS: Mapping[Kind, tuple[tuple[str, ...], int, Callable[[Iterable[str], int, bool, int], Tokenizer]]] = {
    "wordpiece": (SPECIAL, 0, _wordpiece),
    "bpe": (_BPE_SPECIAL, 256, _byte_bpe),
    "unigram": (_UNIGRAM_SPECIAL, 0, _unigram),
    "words": (_WORDS_SPECIAL, 256, _words),
}
"""Kind → its special pieces, pieces that it has anyhow, and how it is learnt."""
