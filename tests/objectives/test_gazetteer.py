"""Entities are found where they stand, as the tokenizer writes them, and hidden whole; a bad file is named with its line."""

import pickle
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from framed import framed, tokens_of
from maskwright.data.batch import Sample
from maskwright.errors import ConfigError, DataError, InputError
from maskwright.keys import Key
from maskwright.model import Model
from maskwright.objectives.gazetteer import LONGEST, Gazetteer, read_entities
from maskwright.objectives.mlm import HideTokens, MlmConfig
from maskwright.text.encoder import Encoder
from maskwright.text.tokenizer import Tokenizer
from maskwright.train.setup import make_objective

ENGLISH = [
    "Mary moved from New York to New York City in May. New York is old, said Jean-Luc; new york, York!",
    "The Bank of England (founded in 1694) stands in London. London Bridge, Londoners, not Lond.",
    "Zoë Müller met Dr. Strange in São Paulo 😀 with 👩‍👩‍👧 now.",
] * 3
CHINESE = ["他在北京大学学习。北京大学生很多。", "中华人民共和国成立于1949年。我爱北京😀天安门。"] * 3


@pytest.fixture(scope="module", params=["wordpiece", "bpe", "unigram"])
def english(request: pytest.FixtureRequest) -> Tokenizer:
    return Tokenizer.train(
        ENGLISH, vocab_size=400, kind=request.param, lowercase=request.param != "bpe", min_frequency=1
    )


@pytest.fixture(scope="module")
def characters() -> Tokenizer:
    """BERT's way with Chinese: every character a piece."""
    return Tokenizer.train(CHINESE, vocab_size=200, min_frequency=1)


def sample(tokenizer: Tokenizer, *sentences: str, language: str = "en") -> Sample:
    """As a corpus stores and gives it."""
    word_ends = None
    if language == "zh":
        pytest.importorskip("rjieba")
        from maskwright.text.words import word_ends as find

        text = "".join(sentences)
        in_chars = find(text, np.cumsum([len(sentence) for sentence in sentences]).tolist())
        word_ends = np.array([len(text[:end].encode()) for end in in_chars])
    return framed(
        [tokens_of(Encoder(tokenizer), tokenizer, sentences, word_ends)], tokenizer.cls_id, tokenizer.sep_id, 0
    )


def found(tokenizer: Tokenizer, names: list[str], text: Sample) -> list[str]:
    places = Gazetteer.of(names, tokenizer).find(text.ids, text.starts_word, text.special)
    return [tokenizer.decode(text.ids[begin:end].tolist()).replace(" ", "").lower() for begin, end in places]


def test_the_longest_entity_is_taken_and_case_is_the_tokenizers_business(english: Tokenizer) -> None:
    text = sample(
        english, "Mary moved from New York to New York City in May. ", "New York is old, said Jean-Luc; new york, York!"
    )
    names = ["New York", "New York City", "City in May", "York", "Jean-Luc"]
    lower = ["newyork"] if english.lowercase else []  # else "new york" is no entity, but "york" stands behind it
    whole = found(english, names, text)
    assert whole[:2] == ["newyork", "newyorkcity"]
    if english.kind == "unigram":  # punctuation may be in one piece with the word before it, or spell it otherwise
        assert set(whole) <= {"newyork", "newyorkcity", "york", "jean-luc"}
    else:
        assert whole == ["newyork", "newyorkcity", "newyork", "jean-luc", *lower, "york"]


def test_an_entity_is_found_at_the_beginning_of_any_sentence(english: Tokenizer) -> None:
    text = sample(english, "London Bridge. ", "London Bridge.\n", "London Bridge, London Bridge")
    assert len(found(english, ["London Bridge"], text)) == 4


def test_an_entity_is_not_found_inside_a_word(english: Tokenizer) -> None:
    text = sample(
        english, "The Bank of England (founded in 1694) stands in London. ", "London Bridge, Londoners, not Lond."
    )
    names = ["London", "Bank of Eng", "Bank", "found", "169"]
    assert "bankofeng" not in (there := found(english, names, text))
    assert "found" not in there and "169" not in there
    assert there[0] == "bank" and there.count("london") == (2 if english.kind != "unigram" else there.count("london"))


def test_accents_and_emoji_are_matched_as_the_tokenizer_writes_them(english: Tokenizer) -> None:
    text = sample(english, "Zoë Müller met Dr. Strange in São Paulo 😀 with 👩‍👩‍👧 now.")
    names = ["Zoë Müller", "São Paulo 😀", "👩‍👩‍👧"]
    places = Gazetteer.of(names, english).find(text.ids, text.starts_word, text.special)
    assert len(places) == 3 or english.kind == "unigram"
    assert places[0][0] == 1
    if english.lowercase:
        assert found(english, ["ZOË MÜLLER"], text) == found(english, ["zoë müller"], text) != []


def test_chinese_entities_are_matched_on_the_words_that_the_corpus_stores(characters: Tokenizer) -> None:
    text = "中华人民共和国成立于1949年。我爱北京😀天安门。"
    assert found(characters, ["北京", "天安门", "中华人民共和国", "华人", "共和国", "中华"], sample(characters, text, language="zh")) == [
        "中华人民共和国", "北京", "天安门",
    ]  # fmt: skip
    assert found(characters, ["共和国", "中华"], sample(characters, text, language="zh")) == []
    # Without word ends every character is a word, and the shorter name is found in the longer one.
    assert found(characters, ["华人"], sample(characters, text)) == ["华人"]


def test_entities_stop_at_special_tokens(english: Tokenizer) -> None:
    ids = np.array(english.encode("New York"))
    starts = np.ones(len(ids), bool)
    half = len(ids) // 2
    text = framed([(ids[:half], starts[:half]), (ids[half:], starts[half:])], english.cls_id, english.sep_id, 0)
    gazetteer = Gazetteer.of(["New York"], english)
    assert gazetteer.find(text.ids, text.starts_word, text.special) == []
    joined = framed([(ids, starts)], english.cls_id, english.sep_id, 0)
    assert gazetteer.find(joined.ids, joined.starts_word, joined.special) == [(1, 1 + len(ids))]
    bare = np.zeros(len(ids), bool)  # a sample that ends with the entity, without [SEP]
    assert gazetteer.find(ids, np.arange(len(ids)) == 0, bare) == [(0, len(ids))]


def test_every_line_is_accounted_for(english: Tokenizer) -> None:
    lines = ["New York", "", "# a remark", "London", "London", "Jean-Luc " * 80, "\u0301"]
    counts = Gazetteer.of(lines, english).counts
    assert counts["lines"] == len(lines) == sum(counts.values()) - counts["lines"]
    assert counts["duplicate"] == 1 and counts["too long"] == 1
    if english.kind == "wordpiece":
        assert counts | {"entities": 2, "empty": 3} == counts  # a lone accent is nothing to a lower-case vocabulary
        assert Gazetteer.of(["北京", "LONDON", "london"], english).counts["unknown"] == 1
        assert Gazetteer.of(["LONDON", "london"], english).counts["duplicate"] == 1


def test_a_name_of_a_thousand_pieces_is_left_out(characters: Tokenizer) -> None:
    counts = Gazetteer.of(["北" * LONGEST, "京" * (LONGEST + 1)], characters).counts
    assert (counts["entities"], counts["too long"]) == (1, 1)


def test_a_file_that_is_not_utf8_is_refused_by_line(tmp_path: Path, english: Tokenizer) -> None:
    path = tmp_path / "names.txt"
    path.write_bytes("\ufeffLondon\r\nS\u00e3o Paulo\r\n".encode() + "Müller\n".encode("latin-1"))
    with pytest.raises(DataError, match=r"names\.txt, line 3: byte 0xfc at place 2 of the line is not UTF-8"):
        Gazetteer.read(path, english)
    path.write_bytes("\ufeffLondon\r\n\r\nSão Paulo".encode())
    assert list(read_entities(path)) == ["London", "", "São Paulo"]
    path.write_bytes(b"London\nNew\0York\n")
    with pytest.raises(DataError, match=r"line 2: a NUL"):
        Gazetteer.read(path, english)


@pytest.mark.parametrize("content", [b"", b"\n\n", b"# London\n"])
def test_a_file_without_an_entity_is_refused(tmp_path: Path, english: Tokenizer, content: bytes) -> None:
    path = tmp_path / "names.txt"
    path.write_bytes(content)
    with pytest.raises(InputError, match="not one entity that this vocabulary can write"):
        Gazetteer.read(path, english)
    with pytest.raises(InputError, match="no such gazetteer"):
        Gazetteer.read(tmp_path / "none.txt", english)


def test_entities_and_words_are_hidden_whole_and_at_the_same_rate(english: Tokenizer) -> None:
    names = ["New York City", "New York", "Bank of England", "Zoë Müller", "São Paulo"]
    text = sample(english, *(f"{line} " for line in ENGLISH * 4))
    gazetteer = Gazetteer.of(names, english)
    hide = HideTokens(MlmConfig(unit="entity"), english.mask_id, np.arange(10, 20), gazetteer)
    places_of = gazetteer.find(text.ids, text.starts_word, text.special)
    assert len(places_of) >= 8
    wanted, entities, rounds = round(0.15 * len(text.ids)), 0, 400
    for epoch in range(rounds):
        places = set(hide(text, Key(0, epoch)).targets["mlm"][0].tolist())
        assert len(places) == wanted  # there is always a word of one piece that fits
        hidden = [len(places & set(range(begin, end))) for begin, end in places_of]
        assert all(count in (0, end - begin) for count, (begin, end) in zip(hidden, places_of, strict=True))
        entities += sum(count > 0 for count in hidden)
    # An entity is chosen as often as a word: 0.15, but for the last draws, for which only small ones are left.
    assert 0.11 < entities / rounds / len(places_of) < 0.17


def test_where_no_entity_fits_its_words_are_hidden(english: Tokenizer) -> None:
    text = sample(english, "New York City in May")
    gazetteer = Gazetteer.of(["New York City in May"], english)
    assert gazetteer.find(text.ids, text.starts_word, text.special) == [(1, len(text.ids) - 1)]
    rate = 3 / len(text.ids)
    hide = HideTokens(MlmConfig(unit="entity", rate=rate), english.mask_id, np.arange(10, 20), gazetteer)
    chosen = {tuple(hide(text, Key(0, epoch)).targets["mlm"][0].tolist()) for epoch in range(30)}
    assert len(chosen) > 1
    words = np.cumsum(text.starts_word | text.special | np.roll(text.special, 1))
    for places in chosen:
        assert 1 <= len(places) <= 3
        assert not set(words[list(places)]) & set(words[np.setdiff1d(np.arange(len(words)), places)])


def test_a_gazetteer_travels_to_workers(english: Tokenizer) -> None:
    gazetteer = Gazetteer.of(["New York", "London"], english)
    text = sample(english, "London, not New York.")
    again = pickle.loads(pickle.dumps(gazetteer))
    args = text.ids, text.starts_word, text.special
    assert again.find(*args) == gazetteer.find(*args) != []
    assert again.counts == gazetteer.counts


def test_options_of_another_unit_and_a_missing_gazetteer_are_refused(
    tmp_path: Path, tiny: Callable[..., Model], tokenizer: Tokenizer
) -> None:
    with pytest.raises(ConfigError, match=r"objective\.mlm\.gazetteer: unit entity needs a list of entities"):
        make_objective("mlm", {"mlm": {"unit": "entity"}})
    with pytest.raises(
        ConfigError, match=r"objective\.mlm\.gazetteer: x\.txt means nothing for unit token, only for entity"
    ):
        make_objective("mlm", {"mlm": {"gazetteer": "x.txt"}})
    with pytest.raises(ConfigError, match=r"objective\.mlm\.p: 0\.3 means nothing for unit ngram, only for span"):
        make_objective("mlm", {"mlm": {"unit": "ngram", "p": 0.3}})
    with pytest.raises(
        ConfigError, match=r"objective\.mlm\.longest: 4 means nothing for unit word, only for span and ngram"
    ):
        make_objective("mlm", {"mlm": {"unit": "word", "longest": 4}})
    objective = make_objective("mlm", {"mlm": {"unit": "entity", "gazetteer": str(tmp_path / "none.txt")}})
    with pytest.raises(InputError, match="no such gazetteer"):
        objective.stages(tiny(["mlm"]))
    (tmp_path / "names.txt").write_text("string\nregular expression\n", "utf-8")
    objective = make_objective("mlm", {"mlm": {"unit": "entity", "gazetteer": str(tmp_path / "names.txt")}})
    (stage,) = objective.stages(tiny(["mlm"]))
    assert isinstance(stage, HideTokens) and stage.gazetteer is not None
    assert stage.gazetteer.counts["entities"] == 2
