import json
import lzma
import time
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from maskwright.text import sentences
from maskwright.text.sentences import line_ends, sentence_ends

TEXTS = st.text(st.one_of(st.characters(), st.sampled_from(".!?。！ \n\r\t\x85\u2028\"'()aA中")), max_size=300)


def split(text: str, language: str = "en") -> list[str]:
    ends = sentence_ends(text, language)
    return [text[begin:end] for begin, end in zip([0, *ends], ends, strict=False)]


def test_sentences_of_an_english_text() -> None:
    assert split("Dr. Smith paid $3.50. He left! Did he?") == ["Dr. Smith paid $3.50. ", "He left! ", "Did he?"]


def test_sentences_of_a_chinese_text() -> None:
    assert split("你好。我是学生！真的吗？", "zh") == ["你好。", "我是学生！", "真的吗？"]


def test_line_end_closes_a_sentence_and_blank_ones_join() -> None:
    assert split("A title\nA text. More\n\n \n  Last") == ["A title\n", "A text. ", "More\n\n \n", "  Last"]
    assert split("\n\n a") == ["\n\n a"]
    assert split(" \n ") == [" \n "]
    assert sentence_ends("") == []


def test_one_sentence_a_line_leaves_full_stops_alone() -> None:
    assert line_ends("A. B. C\nD\n\nE") == [8, 11, 12]


@settings(max_examples=400, deadline=None)
@given(TEXTS, st.sampled_from(["en", "zh", "fr", "xx"]))
def test_every_character_is_in_exactly_one_sentence(text: str, language: str) -> None:
    for ends in (sentence_ends(text, language), line_ends(text)):
        assert ends == sorted(set(ends))
        assert ends[-1:] == ([len(text)] if text else [])
        if text.strip():
            assert all(text[begin:end].strip() for begin, end in zip([0, *ends], ends, strict=False))


def test_windows_change_nothing_in_real_text(shared: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with lzma.open(shared / "data" / "corpus" / "en_speeches.jsonl.xz", "rt", encoding="utf-8") as rows:
        text = json.loads(next(rows))["text"].replace("\n", " ")
    windowed = sentence_ends(text)
    monkeypatch.setattr(sentences, "WINDOW", len(text))
    assert windowed == sentence_ends(text)
    assert len(windowed) > 100


def test_time_is_linear_in_a_long_chinese_line() -> None:
    begin = time.perf_counter()
    assert len(sentence_ends("你好。" * 100_000, "zh")) == 100_000
    assert time.perf_counter() - begin < 3
