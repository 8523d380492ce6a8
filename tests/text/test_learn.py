import json
import lzma
import os
import subprocess
import sys
from pathlib import Path

import pytest

from maskwright.errors import InputError
from maskwright.text.learn import Kind
from maskwright.text.tokenizer import Tokenizer

TRAIN = """
import json, lzma, sys
from maskwright.text.tokenizer import Tokenizer
with lzma.open(sys.argv[1], "rt", encoding="utf-8") as rows:
    texts = [json.loads(row)["text"] for row, _ in zip(rows, range(12))]
for kind in ("bpe", "unigram"):
    tokenizer = Tokenizer.train(texts, kind=kind, vocab_size=1000)
    print(tokenizer.fingerprint, tokenizer.vocab_size)
"""
LINES = ["the cat sat on the mat", "the dogs sat on the other mat", "a cat and a dog; cats and dogs! (cats)"] * 3


def test_training_gives_the_same_vocabulary_in_every_process(shared: Path) -> None:
    corpus = shared / "data" / "corpus" / "en_masc.jsonl.xz"
    runs = [
        subprocess.run(
            [sys.executable, "-c", TRAIN, str(corpus)],
            env={**os.environ, "PYTHONHASHSEED": str(seed), "RAYON_NUM_THREADS": threads},
            capture_output=True, text=True, check=True,
        ).stdout
        for seed, threads in ((1, "1"), (2, "2"), (3, "2"))
    ]  # fmt: skip
    assert len(set(runs)) == 1
    assert [line.split()[1] for line in runs[0].splitlines()] == ["1000", "1000"]


@pytest.mark.parametrize(
    ("kind", "special"), [("bpe", "<s> <pad> </s> <unk> <mask>"), ("unigram", "<pad> <unk> [CLS] [SEP] [MASK]")]
)
def test_special_pieces_come_first_and_text_is_read(kind: Kind, special: str) -> None:
    tokenizer = Tokenizer.train(iter(LINES), kind=kind, vocab_size=320)
    assert (tokenizer.kind, tokenizer.pieces(range(5))) == (kind, special.split())
    assert all(role in tokenizer.roles for role in ("pad", "unk", "cls", "sep", "mask"))
    for line in LINES:
        ids = tokenizer.encode(line)
        assert tokenizer.decode(ids) == line
        assert tokenizer.unk_id not in ids and len(ids) < len(line) / 1.5
        assert tokenizer.starts_word_V[ids].sum() in (line.count(" "), line.count(" ") + 1)


def test_byte_bpe_keeps_case_unless_told(tmp_path: Path) -> None:
    text = "The CAFÉ, 天气 😀"
    assert (kept := Tokenizer.train(LINES, kind="bpe", vocab_size=300)).decode(kept.encode(text)) == text
    low = Tokenizer.train(LINES, kind="bpe", vocab_size=300, lowercase=True)
    assert low.lowercase and low.decode(low.encode(text)) == "the cafe, 天气 😀"
    low.save(tmp_path)
    assert Tokenizer.load(tmp_path).fingerprint == low.fingerprint


def test_unigram_case_and_scripts() -> None:
    lines = ["The Café (The Café) 天气很好，天气 x9 x9"] * 4
    cased = Tokenizer.train(lines, kind="unigram", vocab_size=60, lowercase=False)
    assert cased.decode(cased.encode(lines[0])) == lines[0].replace("，", ",")
    low = Tokenizer.train(lines, kind="unigram", vocab_size=60)
    assert low.lowercase and low.decode(low.encode("THE CAFÉ")) == "the cafe"
    for piece in low.pieces(range(5, low.vocab_size)):
        kinds = {
            ("latin" if c.isascii() and c.isalpha() else "chinese" if c > "\u3000" else "common")
            for c in piece.lstrip("▁")
        }
        assert len(kinds) <= 1, piece


def test_rare_characters_are_left_out_of_unigram() -> None:
    tokenizer = Tokenizer.train([*LINES, "qq"], kind="unigram", vocab_size=60, min_frequency=3)
    assert tokenizer.unk_id in tokenizer.encode("q")
    tight = Tokenizer.train(LINES, kind="unigram", vocab_size=12)
    assert tight.vocab_size <= 12 and tight.unk_id not in tight.encode("a t")


@pytest.mark.parametrize("kind", ["wordpiece", "bpe", "unigram"])
def test_nothing_to_learn_from_is_an_input_error(kind: Kind) -> None:
    for texts in ([], ["", "  "]):
        with pytest.raises(InputError, match="nothing to learn"):
            Tokenizer.train(texts, kind=kind, vocab_size=300)
    with pytest.raises(InputError, match="vocab_size is 5; 5 special pieces"):
        Tokenizer.train(["text"], kind=kind, vocab_size=5)


def test_a_kind_that_is_not_there_is_refused() -> None:
    with pytest.raises(InputError, match="kind is 'letters'"):
        Tokenizer.train(["text"], kind="letters", vocab_size=100)  # type: ignore[arg-type]


@pytest.mark.parametrize("kind", ["bpe", "unigram"])
def test_half_of_a_surrogate_pair_and_nul_are_only_text(kind: Kind) -> None:
    assert Tokenizer.train([line + " \ud800 \x00x" for line in LINES], kind=kind, vocab_size=320).vocab_size > 20


@pytest.mark.parametrize(("language", "least"), [("en_masc", 3.0), ("zh_wiki_cmrc_drcd", 1.1)])
def test_real_text_is_spelt_in_few_pieces(language: str, least: float, shared: Path) -> None:
    file = shared / "data" / "corpus" / f"{language}.jsonl.xz"
    if not file.is_file():
        pytest.skip(f"{file.name} is not there")
    with lzma.open(file, "rt", encoding="utf-8") as rows:
        texts = [json.loads(row)["text"][:5000] for row, _ in zip(rows, range(100), strict=False)]
    tokenizer = Tokenizer.train(texts, kind="unigram", vocab_size=3000)
    ids, _ = tokenizer.encode_ragged(texts)
    assert sum(map(len, texts)) / len(ids) > least
    assert (ids == tokenizer.unk_id).mean() < 0.02
