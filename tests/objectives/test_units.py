"""Masking by any unit on text as people write it: English, Chinese, emoji, in three kinds of vocabulary."""

from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from framed import framed, tokens_of
from maskwright.data.batch import Collator, Sample
from maskwright.keys import Key
from maskwright.objectives.gazetteer import Gazetteer
from maskwright.objectives.mlm import HideTokens, MlmConfig
from maskwright.text.encoder import Encoder
from maskwright.text.tokenizer import Tokenizer

WORDS = [
    "the", "whole", "of", "London", "unbelievable", "antidisestablishmentarianism", "naïve", "e\u0301", "don't", "3.14", "A.B.",
    "北京", "北京大学", "中华人民共和国", "我们", "，", "。", "😀", "👩‍👩‍👧", "🇨🇳", "x", "—", "\u200b", "ﬁ", "[MASK]", "[SEP]", "안녕",
]  # fmt: skip
NAMES = ["London", "whole of", "北京大学", "北京", "😀", "👩‍👩‍👧 x", "the whole of London"]
UNITS = ["token", "word", "span", "ngram", "entity"]

TEXTS = st.lists(st.tuples(st.sampled_from(WORDS), st.sampled_from([" ", "", "\n"])), min_size=1, max_size=60).map(
    lambda parts: "".join(word + space for word, space in parts)
)


@pytest.fixture(scope="module")
def vocabularies() -> dict[str, tuple[Tokenizer, Encoder, Gazetteer]]:
    made = {}
    for kind in ("wordpiece", "bpe", "unigram"):
        tokenizer = Tokenizer.train([" ".join(WORDS)] * 3, vocab_size=420, kind=kind, min_frequency=1)
        made[kind] = (tokenizer, Encoder(tokenizer), Gazetteer.of(NAMES, tokenizer))
    return made


def sample_of(encoder: Encoder, tokenizer: Tokenizer, texts: list[str], number: int) -> Sample:
    """As a corpus stores them: the first one's words found by rjieba where it is installed."""
    segments = [tokens_of(encoder, tokenizer, [text], chinese_words(text)) for text in texts]
    return framed(segments, tokenizer.cls_id, tokenizer.sep_id, number)


def chinese_words(text: str) -> np.ndarray | None:
    try:
        from maskwright.text.words import need_words, word_ends

        need_words()
    except ImportError:
        return None
    return np.array([len(text[:end].encode()) for end in word_ends(text, [len(text)])])


@pytest.mark.parametrize("kind", ["wordpiece", "bpe", "unigram"])
@pytest.mark.parametrize("unit", UNITS)
@given(
    texts=st.lists(TEXTS, min_size=1, max_size=2),
    key=st.builds(Key, st.integers(0, 9), st.integers(0, 9)),
    rate=st.sampled_from([0.15, 0.5]),
    number=st.integers(0, 2**40),
)
@settings(max_examples=60)
def test_only_chosen_ids_change_and_words_stay_whole(
    vocabularies: dict, kind: str, unit: str, texts: list[str], key: Key, rate: float, number: int
) -> None:
    tokenizer, encoder, gazetteer = vocabularies[kind]
    ordinary = np.setdiff1d(np.arange(tokenizer.vocab_size), sorted(tokenizer.special_ids))
    sample = sample_of(encoder, tokenizer, texts, number)
    before = sample.ids.copy()
    hide = HideTokens(MlmConfig(unit=unit, rate=rate), tokenizer.mask_id, ordinary, gazetteer)
    hidden = hide(sample, key.at(number))
    places, labels = hidden.targets["mlm"]
    chosen = np.zeros(len(before), bool)
    chosen[places] = True

    assert (hidden.ids[~chosen] == before[~chosen]).all()
    assert (labels == before[places]).all() and (sample.ids == before).all()
    assert not sample.special[places].any()
    changed = hidden.ids[hidden.ids != before]  # an unknown word that is kept is [UNK] still
    assert not np.isin(changed, sorted(tokenizer.special_ids - {tokenizer.mask_id})).any()
    wanted, ordinary_tokens = max(1, round(rate * len(before))), int((~sample.special).sum())
    assert len(places) <= min(wanted, ordinary_tokens)
    if unit == "token":
        assert len(places) == min(wanted, ordinary_tokens)
    elif ordinary_tokens:
        word = np.cumsum(sample.starts_word | sample.special | np.roll(sample.special, 1))
        sizes, taken = np.bincount(word), np.bincount(word, weights=chosen)
        partly = (taken > 0) & (taken < sizes)
        assert not partly.any() or sizes[np.unique(word[~sample.special])].min() > wanted
    again = hide(sample, key.at(number))
    assert (again.ids == hidden.ids).all() and (again.targets["mlm"][0] == places).all()


@pytest.mark.parametrize("unit", UNITS)
def test_the_same_key_makes_the_same_batch(unit: str, vocabularies: dict) -> None:
    tokenizer, encoder, gazetteer = vocabularies["wordpiece"]
    hide = HideTokens(MlmConfig(unit=unit), tokenizer.mask_id, np.arange(10, 200), gazetteer)
    samples = [sample_of(encoder, tokenizer, [" ".join(np.roll(WORDS, n))], n) for n in range(8)]
    collate = Collator((hide,), tokenizer.pad_id)
    one, same = collate(samples, Key(4, 2)), collate(samples, Key(4, 2))
    other = collate(samples, Key(4, 3))
    assert one.ids_T.equal(same.ids_T) and one.targets["mlm"].rows.equal(same.targets["mlm"].rows)
    assert not one.ids_T.equal(other.ids_T)


@pytest.mark.parametrize("language", ["zh", "en"])
def test_chinese_is_hidden_by_words_where_the_corpus_stores_them(language: str, tmp_path: Path) -> None:
    pytest.importorskip("rjieba")
    from maskwright.corpus.build import build

    text = "中华人民共和国成立于1949年。北京大学的学生很多。我们爱北京天安门。" * 30
    (tmp_path / "zh.txt").write_text(text, "utf-8")
    characters = Tokenizer.train([text], vocab_size=100, min_frequency=1)
    column = build(tmp_path / "zh.txt", tmp_path / "corpus", characters, language=language).tokens()
    ids, starts = column.ids(0, 100), column.starts_word(0, 100)
    sample = framed([(ids, starts)], characters.cls_id, characters.sep_id, 0)
    hide = HideTokens(MlmConfig(unit="word"), characters.mask_id, np.arange(10, 60))
    country = [characters.id_of(character) for character in "中华人民共和国"]
    begin = next(n for n in range(90) if sample.ids[n : n + 7].tolist() == country)
    together = set()
    for epoch in range(200):
        places = hide(sample, Key(0, epoch)).targets["mlm"][0]
        together.add(int(((places >= begin) & (places < begin + 7)).sum()))
    assert together == ({0, 7} if language == "zh" else set(range(max(together) + 1)))
    assert language == "zh" or max(together) > 2
