"""Byte BPE and Unigram: the ids of the transformers library, from every kind of file, by every way."""

import importlib
import json
import lzma
import pickle
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from maskwright.errors import InputError
from maskwright.text.beginnings import Beginnings
from maskwright.text.chunks import before_spaces
from maskwright.text.original import unigram_backend
from maskwright.text.tokenizer import Tokenizer

NAMES = ["gpt2", "roberta", "bart", "t5", "xlnet", "albert"]
HARD_TEXTS = [
    "Hello, World! It's the unbelievable re-tokenisation of U.S. texts; they'll cost $3.50, or 1,000, in 2010, no?",
    "上海的天气很好，我们去吃饭吧。mixed 中文 and English123　全角",
    "emoji 😀👩‍👩‍👧 and flags 🇫🇷",
    "combining: e\u0301 e\u0327\u0301 ﬁ Å Ǆ İstanbul straße ½ ② ｶﾞ",
    "controls:\x00\x01a\x1fb\tc\r\nd\u200be\ufeff\u2028f\u00ad\x7f\x85",
    "``quoted'' (in brackets) - £5 – €6. \"x\"",
    "supercalifragilistic" * 20,
    "a" + "\u0301" * 10_000 + " b",
    "٣ ؀ ۝ 한국어 हिन्दी ภาษาไทย ▁ Ġ ##x",
    "  two  spaces\n\n\nlines \t ",
    "",
    "   ",
]
TEXTS = st.text(
    st.one_of(
        st.characters(codec="utf-8"),
        st.sampled_from(
            "   \t\n\u3000\x1c\x85\u200b\xa0aAeEls'`\"0,.\u0301\u0327\u0338中，。！▁\u0600\u06dd\u110bd\u1100\u1161가ｶﾞ"
        ),
    ),
    max_size=60,
)
LONG = st.builds(
    "".join,
    st.lists(
        st.one_of(
            TEXTS,
            st.sampled_from(
                ["a" * 130, " " * 90, "中" * 40, "天气很好，我们" * 6, "unbelievable ", "they'll", "\u0301" * 9]
            ),
        ),
        max_size=12,
    ),
)
PARTS = st.sampled_from(
    [
        "they",
        "'",
        "ll",
        "'ve",
        "l",
        "e",
        "\u0301",
        "\u0323",
        "中文",
        "，",
        "。",
        "<mask>",
        "[MASK]",
        "</s>",
        "_0",
        "Ａ",
        " ",
    ]
)


@pytest.fixture(scope="session")
def folders(shared: Path, tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    """The published files of each model, and a small Unigram with ALBERT's special pieces."""
    found = {name: tmp_path_factory.mktemp(name) for name in NAMES}

    def unpack(source: str, *names: str, to: str) -> None:
        for name in names:
            (found[name] / to).write_bytes(lzma.decompress((shared / "data" / "vocab" / f"{source}.xz").read_bytes()))

    unpack("gpt2-vocab.json", "gpt2", to="vocab.json")
    unpack("gpt2-merges.txt", "gpt2", to="merges.txt")
    unpack("roberta-vocab.json", "roberta", "bart", to="vocab.json")
    unpack("roberta-merges.txt", "roberta", "bart", to="merges.txt")
    unpack("t5-spiece.model", "t5", to="spiece.model")
    unpack("xlnet-base-cased-spiece.model", "xlnet", to="spiece.model")
    (found["bart"] / "tokenizer_config.json").write_text(
        '{"tokenizer_class": "BartTokenizer", "model_max_length": 1024}'
    )
    _write_albert(found["albert"] / "spiece.model", found["t5"] / "spiece.model")
    return found


@pytest.fixture(scope="session")
def loaded(folders: dict[str, Path]) -> dict[str, Tokenizer]:
    return {name: Tokenizer.load(folder) for name, folder in folders.items()}


def _proto() -> Any:
    pytest.importorskip("google.protobuf")
    from transformers.convert_slow_tokenizer import import_protobuf

    return import_protobuf()


def _write_albert(file: Path, t5: Path) -> None:
    """Give T5's pieces, lower-cased, the special pieces that ALBERT's file has: there is no published one here."""
    schema = _proto()
    model = schema.ModelProto.FromString(t5.read_bytes())
    pieces = {piece.piece.lower(): piece.score for piece in reversed(model.pieces[3:])}
    del model.pieces[:]
    for name, kind in (
        ("<pad>", 3),
        ("<unk>", 2),
        ("[CLS]", 3),
        ("[SEP]", 3),
        ("[MASK]", 3),
        *pieces.items(),
    ):
        score = kind if isinstance(kind, float) else 0.0
        model.pieces.add(piece=name, score=score, type=1 if isinstance(kind, float) else kind)
    model.trainer_spec.unk_id, model.trainer_spec.pad_id = 1, 0
    file.write_bytes(model.SerializeToString())


@pytest.fixture(scope="session")
def reference(folders: dict[str, Path]) -> Callable[[str], Any]:
    """Make transformers' own fast tokenizer from the same files.

    Without the package sentencepiece the library reads no spiece.model itself, so its converter is handed the
    message as Google's protobuf library reads it.
    """
    import transformers

    # Not ``from transformers import``: the module and a function of it have one name, and either may be found.
    convert = importlib.import_module("transformers.convert_slow_tokenizer")
    made: dict[str, Any] = {}

    def make(name: str) -> Any:
        if name in ("gpt2", "roberta", "bart"):
            return {
                "gpt2": transformers.GPT2Tokenizer,
                "roberta": transformers.RobertaTokenizer,
                "bart": transformers.BartTokenizer,
            }[name].from_pretrained(folders[name])
        proto = _proto().ModelProto.FromString((folders[name] / "spiece.model").read_bytes())
        charsmap = proto.normalizer_spec.precompiled_charsmap
        if name == "t5":
            vocab = [(piece.piece, piece.score) for piece in proto.pieces]
            return transformers.T5Tokenizer(
                **convert.T5Converter.convert_from_spm(vocab), _spm_precompiled_charsmap=charsmap
            )
        converter, tokenizer = {
            "xlnet": (convert.XLNetConverter, transformers.XLNetTokenizer),
            "albert": (convert.AlbertConverter, transformers.AlbertTokenizer),
        }[name]
        return tokenizer(vocab=converter.vocab(None, proto), _spm_precompiled_charsmap=charsmap)

    def cached(name: str) -> Any:
        if name not in made:
            made[name] = make(name)
        return made[name]

    return cached


def _their_ids(theirs: Any, text: str) -> list[int]:
    return theirs(text, add_special_tokens=False)["input_ids"]


# --- the same ids as transformers ------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", NAMES)
def test_original_files_give_the_ids_of_transformers(name: str, loaded: dict[str, Tokenizer], reference: Any) -> None:
    ours, theirs = loaded[name], reference(name)
    assert ours.vocab_size == len(theirs)
    for text in HARD_TEXTS:
        assert ours.encode(text) == _their_ids(theirs, text), text


@settings(max_examples=150, deadline=None)
@given(text=LONG)
@pytest.mark.parametrize("name", ["roberta", "t5", "xlnet", "albert"])
def test_any_text_has_the_ids_of_transformers(name: str, loaded: Any, reference: Any, text: str) -> None:
    assert loaded[name].encode(text) == _their_ids(reference(name), text)


@pytest.mark.parametrize("name", NAMES)
def test_special_pieces_stand_where_transformers_puts_them(name: str, loaded: Any, reference: Any) -> None:
    ours, theirs = loaded[name], reference(name)
    segments = {"A": ours.encode("a cat"), "B": ours.encode("the dog")}
    for places, texts in ((ours.frame.single, ["a cat"]), (ours.frame.pair, ["a cat", "the dog"])):
        ids, types = [], []
        for place in places:
            inside = [place.id] if place.id is not None else segments["AB"[place.text]]
            ids += inside
            types += [place.segment] * len(inside)
        encoded = theirs(*texts, return_token_type_ids=True)
        assert (ids, types) == (encoded["input_ids"], encoded["token_type_ids"])


@pytest.mark.parametrize("name", NAMES)
def test_roles_are_those_of_transformers(name: str, loaded: Any, reference: Any) -> None:
    ours, theirs = loaded[name], reference(name)
    for role in ("pad", "unk", "cls", "sep", "mask", "bos", "eos"):
        assert ours.roles.get(role) == getattr(theirs, f"{role}_token_id"), role


@pytest.mark.parametrize(
    ("name", "as_model_folder"),
    [("gpt2", False), ("roberta", True), ("t5", False), ("t5", True), ("xlnet", True), ("albert", True)],
)
def test_saved_folder_loads_in_transformers_and_back(
    name: str, loaded: Any, as_model_folder: bool, tmp_path: Path
) -> None:
    from transformers import AutoTokenizer

    ours = loaded[name]
    ours.save(tmp_path / "a")
    if as_model_folder:
        (tmp_path / "a" / "config.json").write_text(json.dumps({"model_type": name, "vocab_size": ours.vocab_size}))
    theirs = AutoTokenizer.from_pretrained(tmp_path / "a")
    assert len(theirs) == ours.vocab_size
    for text in HARD_TEXTS:
        assert _their_ids(theirs, text) == ours.encode(text), text
    again = Tokenizer.load(tmp_path / "a")
    again.save(tmp_path / "b")
    for file in ("tokenizer.json", "tokenizer_config.json"):
        assert (tmp_path / "a" / file).read_bytes() == (tmp_path / "b" / file).read_bytes()
    assert (again.fingerprint, again.roles, again.frame) == (ours.fingerprint, ours.roles, ours.frame)


def test_known_ids_of_roberta_and_t5(loaded: dict[str, Tokenizer]) -> None:
    assert loaded["roberta"].encode("Hello world") == [31414, 232]
    assert loaded["gpt2"].encode("Hello world") == [15496, 995]
    assert loaded["t5"].encode("Hello world") == [8774, 296]


# --- by every way ---------------------------------------------------------------------------------------------------


@settings(max_examples=150, deadline=None)
@given(texts=st.lists(TEXTS, max_size=5))
@pytest.mark.parametrize("name", ["roberta", "t5", "xlnet", "learnt bpe", "learnt unigram"])
def test_ragged_ids_are_those_of_each_text(name: str, every: dict[str, Tokenizer], texts: list[str]) -> None:
    ids, ends = every[name].encode_ragged(texts)
    assert [part.tolist() for part in np.split(ids, ends)[: len(texts)]] == every[name].encode_batch(texts)


@settings(max_examples=250, deadline=None)
@given(text=LONG, tokens=st.integers(0, 12))
@pytest.mark.parametrize("name", ["roberta", "t5", "xlnet", "albert", "learnt bpe", "learnt unigram"])
def test_truncated_ids_are_the_first_of_the_whole_text(
    name: str, every: dict[str, Tokenizer], text: str, tokens: int
) -> None:
    text *= 3
    assert every[name].encode_truncated(text, tokens) == every[name].encode(text)[:tokens]


@settings(max_examples=300, deadline=None)
@given(text=st.lists(PARTS, min_size=2, max_size=16).map("".join), data=st.data())
@pytest.mark.parametrize("name", ["roberta", "t5", "albert", "learnt bpe", "learnt unigram"])
def test_what_is_certain_of_a_beginning_is_so_in_the_whole(name: str, every: Any, text: str, data: Any) -> None:
    tokenizer = every[name]
    certain = tokenizer._beginnings._certain(text, data.draw(st.integers(1, len(text) - 1)))
    assert tokenizer.encode(text)[: len(certain)] == certain


@settings(max_examples=300, deadline=None)
@given(
    pieces=st.lists(
        st.tuples(st.text("abc", min_size=2, max_size=9), st.floats(-9, -1)), max_size=9, unique_by=lambda p: p[0]
    ),
    text=st.text("abc", min_size=8, max_size=40),
    data=st.data(),
)
def test_a_likelier_spelling_further_on_changes_nothing_certain(
    pieces: list[tuple[str, float]], text: str, data: Any
) -> None:
    known = [("<pad>", 0.0), ("<unk>", 0.0), *((name, -9.5) for name in "▁ab"), *pieces]
    tokenizer = Tokenizer(unigram_backend(known, 1, None), 64, {})
    certain = tokenizer._beginnings._certain(text, data.draw(st.integers(1, len(text) - 1)))  # type: ignore[union-attr]
    assert tokenizer.encode(text)[: len(certain)] == certain


@pytest.fixture(scope="session")
def every(loaded: dict[str, Tokenizer]) -> dict[str, Tokenizer]:
    text = ["The cats' unbelievable dogs, they'll re-tokenise it. 天气很好，我们去吃饭吧。我们很好。 <mask> [MASK]"] * 3
    return loaded | {
        f"learnt {kind}": Tokenizer.train(text, kind=kind, vocab_size=330, lowercase=True)
        for kind in ("bpe", "unigram")
    }


def test_no_character_before_a_space_joins_it(every: dict[str, Tokenizer]) -> None:
    """Every character behind which a text is cut (of the many Chinese and Korean ones a share)."""
    solid = [
        chr(code)
        for code in range(1, 0x11000)
        if not 0xD800 <= code < 0xE000 and len(before_spaces(chr(code) + " ")) > 1
    ]
    solid = [char for char in solid if ord(char) < 0x3400 or ord(char) > 0xE000 or ord(char) % 8 == 0]
    assert 2000 < len(solid) < 10_000
    for name in ("gpt2", "t5", "xlnet", "learnt bpe", "learnt unigram"):
        texts = [
            joint.join(solid[begin : begin + 500])
            for joint in (" x", " \u0301 a")
            for begin in range(0, len(solid), 500)
        ]
        ids, ends = every[name].encode_ragged(texts)
        assert [part.tolist() for part in np.split(ids, ends)[: len(texts)]] == every[name].encode_batch(texts), name


@pytest.mark.parametrize("name", ["roberta", "t5", "albert", "learnt bpe", "learnt unigram"])
@pytest.mark.parametrize("text", ["hello world ", "天气很好，我们去吃饭吧。", "the cats; "], ids=["en", "zh", "short"])
def test_truncating_a_huge_text_reads_little_of_it(
    name: str, text: str, every: dict[str, Tokenizer], monkeypatch: pytest.MonkeyPatch
) -> None:
    read: list[int] = []
    encode_batch = Tokenizer.encode_batch
    monkeypatch.setattr(
        Tokenizer, "encode_batch", lambda self, texts: read.extend(map(len, texts)) or encode_batch(self, texts)
    )
    certain = Beginnings._certain
    monkeypatch.setattr(Beginnings, "_certain", lambda self, text, at: read.append(at) or certain(self, text, at))
    huge = text * (2_000_000 // len(text))
    ids = every[name].encode_truncated(huge, 100)
    assert len(ids) == 100 and ids == encode_batch(every[name], [huge[:20_000]])[0][:100]
    assert 0 < sum(read) < 30_000


def test_an_endless_word_is_read_to_its_end(loaded: dict[str, Tokenizer]) -> None:
    for name in ("roberta", "t5"):
        text = "x" * 100_000 + " the"
        assert loaded[name].encode_truncated(text, 40) == loaded[name].encode(text)[:40]


# --- text is only text ----------------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", NAMES)
def test_names_of_special_pieces_in_a_text_are_only_text(name: str, loaded: dict[str, Tokenizer]) -> None:
    tokenizer = loaded[name]
    names = tokenizer.pieces(sorted(tokenizer.special_ids))
    unknown = {tokenizer.unk_id} if tokenizer.kind == "unigram" else set()
    for piece in names:
        for text in (piece, f"a {piece} b", f"x{piece}{piece}", f"＜{piece[1:]}"):
            ids = tokenizer.encode(text)
            assert (tokenizer.special_ids - unknown).isdisjoint(ids), text
            assert tokenizer.encode_with_offsets(text).ids == ids
        assert tokenizer.encode_marked(f"a{piece}")[-1] == tokenizer.id_of(piece)


@settings(max_examples=200, deadline=None)
@given(text=st.text(max_size=80))
def test_byte_bpe_gives_back_every_text(loaded: dict[str, Tokenizer], text: str) -> None:
    for name in ("gpt2", "roberta"):
        assert loaded[name].decode(loaded[name].encode(text)) == text


@pytest.mark.parametrize("name", NAMES)
def test_half_of_a_surrogate_pair_is_read_as_unreadable(name: str, loaded: dict[str, Tokenizer]) -> None:
    tokenizer, text, sound = loaded[name], "the \ud800 cat" * 40, "the \ufffd cat" * 40
    assert tokenizer.encode(text) == tokenizer.encode(sound)
    assert tokenizer.encode_truncated(text, 9) == tokenizer.encode(sound)[:9]
    assert tokenizer.encode_ragged([text])[0].tolist() == tokenizer.encode(sound)
    assert tokenizer.encode_with_offsets(text).ids == tokenizer.encode(sound)


def test_a_marked_prompt_is_spelt_as_it_was_in_training(loaded: dict[str, Tokenizer]) -> None:
    """RoBERTa's hidden piece stands for a word with its space."""
    tokenizer = loaded["roberta"]
    whole = tokenizer.encode("Paris is France.")
    assert tokenizer.encode_marked("Paris is <mask>.") == [*whole[:-2], tokenizer.mask_id, whole[-1]]


# --- words, roles, copies ---------------------------------------------------------------------------------------------


def test_words_begin_at_spaces_and_at_chinese_characters(every: dict[str, Tokenizer]) -> None:
    for name in ("roberta", "t5", "xlnet"):
        tokenizer = every[name]
        ids = tokenizer.encode(" The unbelievable re-tokenisation, of")
        starts = tokenizer.starts_word_V[ids]
        assert starts.sum() == 4 and starts[0] and starts[-1], name
        assert tokenizer.starts_word_V[sorted(tokenizer.special_ids)].all()
    for name in ("gpt2", "learnt bpe", "learnt unigram"):
        tokenizer = every[name]
        pieces = tokenizer.encode("天气很好，我们去吃")
        begun = tokenizer.starts_word_V[pieces].sum()
        assert 3 <= begun <= 8, name
    gpt2 = every["gpt2"]
    assert gpt2.starts_word_V[gpt2.encode("天气很好")].sum() == 4  # bytes: each character begins one


def test_a_role_that_is_not_there_is_missed_only_where_it_is_used(loaded: dict[str, Tokenizer]) -> None:
    assert "pad" not in loaded["gpt2"].roles and "cls" not in loaded["t5"].roles
    with pytest.raises(InputError, match=r"has no mask piece \(it has unk, bos, eos\)"):
        _ = loaded["gpt2"].mask_id
    with pytest.raises(InputError, match="has no cls piece"):
        _ = loaded["t5"].cls_id


def test_pickled_tokenizer_is_the_same(every: dict[str, Tokenizer]) -> None:
    for name in ("roberta", "t5", "learnt unigram"):
        original = every[name]
        copy = pickle.loads(pickle.dumps(original))
        assert (copy.fingerprint, copy.roles, copy.frame) == (original.fingerprint, original.roles, original.frame)
        assert [copy.encode(text) for text in HARD_TEXTS] == [original.encode(text) for text in HARD_TEXTS]


def test_decode_leaves_special_pieces_out(loaded: dict[str, Tokenizer]) -> None:
    for name in ("roberta", "t5", "xlnet", "albert"):
        tokenizer = loaded[name]
        assert tokenizer.decode([*tokenizer.encode("the cats sat"), tokenizer.eos_id]) == "the cats sat"


def test_config_names_roles_whatever_they_are_called(every: dict[str, Tokenizer], tmp_path: Path) -> None:
    every["learnt bpe"].save(tmp_path)
    for file in ("tokenizer.json", "tokenizer_config.json"):
        text = (tmp_path / file).read_text()
        (tmp_path / file).write_text(text.replace("<mask>", "<hide>").replace("<s>", "«go»"))
    tokenizer = Tokenizer.load(tmp_path)
    assert tokenizer.pieces([tokenizer.mask_id, tokenizer.cls_id]) == ["<hide>", "«go»"]
    assert tokenizer.frame == every["learnt bpe"].frame
    assert pickle.loads(pickle.dumps(tokenizer)).mask_id == tokenizer.mask_id
    (tmp_path / "special_tokens_map.json").write_text('{"pad_token": {"content": "«go»"}}')
    config = json.loads((tmp_path / "tokenizer_config.json").read_text())
    del config["pad_token"]
    (tmp_path / "tokenizer_config.json").write_text(json.dumps(config))
    assert Tokenizer.load(tmp_path).pad_id == tokenizer.cls_id


# --- what cannot be read ----------------------------------------------------------------------------------------------


def _byte_files(folder: Path, merges: str = "#version: 0.2\n", **more: Any) -> None:
    from tokenizers.pre_tokenizers import ByteLevel

    names = ["<s>", "<pad>", "</s>", "<unk>", "<mask>", *sorted(ByteLevel.alphabet())]
    vocabulary: dict[str, Any] = {name: number for number, name in enumerate(names)} | more
    (folder / "vocab.json").write_text(json.dumps({name: n for name, n in vocabulary.items() if n is not None}))
    (folder / "merges.txt").write_text(merges)


BAD_BYTE_FILES: dict[str, tuple[dict[str, Any], str]] = {
    "three parts": ({"merges": "a b\na b c\n"}, r"merges\.txt, line 1: 'ab' is no piece"),
    "one part": ({"merges": "#version: 0.2\nab\n"}, r"merges\.txt, line 2: 'ab'; two pieces are expected"),
    "of another model": (
        {"merges": "a b\n", "ab": 261, "merges ": None} | {"merges": "a b\nb ab\n"},
        "'bab' is no piece",
    ),
    "id is text": ({"x": "1"}, r"the id of 'x' is '1'"),
    "negative": ({"x": -1}, r"the id of 'x' is -1"),
    "gap": ({"x": 900}, "without gaps"),
    "no byte": ({"a": None, "x": 5 + 64}, r"no piece for 1 bytes"),
    "no mask": ({"<mask>": None}, "special pieces of no known model"),
}


@pytest.mark.parametrize("case", BAD_BYTE_FILES)
def test_bad_byte_bpe_files_are_refused(case: str, tmp_path: Path) -> None:
    content, message = BAD_BYTE_FILES[case]
    _byte_files(tmp_path, **content)
    with pytest.raises(InputError, match=message):
        Tokenizer.load(tmp_path)


def test_either_byte_bpe_file_may_be_named_and_both_are_needed(tmp_path: Path) -> None:
    _byte_files(tmp_path)
    assert Tokenizer.load(tmp_path / "merges.txt").fingerprint == Tokenizer.load(tmp_path / "vocab.json").fingerprint
    (tmp_path / "merges.txt").write_bytes(b"a \xff\n")
    with pytest.raises(InputError, match=r"merges\.txt is not UTF-8"):
        Tokenizer.load(tmp_path)
    (tmp_path / "merges.txt").unlink()
    with pytest.raises(InputError, match=r"merges\.txt: There is no such file"):
        Tokenizer.load(tmp_path)


@pytest.mark.parametrize(
    ("config", "message"),
    [
        ({"tokenizer_class": "CodeLlamaTokenizer"}, "'CodeLlamaTokenizer', whose rules Maskwright does not know"),
        ({"auto_map": {"AutoTokenizer": ["x.Y", None]}}, "auto_map wants code"),
        ({"auto_map": ["x.Y", None]}, "auto_map wants code"),
        ({"mask_token": "[MASK]"}, r"mask_token is '\[MASK\]', but there is no piece"),
        ({"mask_token": 7}, "mask_token is 7; a piece is expected"),
    ],
)
def test_config_that_cannot_be_followed_is_refused(config: dict[str, Any], message: str, tmp_path: Path) -> None:
    _byte_files(tmp_path)
    (tmp_path / "tokenizer_config.json").write_text(json.dumps(config))
    with pytest.raises(InputError, match=message) as caught:
        Tokenizer.load(tmp_path)
    assert "tokenizer_config.json" in str(caught.value) and "\n" not in str(caught.value)


def _set(content: dict[str, Any], path: str, value: Any) -> None:
    *steps, last = path.split(".")
    for step in steps:
        content = content[step]
    content[last] = value


@pytest.mark.parametrize(
    ("kind", "path", "value", "message"),
    [
        ("bpe", "model.dropout", 0.1, "dropout is 0.1, which makes ids random"),
        ("bpe", "pre_tokenizer", {"type": "WhitespaceSplit"}, "a BPE model over characters"),
        ("bpe", "model.merges", [["a", "nothing"]], "not a sound tokenizer.json"),
        ("unigram", "model.unk_id", None, "unk_id is null"),
        ("unigram", "model.unk_id", 9999, "not a sound tokenizer.json"),
        ("unigram", "model.vocab", [["a"]], "not a sound tokenizer.json"),
        ("unigram", "model.type", "WordLevel", "holds a WordLevel model"),
        ("unigram", "normalizer", {"type": "Precompiled", "precompiled_charsmap": "AAAA"}, "replacements is damaged"),
        ("unigram", "normalizer", 5, "not a sound tokenizer.json"),
    ],
)
def test_unusable_tokenizer_json_is_refused(
    kind: str, path: str, value: Any, message: str, every: dict[str, Tokenizer], tmp_path: Path
) -> None:
    every[f"learnt {kind}"].save(tmp_path)
    content = json.loads((tmp_path / "tokenizer.json").read_text())
    _set(content, path, value)
    (tmp_path / "tokenizer.json").write_text(json.dumps(content))
    with pytest.raises(InputError, match=message):
        Tokenizer.load(tmp_path)


def test_damaged_spiece_model_is_refused_or_read_but_never_breaks(folders: dict[str, Path], tmp_path: Path) -> None:
    schema = _proto()
    model = schema.ModelProto.FromString((folders["t5"] / "spiece.model").read_bytes())
    del model.pieces[400:]
    whole = model.SerializeToString()
    file = tmp_path / "spiece.model"
    draw = np.random.default_rng(0)
    refused = 0
    for case in range(60):
        damaged = bytearray(whole[: int(draw.integers(len(whole)))] if case % 3 == 0 else whole)
        if case % 3:
            for at in draw.integers(len(damaged), size=1 + case % 5 * 40):
                damaged[at] = int(draw.integers(256))
        file.write_bytes(bytes(damaged))
        try:
            Tokenizer.load(file).encode("Ünï ½ ｶﾞ ﷺ 天气 \u0301")
        except InputError as error:
            assert "spiece.model" in str(error)
            refused += 1
    assert refused >= 20


@pytest.mark.parametrize(
    ("setting", "value", "message"),
    [
        ("trainer_spec.model_type", 2, "holds a BPE model"),
        ("trainer_spec.byte_fallback", True, "byte_fallback is on"),
        ("normalizer_spec.add_dummy_prefix", False, "add_dummy_prefix is off"),
        ("normalizer_spec.precompiled_charsmap", b"\x04\x00\x00\x00ab", "replacements is damaged"),
    ],
)
def test_spiece_model_with_other_rules_is_refused(
    setting: str, value: Any, message: str, folders: dict[str, Path], tmp_path: Path
) -> None:
    model = _proto().ModelProto.FromString((folders["t5"] / "spiece.model").read_bytes())
    part, field = setting.split(".")
    setattr(getattr(model, part), field, value)
    (tmp_path / "spiece.model").write_bytes(model.SerializeToString())
    with pytest.raises(InputError, match=message):
        Tokenizer.load(tmp_path)
