"""Encoding many sentences at once gives the ids of the tokenizers library, sentence by sentence."""

import itertools
import unicodedata

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from tokenizers import normalizers, pre_tokenizers

from maskwright.text import encoder as encoding
from maskwright.text.encoder import Encoder
from maskwright.text.folder import bert_backend
from maskwright.text.spans import CHINESE, PUNCTUATION, find_spans
from maskwright.text.table import Table
from maskwright.text.tokenizer import Tokenizer

SENTENCES = [
    "The cat's mat, the other mat -- and “so on”.", "", " ", "\t\n", "naïve café Ünïcode İstanbul ẞ", "天地玄黄，宇宙洪荒。", "a中b\u0301文c",
    "\U00020000\U0002f800x\ufa0e", "x" * 15 + " " + "y" * 16 + " " + "z" * 17 + " " + "w" * 33, "a" * 99 + " " + "b" * 101, "q" * 500,
    "e\u0301 e\u0301\u0327,\u0301 ;\u037e", "안녕하세요 สวัสดี हिन्दी עברית", "[SEP] [MASK]", "\u00a0x\u2003y\u2028z", "\x01\x02 a\x03b", "😀👍🏽 ok",
]  # fmt: skip


@pytest.fixture(scope="module")
def reader() -> Tokenizer:
    return Tokenizer.train([*SENTENCES, *SENTENCES], vocab_size=400, min_frequency=2)


def by_library(tokenizer: Tokenizer, sentences: list[str]) -> list[list[int]]:
    return tokenizer.encode_batch(sentences)


def at_once(encoder: Encoder, sentences: list[str]) -> list[list[int]]:
    contents = [sentence.encode() for sentence in sentences]
    ends = np.cumsum([len(each) for each in contents], dtype=np.int64)
    found = encoder.encode(b"".join(contents), ends, ends[-1:])
    assert found.starts is None
    return [found.ids[begin:end].tolist() for begin, end in itertools.pairwise([0, *found.ends.tolist()])]


def test_ids_are_those_of_the_library(reader: Tokenizer, monkeypatch: pytest.MonkeyPatch) -> None:
    expected = by_library(reader, SENTENCES)
    encoder = Encoder(reader)
    assert encoder._by_span
    assert at_once(encoder, SENTENCES) == expected == at_once(encoder, SENTENCES)
    monkeypatch.setattr(encoding, "STRETCH", 40)
    assert at_once(encoder, SENTENCES) == expected
    monkeypatch.setattr(encoding, "MAX_WORDS", 3)
    assert at_once(encoder, SENTENCES) == expected
    assert at_once(encoder, []) == []


@given(
    st.lists(st.text(st.sampled_from("ab ,.“”—中文。é\u0301\u00a0\n\tﬁİ가\U00020000\u2028'"), max_size=30), max_size=4)
)
def test_any_text_gives_the_ids_of_the_library(reader: Tokenizer, sentences: list[str]) -> None:
    assert at_once(Encoder(reader), sentences) == by_library(reader, sentences)


def test_characters_that_stand_alone_do_so_for_the_library() -> None:
    pad = normalizers.BertNormalizer(clean_text=False, handle_chinese_chars=True, strip_accents=False, lowercase=False)
    cut = pre_tokenizers.BertPreTokenizer()
    for first, last in CHINESE:
        for code in range(first, last + 1, 7):
            assert pad.normalize_str(f"a{chr(code)}b") == f"a {chr(code)} b"
    ascii_marks = [code for code in range(33, 127) if not chr(code).isalnum()]
    for code in [*ascii_marks, *itertools.chain(*(range(first, last + 1) for first, last in PUNCTUATION))]:
        assert len(cut.pre_tokenize_str(f"a{chr(code)}b")) == 3, hex(code)
        assert unicodedata.decomposition(chr(code))[:1] in ("", "<"), "NFD leaves it as it is"


def test_spans_lie_between_white_space_and_cover_the_rest() -> None:
    text = "Ab, c中d\n\u201cef\u201d  g"
    data = np.frombuffer(text.encode(), np.uint8)
    spans = find_spans(data, np.array([2, len(data)]))
    found = [text.encode()[begin:end].decode() for begin, end in zip(spans.begins, spans.ends, strict=True)]
    assert found == ["Ab", ",", "c", "中", "d", "“", "ef", "”", "g"]
    assert spans.chinese.tolist() == [word == "中" for word in found]


@pytest.mark.parametrize("mapped", [False, True])
def test_a_table_numbers_keys_as_a_dictionary_does(mapped: bool, tmp_path: object) -> None:
    table = Table(tmp_path if mapped else None, slots=4)  # type: ignore[arg-type]
    known: dict[tuple[int, ...], int] = {}
    words = np.random.Generator(np.random.Philox(1))
    for _ in range(30):
        keys = words.integers(0, 50, (200, 2), dtype=np.uint64)
        keys[:, 1] %= np.uint64(7)
        assert table.number(keys).tolist() == [known.setdefault(tuple(key), len(known)) for key in keys.tolist()]
    assert len(table) == len(known)
    assert table.number(np.empty((0, 2), np.uint64)).tolist() == []


def test_words_come_from_offsets_where_characters_do_not_stand_alone() -> None:
    pieces = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]", "天", "##地", "##玄", "##黄", "。", "a", "##中"]
    together = Tokenizer(bert_backend(pieces, lowercase=True, chinese_apart=False), 512)
    encoder = Encoder(together)
    assert not encoder._by_span
    contents = [sentence.encode() for sentence in ("天地玄黄。", "天地 a中")]
    ends = np.cumsum([len(each) for each in contents], dtype=np.int64)
    words = np.array([6, 12, 15, 21, 22, 23, 26], np.int64)
    found = encoder.encode(b"".join(contents), ends, ends, words)
    assert found.starts is not None
    assert together.pieces(found.ids.tolist()) == ["天", "##地", "##玄", "##黄", "。", "天", "##地", "a", "##中"]
    assert found.starts.tolist() == [True, False, True, False, True, True, False, True, True]
    assert found.ends.tolist() == [5, 9]
