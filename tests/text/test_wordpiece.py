import json
import lzma
import os
import subprocess
import sys
from pathlib import Path

import pytest

from maskwright.errors import InputError
from maskwright.text.folder import SPECIAL
from maskwright.text.tokenizer import Tokenizer

TRAIN = """
import json, lzma, sys
from maskwright.text.tokenizer import Tokenizer
with lzma.open(sys.argv[1], "rt", encoding="utf-8") as rows:
    texts = [json.loads(row)["text"] for row, _ in zip(rows, range(60))]
tokenizer = Tokenizer.train(texts, vocab_size=3000, lowercase=False)
print(tokenizer.fingerprint, tokenizer.vocab_size)
"""


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
    assert runs[0].endswith(" 3000\n")


def test_learnt_vocabulary_begins_with_special_pieces_and_reads_its_own_text(shared: Path) -> None:
    with lzma.open(shared / "data" / "corpus" / "en_masc.jsonl.xz", "rt", encoding="utf-8") as rows:
        texts = [json.loads(row)["text"] for row, _ in zip(rows, range(60), strict=False)]
    tokenizer = Tokenizer.train(iter(texts), vocab_size=3000, min_frequency=1)
    assert tokenizer.pieces(range(5)) == list(SPECIAL)
    ids, _ = tokenizer.encode_ragged(texts)
    assert not (ids == tokenizer.unk_id).any()
    assert 1.0 < len(ids) / tokenizer.starts_word_V[ids].sum() < 1.5


def test_chinese_characters_stand_apart_and_need_no_continuing_form() -> None:
    tokenizer = Tokenizer.train(["我爱北京天安门 abc abd"] * 4, vocab_size=60)
    assert tokenizer.pieces(tokenizer.encode("北京天")) == ["北", "京", "天"]
    with pytest.raises(InputError):
        tokenizer.id_of("##京")


def test_rare_characters_are_left_out_and_the_most_frequent_stay() -> None:
    tokenizer = Tokenizer.train(["ab ab ab ab", "ac ac", "az"], vocab_size=100)
    assert tokenizer.encode("az") == [tokenizer.unk_id]
    assert tokenizer.encode("ac") != [tokenizer.unk_id]
    tight = Tokenizer.train(["ab ab ab ab", "ac ac"], vocab_size=9)
    assert tight.pieces(range(tight.vocab_size)) == [*SPECIAL, "a", "b", "##a", "##b"]


def test_capitals_are_kept_where_asked() -> None:
    assert Tokenizer.train(["The the The"] * 3, vocab_size=40, lowercase=False).pieces(range(5, 10)).count("T") == 1


def test_nothing_to_learn_from_is_an_input_error() -> None:
    with pytest.raises(InputError, match="nothing to learn"):
        Tokenizer.train(["", "  "], vocab_size=100)
    with pytest.raises(InputError, match="vocab_size is 5"):
        Tokenizer.train(["text"], vocab_size=5)
