"""A vocabulary of words: every word is spelt as the text has it, whether it is in the vocabulary or not."""

import pickle
from collections import Counter
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from maskwright.corpus.build import build_from
from maskwright.corpus.document import Document
from maskwright.errors import InputError
from maskwright.text.characters import CharacterTokenizer, spell
from maskwright.text.rules import BEGIN_ID, END_ID, UNKNOWN_ID
from maskwright.text.split import split_words
from maskwright.text.tokenizer import Tokenizer
from maskwright.text.vocabulary import Spellings

LINES = [
    "the cat sat on the mat, and the cat's mat is well-known: 1,234.5 mats!",
    "the U.S. cat … a 我 爱 the 我 😀 😀 a a naïve",
]
HARD = [
    "the zyzzyva sat 😀👩‍👩‍👧🇫🇷 on 我爱北京天安门。 naïve e\u0301 straße",
    "a b ab the" + "x" * 60 + " " + "長" * 3 + "é" * 40,
    "controls:\x00\x01a\x1fb\tc\r\nd\u200be\ufeff\u2028f\u00ad\x7f\x85 \xa0 nbsp",
    "</S> <S> Ġ Ġthe ▁ ##x [MASK] <unk>",
    "\u0600 a\u0600 b \u06dd \u0301c 한국어 हिन्दी ภาษาไทย",
    "",
    "   ",
]
TEXTS = st.text(
    st.one_of(
        st.characters(codec="utf-8"),
        st.sampled_from("  \t\n\u3000\x85\u200baAtheca'-.,。中我爱😀👩\u200d🇫🇷\u0301\u0600Ġ<S>/"),
    ),
    max_size=60,
)


@pytest.fixture(scope="module")
def words() -> Tokenizer:
    return Tokenizer.train(LINES, kind="words", vocab_size=276, min_frequency=1)


def check(words: Tokenizer, text: str) -> None:
    """Characters and classes from the ids of pieces are those of the text's own words."""
    ids = np.array(words.encode(text), dtype=np.int64)
    spellings = Spellings.of(words)
    expected = split_words(text)
    assert np.array_equal(spellings.spell(ids), spell(expected))
    assert np.array_equal(spellings.spell(ids), CharacterTokenizer().encode(text))
    known = {words.decode([number]).strip(): number for number in range(UNKNOWN_ID + 1, words.words)}
    assert ids[spellings.begins(ids)].tolist() == [known.get(word, UNKNOWN_ID) for word in expected]
    assert words.starts_word_V[ids].tolist() == (ids < words.words).tolist()


@pytest.mark.parametrize("text", [*HARD, *LINES])
def test_words_of_hard_texts_keep_their_spelling(words: Tokenizer, text: str) -> None:
    check(words, text)


@given(TEXTS)
@settings(max_examples=300)
def test_words_of_any_text_keep_their_spelling(text: str) -> None:
    check(_LEARNT, text)


_LEARNT = Tokenizer.train(LINES, kind="words", vocab_size=276, min_frequency=1)


def test_words_stand_in_the_order_of_their_frequency_behind_the_borders_and_the_unknown_one(words: Tokenizer) -> None:
    assert words.pieces(range(4)) == ["</S>", "<S>", "Ġ", "Ġthe"]
    assert (words.vocab_size, words.words, words.classes) == (276, 21, 21)
    counts = Counter(word for line in LINES for word in split_words(line))
    order = [words.decode([number]).strip() for number in range(3, words.words)]
    assert [counts[word] for word in order] == sorted(counts.values(), reverse=True)[: len(order)]
    assert {"我", "😀", "a"} <= set(order)
    assert not any(Tokenizer.train(LINES, kind=kind, vocab_size=330).words for kind in ("wordpiece", "bpe", "unigram"))


def test_borders_are_spelt_as_borders_and_stand_around_a_text(words: Tokenizer) -> None:
    assert [place.id for place in words.frame.single] == [BEGIN_ID, None, END_ID]
    ids = np.array([BEGIN_ID, *words.encode("the zyz"), END_ID])
    assert CharacterTokenizer().pieces(Spellings.of(words).spell(ids)) == ["<S>", "the", "zyz", "</S>"]


def test_bytes_before_the_first_word_belong_to_none(words: Tokenizer) -> None:
    spellings = Spellings.of(words)
    ids = np.array(words.encode("zyz the"))[2:]
    assert CharacterTokenizer().pieces(spellings.spell(ids)) == ["the"]
    assert spellings.spell(ids[:2]).shape == (0, 50)


def test_a_folder_gives_the_same_vocabulary_back_alone_and_in_a_tokenizer_of_characters(
    words: Tokenizer, tmp_path: Path
) -> None:
    words.save(tmp_path / "words")
    CharacterTokenizer(max_length=77, words=words).save(tmp_path / "characters")
    again = CharacterTokenizer.load(tmp_path / "characters")
    assert again.max_length == 77 and again.words is not None
    for back in (Tokenizer.load(tmp_path / "words"), again.words, Tokenizer.load(tmp_path / "characters")):
        assert (back.fingerprint, back.words, back.frame) == (words.fingerprint, words.words, words.frame)
        assert back.roles == words.roles
    CharacterTokenizer().save(tmp_path / "bare")
    assert CharacterTokenizer.load(tmp_path / "bare").words is None


def test_workers_spell_without_a_tokenizer(words: Tokenizer) -> None:
    ids = np.array(words.encode(HARD[0]))
    spellings = Spellings.of(words)
    expected = spellings.spell(ids)
    packed = pickle.dumps(spellings)
    assert b"okenizer" not in packed and len(packed) < 20 * words.vocab_size
    assert np.array_equal(pickle.loads(packed).spell(ids), expected)


@pytest.mark.parametrize("language", ["en", "zh"])
def test_a_corpus_keeps_every_word_of_every_document_without_its_texts(
    words: Tokenizer, language: str, tmp_path: Path
) -> None:
    if language == "zh":
        pytest.importorskip("rjieba")
    texts = ["the cat 😀. A zyzzyva sat!\n我爱北京天安门。 naïve", "北京 the mat…\n\nx"]
    corpus = build_from(
        [Document(str(number), text) for number, text in enumerate(texts)],
        tmp_path / "corpus",
        words,
        language=language,
        keep_text=False,
    )
    column, spellings = corpus.tokens(), Spellings.of(corpus.tokenizer())
    ids = column.ids(0, column.tokens).astype(np.int64)
    assert np.array_equal(spellings.spell(ids), np.concatenate([spell(split_words(text)) for text in texts]))
    assert column.unknown == int((ids == UNKNOWN_ID).sum()) > 0


def test_other_vocabularies_and_other_words_are_refused(words: Tokenizer, tokenizer: Tokenizer) -> None:
    with pytest.raises(InputError, match="a vocabulary of wordpiece pieces"):
        CharacterTokenizer(words=tokenizer)
    with pytest.raises(InputError, match="the splitter 'spaces'"):
        CharacterTokenizer("spaces", words=words)
    with pytest.raises(InputError, match="kind words keeps upper case"):
        Tokenizer.train(LINES, kind="words", vocab_size=300, lowercase=True)
    with pytest.raises(InputError, match="2 special pieces and 256 bytes need more room"):
        Tokenizer.train(LINES, kind="words", vocab_size=258)
    with pytest.raises(InputError, match="nothing to learn"):
        Tokenizer.train(["once only"], kind="words", vocab_size=300)
