import json
import pickle
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from maskwright.errors import InputError
from maskwright.text.tokenizer import Tokenizer

HARD_TEXTS = [
    "Hello, World! The unbelievable re-tokenisation of U.S. texts costs $3.50.",
    "上海的天气很好，我们去吃饭吧。mixed 中文 and English123",
    "emoji 😀👩‍👩‍👧 and flags 🇫🇷",
    "combining: e\u0301 e\u0327\u0301 ﬁ Å Ǆ İstanbul straße",
    "controls:\x00\x01a\x1fb\tc\r\nd\u200be\ufeff\u2028f\u00ad",
    "supercalifragilistic" * 20,
    "##piece [unused1] ½ ٣ 한국어 हिन्दी",
    "",
    "   ",
]


@pytest.mark.parametrize("name", ["uncased", "cased", "chinese"])
@pytest.mark.parametrize("as_model_folder", [False, True], ids=["alone", "beside a config.json"])
def test_saved_folder_gives_transformers_the_same_ids(
    bert: dict[str, Tokenizer], name: str, as_model_folder: bool, tmp_path: Path
) -> None:
    from transformers import AutoTokenizer

    ours = bert[name]
    ours.save(tmp_path)
    if as_model_folder:
        config = {"model_type": "bert", "vocab_size": ours.vocab_size, "architectures": ["BertModel"]}
        (tmp_path / "config.json").write_text(json.dumps(config))
    theirs = AutoTokenizer.from_pretrained(tmp_path)
    for text in HARD_TEXTS:
        assert theirs(text, add_special_tokens=False)["input_ids"] == ours.encode(text), text
    assert len(theirs) == ours.vocab_size
    assert theirs.model_max_length == ours.max_length
    assert theirs.mask_token_id == ours.mask_id and theirs.pad_token_id == ours.pad_id


def test_vocab_txt_alone_gives_the_slow_reference_the_same_ids(bert: dict[str, Tokenizer], tmp_path: Path) -> None:
    from transformers import BertTokenizer

    for name, ours in bert.items():
        ours.save(tmp_path / name)
        (tmp_path / name / "tokenizer.json").unlink()
        theirs = BertTokenizer.from_pretrained(tmp_path / name)
        for text in HARD_TEXTS:
            assert theirs(text, add_special_tokens=False)["input_ids"] == ours.encode(text), (name, text)


def test_saved_folder_frames_pairs_with_types(bert: dict[str, Tokenizer], tmp_path: Path) -> None:
    from transformers import AutoTokenizer

    ours = bert["uncased"]
    ours.save(tmp_path)
    pair = AutoTokenizer.from_pretrained(tmp_path)("a cat", "a dog")
    first, second = ours.encode("a cat"), ours.encode("a dog")
    assert pair["input_ids"] == [ours.cls_id, *first, ours.sep_id, *second, ours.sep_id]
    assert pair["token_type_ids"] == [0] * 4 + [1] * 3


def test_published_vocabularies_are_recognised_as_cased_or_not(bert: dict[str, Tokenizer]) -> None:
    assert {name: tokenizer.lowercase for name, tokenizer in bert.items()} == {
        "uncased": True,
        "cased": False,
        "chinese": True,
    }
    assert [bert[name].vocab_size for name in ("uncased", "cased", "chinese")] == [30522, 28996, 21128]


def test_known_ids_of_bert_base_uncased(bert: dict[str, Tokenizer]) -> None:
    tokenizer = bert["uncased"]
    assert tokenizer.encode("Hello, world!") == [7592, 1010, 2088, 999]
    special = (tokenizer.cls_id, tokenizer.sep_id, tokenizer.pad_id, tokenizer.mask_id, tokenizer.unk_id)
    assert special == (101, 102, 0, 103, 100)
    assert tokenizer.special_ids == {0, 100, 101, 102, 103}


def test_lowercase_argument_and_config_decide_before_the_guess(vocabularies: dict[str, Path], tmp_path: Path) -> None:
    vocabulary = vocabularies["cased"] / "vocab.txt"
    assert Tokenizer.load(vocabulary, lowercase=True).lowercase
    (tmp_path / "vocab.txt").write_bytes(vocabulary.read_bytes())
    (tmp_path / "tokenizer_config.json").write_text('{"do_lower_case": true, "model_max_length": 128}')
    configured = Tokenizer.load(tmp_path)
    assert configured.lowercase and configured.max_length == 128
    assert not Tokenizer.load(tmp_path, lowercase=False).lowercase


def test_lowercase_that_contradicts_tokenizer_json_is_refused(small: Tokenizer, tmp_path: Path) -> None:
    small.save(tmp_path)
    assert Tokenizer.load(tmp_path, lowercase=True).fingerprint == small.fingerprint
    with pytest.raises(InputError, match="says lowercase is True, False was asked for"):
        Tokenizer.load(tmp_path, lowercase=False)


def test_names_of_special_pieces_in_a_text_are_only_text(small: Tokenizer) -> None:
    assert {small.mask_id, small.sep_id, small.cls_id}.isdisjoint(small.encode("[MASK] [SEP]the[CLS]"))
    assert small.mask_id not in small.encode("the [MASK] cat")
    marked = small.encode_marked("the [MASK] cat")
    assert marked == [*small.encode("the"), small.mask_id, *small.encode("cat")]


def test_fingerprint_is_over_rules_not_files(small: Tokenizer, tmp_path: Path) -> None:
    small.save(tmp_path / "a")
    content = json.loads((tmp_path / "a" / "tokenizer.json").read_text())
    content["truncation"] = {"direction": "Right", "max_length": 4, "strategy": "LongestFirst", "stride": 0}
    (tmp_path / "b.json").write_text(json.dumps(content, indent=7, sort_keys=True))
    (tmp_path / "c").mkdir()
    (tmp_path / "c" / "vocab.txt").write_bytes((tmp_path / "a" / "vocab.txt").read_bytes())
    same = [Tokenizer.load(tmp_path / name).fingerprint for name in ("a", "b.json", "c")]
    assert same == [small.fingerprint] * 3
    content["normalizer"]["lowercase"] = False
    (tmp_path / "b.json").write_text(json.dumps(content))
    assert Tokenizer.load(tmp_path / "b.json").fingerprint != small.fingerprint


def test_truncation_and_padding_of_a_loaded_file_are_set_aside(small: Tokenizer, tmp_path: Path) -> None:
    small.save(tmp_path)
    file = tmp_path / "tokenizer.json"
    content = json.loads(file.read_text())
    content["truncation"] = {"direction": "Right", "max_length": 4, "strategy": "LongestFirst", "stride": 0}
    content["padding"] = {
        "strategy": {"Fixed": 16}, "direction": "Right", "pad_to_multiple_of": None,
        "pad_id": 0, "pad_type_id": 0, "pad_token": "[PAD]",
    }  # fmt: skip
    file.write_text(json.dumps(content))
    assert Tokenizer.load(file).encode("the cat " * 10) == small.encode("the cat " * 10)


def test_offsets_point_into_the_text_as_given(bert: dict[str, Tokenizer]) -> None:
    text = "Ünï 😀 e\u0301t\u00e9, 上海!\x00 unbelievable"
    encoded = bert["uncased"].encode_with_offsets(text)
    assert encoded.ids == bert["uncased"].encode(text)
    cut = [text[begin:end] for begin, end in encoded.offsets]
    pieces = bert["uncased"].pieces(encoded.ids)
    assert cut[0] == "Ünï"[: len(cut[0])]
    assert [part for part in cut if part in "上海"] == ["上", "海"]
    assert "".join(cut).endswith("unbelievable")
    starts = bert["uncased"].starts_word_V[encoded.ids]
    assert encoded.words == (np.cumsum(starts) - 1).tolist(), pieces


def test_half_of_a_surrogate_pair_is_read_as_unreadable(small: Tokenizer) -> None:
    assert small.encode("the \ud800 cat") == small.encode("the \ufffd cat")
    assert small.encode_with_offsets("the \ud800 cat").offsets[-1] == (6, 9)


def test_pickled_tokenizer_is_the_same(bert: dict[str, Tokenizer]) -> None:
    original = bert["cased"]
    copy = pickle.loads(pickle.dumps(original))
    assert copy.fingerprint == original.fingerprint
    assert [copy.encode(text) for text in HARD_TEXTS] == [original.encode(text) for text in HARD_TEXTS]
    assert copy.mask_id not in copy.encode("[MASK]")


def test_unknown_piece_and_id_are_explained(small: Tokenizer) -> None:
    with pytest.raises(InputError, match=r"no piece 'teh' among .* Did you mean 'the'"):
        small.id_of("teh")
    for number in (-1, small.vocab_size):
        with pytest.raises(InputError, match=f"no piece has the id {number}"):
            small.decode([number])


def test_decode_reads_as_text(small: Tokenizer) -> None:
    ids = [small.cls_id, *small.encode("The cats sat; dogs!"), small.sep_id]
    assert small.decode(np.array(ids)) == "the cats sat ; dogs!"


BAD_VOCABULARIES = {
    "empty piece": ("[PAD]\n[UNK]\n[CLS]\n[SEP]\n[MASK]\na\n\nb\n", "line 7: an empty piece"),
    "again": ("[PAD]\n[UNK]\n[CLS]\n[SEP]\n[MASK]\na\nb\na\n", r"line 8: 'a' again \(first on line 6\)"),
    "no mask": ("[PAD]\n[UNK]\n[CLS]\n[SEP]\na\n", r"no piece \[MASK\] among its 5"),
}


@pytest.mark.parametrize("case", BAD_VOCABULARIES)
def test_bad_vocabulary_is_refused_by_line(case: str, tmp_path: Path) -> None:
    content, message = BAD_VOCABULARIES[case]
    (tmp_path / "vocab.txt").write_text(content)
    with pytest.raises(InputError, match=message):
        Tokenizer.load(tmp_path)


def _without_mask(content: dict[str, Any]) -> None:
    del content["model"]["vocab"]["[MASK]"]
    content["added_tokens"] = []


def _of_another_kind(content: dict[str, Any]) -> None:
    content["model"]["type"] = "BPE"


def _with_a_gap(content: dict[str, Any]) -> None:
    content["model"]["vocab"]["gap"] = 10_000


@pytest.mark.parametrize(
    ("spoil", "message"),
    [(_without_mask, r"no piece \[MASK\]"), (_of_another_kind, "holds a BPE model"), (_with_a_gap, "without gaps")],
)
def test_unusable_tokenizer_json_is_refused(small: Tokenizer, spoil: Any, message: str, tmp_path: Path) -> None:
    small.save(tmp_path)
    file = tmp_path / "tokenizer.json"
    content = json.loads(file.read_text())
    spoil(content)
    file.write_text(json.dumps(content))
    with pytest.raises(InputError, match=message):
        Tokenizer.load(tmp_path)


@pytest.mark.parametrize("content", ["{", "[]", '{"model": {"type": "WordPiece"}}', "[" * 100_000])
def test_malformed_tokenizer_json_is_refused(content: str, tmp_path: Path) -> None:
    (tmp_path / "tokenizer.json").write_text(content)
    with pytest.raises(InputError, match=r"tokenizer\.json"):
        Tokenizer.load(tmp_path)


def test_missing_folder_says_what_is_expected(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="does not exist"):
        Tokenizer.load(tmp_path / "none")
    with pytest.raises(InputError, match=r"neither tokenizer\.json nor vocab\.txt"):
        Tokenizer.load(tmp_path)


# --- the same ids by every way --------------------------------------------------------------------------------------

TEXTS = st.text(
    st.one_of(st.characters(codec="utf-8"), st.sampled_from("   \t\n\u3000\x1c\x85aAeE\u0301\u0327#[]中，.！")),
    max_size=80,
)
LONG = st.builds(
    "".join, st.lists(st.one_of(TEXTS, st.sampled_from(["a" * 130, " " * 90, "中" * 40, "unbelievable "])), max_size=12)
)


@settings(max_examples=300, deadline=None)
@given(texts=st.lists(TEXTS, max_size=5))
@pytest.mark.parametrize("name", ["uncased", "cased"])
def test_ragged_ids_are_those_of_each_text(bert: dict[str, Tokenizer], name: str, texts: list[str]) -> None:
    ids, ends = bert[name].encode_ragged(texts)
    assert [part.tolist() for part in np.split(ids, ends)[: len(texts)]] == bert[name].encode_batch(texts)
    assert ids.dtype == np.uint16


@settings(max_examples=300, deadline=None)
@given(text=LONG, tokens=st.integers(0, 12))
@pytest.mark.parametrize("name", ["uncased", "cased"])
def test_truncated_ids_are_the_first_of_the_whole_text(
    bert: dict[str, Tokenizer], name: str, text: str, tokens: int
) -> None:
    text *= 3
    assert bert[name].encode_truncated(text, tokens) == bert[name].encode(text)[:tokens]


def test_truncating_a_huge_text_reads_little_of_it(bert: dict[str, Tokenizer], monkeypatch: pytest.MonkeyPatch) -> None:
    tokenizer, read = bert["uncased"], []
    encode_batch = Tokenizer.encode_batch
    monkeypatch.setattr(
        Tokenizer, "encode_batch", lambda self, texts: read.extend(map(len, texts)) or encode_batch(self, texts)
    )
    assert len(tokenizer.encode_truncated("hello world " * 170_000, 510)) == 510
    assert sum(read) < 5_000
    assert tokenizer.encode_truncated("x" * 2_000_000 + " the", 510) == [tokenizer.unk_id, tokenizer.id_of("the")]


def test_character_cap_cuts_at_white_space_and_never_before_a_mark(bert: dict[str, Tokenizer]) -> None:
    tokenizer = bert["cased"]
    assert tokenizer.encode("hello world again", max_chars=14) == tokenizer.encode("hello world")
    assert tokenizer.encode("hello world", max_chars=5) == tokenizer.encode("hello")
    assert tokenizer.encode("abcde\u0301\u0327fg", max_chars=6) == tokenizer.encode("abcd")
    assert tokenizer.encode("hello", max_chars=512) == tokenizer.encode("hello")
    assert tokenizer.encode("hello", max_chars=0) == []
