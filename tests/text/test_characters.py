"""Words as characters: the ids of the original, worked by hand and held to the golden ones, and a documented splitter."""

import json
import pickle
from pathlib import Path

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from safetensors.torch import load_file

from maskwright.errors import InputError
from maskwright.text.characters import BEGIN, CHARACTERS, END, CharacterTokenizer, spell
from maskwright.text.split import split_words

OPEN, CLOSE, PAD = 259, 260, 261


def by_hand(*numbers: int) -> list[int]:
    """The 50 ids of a word of these bytes."""
    return [OPEN, *(number + 1 for number in numbers), CLOSE, *[PAD] * (48 - len(numbers))]


@pytest.mark.parametrize(
    ("word", "numbers"),
    [
        ("a", [97]),
        ("The", [84, 104, 101]),
        ("", []),
        ("é", [0xC3, 0xA9]),
        ("e\u0301", [101, 0xCC, 0x81]),
        ("我", [0xE6, 0x88, 0x91]),
        ("😀", [0xF0, 0x9F, 0x98, 0x80]),
        ("\x00\x07\n", [0, 7, 10]),
        ("<S>", [60, 83, 62]),
        ("x" * 48, [120] * 48),
        ("x" * 49, [120] * 48),
        ("x" * 47 + "é", [120] * 47 + [0xC3]),
        ("a\ud800b", [97, 98]),
    ],
)
def test_a_word_is_its_bytes_between_begin_and_end_each_plus_one(word: str, numbers: list[int]) -> None:
    assert spell([word]).tolist() == [by_hand(*numbers)]


def test_the_borders_are_words_of_one_character_that_no_byte_is() -> None:
    assert list(BEGIN) == [OPEN, 257, CLOSE, *[PAD] * 47]
    assert list(END) == [OPEN, 258, CLOSE, *[PAD] * 47]


def test_the_ids_of_sentences_are_the_golden_ones(shared: Path) -> None:
    golden = load_file(shared / "golden" / "elmo_layers.safetensors")
    sentences = json.loads((shared / "golden" / "elmo" / "sentences.json").read_text("utf-8"))
    tokenizer = CharacterTokenizer("spaces")
    for number in range(3):
        expected = golden[f"inputs.batch{number}.character_ids"]
        for row, ids in zip(sentences, expected, strict=True):
            found = torch.from_numpy(tokenizer.encode(row[number]))
            assert torch.equal(found, ids[: len(found)]) and not ids[len(found) :].any()


@given(st.lists(st.text(st.characters(codec="utf-8"), max_size=60), max_size=5))
def test_every_word_has_fifty_ids_and_is_read_back_up_to_48_bytes(words: list[str]) -> None:
    ids = spell(words)
    assert ids.shape == (len(words), 50) and ids.dtype == np.int64
    assert not ids.size or (ids.min() >= 1 and ids.max() < CHARACTERS)
    expected = [word.encode()[:48].decode("utf-8", "replace") for word in words]
    assert CharacterTokenizer().pieces(ids) == expected


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("Hello, world!", "Hello|,|world|!"),
        ("It's Ms. O'Hara of the U.S.", "It|'s|Ms|.|O|'Hara|of|the|U.S."),
        ("don’t", "don|’t"),
        ("state-of-the-art (5/7) 6-3", "state-of-the-art|(|5|/|7|)|6-3"),
        ("1,234.5 at 12:30.", "1,234.5|at|12:30|."),
        ("wait... -- what?!", "wait|...|--|what|?|!"),
        ("我爱北京abc。", "我|爱|北|京|abc|。"),
        ("日本語カナ", "日|本|語|カナ"),
        ("हिन्दी", "हिन्दी"),
        ("nai\u0308ve é", "nai\u0308ve|é"),
        ("👨\u200d👩\u200d👧🇩🇪 ok", "👨\u200d👩\u200d👧|🇩🇪|ok"),
        ("a\x00b\x07 c\u3000d\n", "a|b|c|d"),
        (" \n\t", ""),
        ("", ""),
        ("half \ud800 pair", "half|\ufffd|pair"),
        ("<S> [CLS]", "<|S|>|[|CLS|]"),
    ],
)
def test_raw_text_falls_into_these_words(text: str, words: str) -> None:
    assert split_words(text) == (words.split("|") if words else [])


def test_text_that_is_split_already_falls_at_its_white_space_only() -> None:
    assert split_words("Don 't ! ( 5 / 7 )\u3000我爱 -- \n", "spaces") == [
        "Don",
        "'t",
        "!",
        "(",
        "5",
        "/",
        "7",
        ")",
        "我爱",
        "--",
    ]


@given(st.text(st.characters(codec="utf-8")))
def test_no_character_but_white_space_and_controls_is_lost(text: str) -> None:
    import unicodedata

    kept = [c for c in text if not (c.isspace() or unicodedata.category(c) == "Cc" or c in "\u200b\ufeff")]
    found = "".join(split_words(text))
    assert [c for c in found if c in kept] == kept


@given(st.text("a'.1-, \n我😀é", max_size=60), st.integers(1, 9), st.sampled_from(["marks", "spaces"]))
def test_the_first_words_are_those_of_the_whole_text(text: str, count: int, splitter: str) -> None:
    tokenizer = CharacterTokenizer(splitter)  # type: ignore[arg-type]
    text = text * 8  # longer than what is read at first
    (found,) = tokenizer.encode_batch_truncated([text], count)
    assert np.array_equal(found, tokenizer.encode(text)[:count])


def test_a_tokenizer_is_saved_loaded_and_pickled(tmp_path: Path) -> None:
    tokenizer = CharacterTokenizer("spaces", max_length=99)
    tokenizer.save(tmp_path)
    for back in (CharacterTokenizer.load(tmp_path), pickle.loads(pickle.dumps(tokenizer))):
        assert (back.splitter, back.max_length, back.fingerprint) == ("spaces", 99, tokenizer.fingerprint)
    assert tokenizer.fingerprint != CharacterTokenizer("marks").fingerprint


@pytest.mark.parametrize(
    ("content", "why"),
    [
        ("{", "is not JSON"),
        ("[]", "does not describe a tokenizer of characters"),
        ('{"tokenizer_class": "BertTokenizer"}', "does not describe a tokenizer of characters"),
        ('{"tokenizer_class": "MaskwrightCharacterTokenizer", "splitter": "x", "model_max_length": 9}', "splitter is 'x'"),
        ('{"tokenizer_class": "MaskwrightCharacterTokenizer", "splitter": "marks", "model_max_length": true}', "max_length is True"),
    ],
)  # fmt: skip
def test_another_file_is_refused(tmp_path: Path, content: str, why: str) -> None:
    (tmp_path / "tokenizer_config.json").write_text(content)
    with pytest.raises(InputError, match=why):
        CharacterTokenizer.load(tmp_path)


def test_a_prompt_with_a_hidden_word_is_refused() -> None:
    with pytest.raises(InputError, match="no token that is hidden"):
        CharacterTokenizer().encode_marked("Paris is [MASK].")


def test_ids_that_spell_nothing_are_refused() -> None:
    tokenizer = CharacterTokenizer()
    assert tokenizer.pieces([BEGIN, END, [0] * 50]) == ["<S>", "</S>", ""]
    for ids in ([[97] * 50], [[OPEN, 97, PAD, CLOSE, *[PAD] * 46]], [[OPEN, 97, 98, *[PAD] * 47]]):
        with pytest.raises(InputError, match="spell no word"):
            tokenizer.pieces(ids)
    with pytest.raises(InputError, match="a word is 50 ids"):
        tokenizer.pieces([1, 2, 3])  # type: ignore[list-item]
