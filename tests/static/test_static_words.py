"""Where words are: English, Chinese, both at once, and what no rule should trip over."""

import sys

import pytest
from hypothesis import given
from hypothesis import strategies as st

from maskwright.errors import ConfigError, MissingExtra
from maskwright.static.words import Words


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("", []),
        (" \t\n", []),
        ("... --- !", []),
        ("Don't STOP, o’clock!", ["don't", "stop", "o'clock"]),
        ("'quoted' rock'n'roll dogs'", ["quoted", "rock'n'roll", "dogs"]),
        ("snake_case x2 3.14 e-mail", ["snake", "case", "x2", "3", "14", "e", "mail"]),
        ("e\u0301tat na\u00efve", ["\u00e9tat", "na\u00efve"]),
        ("\u0301 \u0928\u093f \u0301", ["\u0928\u093f"]),
        ("I \U0001f600 it\ufe0f", ["i", "it\ufe0f"]),
        ("\ud800a", ["a"]),
        ("T恤 is 北京", ["t", "恤", "is", "北", "京"]),
    ],
)
def test_a_text_is_cut_into_words(text: str, expected: list[str]) -> None:
    assert Words().split(text) == expected


def test_chinese_is_cut_into_words_and_what_stands_between_is_english() -> None:
    pytest.importorskip("rjieba")
    words = Words(language="zh").split("北京大学的学生在2019年去了New York，很高兴。")
    assert words == ["北京大学", "的", "学生", "在", "2019", "年", "去", "了", "new", "york", "很", "高兴"]


def test_clitics_are_cut_as_in_the_penn_treebank() -> None:
    assert Words(clitics="split").split("We don't; can't, John's they’ll") == [
        "we", "do", "n't", "ca", "n't", "john", "'s", "they", "'ll",
    ]  # fmt: skip


def test_case_is_kept_when_asked_for() -> None:
    assert Words(lowercase=False).split("North WIND") == ["North", "WIND"]


def test_without_rjieba_chinese_names_the_extra(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "rjieba", None)
    with pytest.raises(MissingExtra, match=r"maskwright\[zh\]"):
        Words(language="zh").need()
    assert Words(language="zh").split("no Chinese here") == ["no", "chinese", "here"]


def test_another_version_of_the_rule_is_refused() -> None:
    with pytest.raises(ConfigError, match="version"):
        Words.of({"version": 2})


@given(st.text())
def test_no_word_holds_white_space_and_joined_words_are_the_same_words(text: str) -> None:
    words = Words().split(text)
    assert all(word and not any(map(str.isspace, word)) for word in words)
    assert Words().split(" ".join(words)) == words
