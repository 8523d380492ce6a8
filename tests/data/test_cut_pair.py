"""Pairs cut to length, against what the transformers library calls longest-first."""

import lzma
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from maskwright.data.source import cut_pair, tokenise_rows
from maskwright.tasks.glue import MRPC
from maskwright.text.tokenizer import Tokenizer


@given(first=st.integers(0, 40), second=st.integers(0, 40), room=st.integers(2, 57))
@settings(max_examples=500)
def test_the_longer_part_gives_way_until_both_are_even(first: int, second: int, room: int) -> None:
    a, b = cut_pair(list(range(first)), list(range(second)), room)
    assert a == list(range(len(a))) and b == list(range(len(b)))
    assert len(a) + len(b) == min(room, first + second)
    if first + second > room:
        assert abs(len(a) - len(b)) <= 1 or min(len(a), len(b)) == min(first, second)


@pytest.mark.parametrize("length", [16, 33, 64, 128])
def test_real_pairs_are_cut_as_transformers_cuts_them(shared: Path, tmp_path: Path, length: int) -> None:
    transformers = pytest.importorskip("transformers")
    packed = shared / "data" / "vocab" / "bert-base-uncased-vocab.txt.xz"
    (tmp_path / "vocab.txt").write_bytes(lzma.decompress(packed.read_bytes()))
    Tokenizer.load(tmp_path).save(tmp_path / "ours")
    tokenizer = Tokenizer.load(tmp_path / "ours")
    theirs = transformers.PreTrainedTokenizerFast.from_pretrained(tmp_path / "ours")
    texts = MRPC.rows(shared / "data" / "glue", "dev").texts
    texts += tuple(
        (" ".join(a), b) for (*a, b) in zip(*(iter(text for pair in texts for text in pair),) * 5, strict=False)
    )
    expected = theirs([a for a, _ in texts], [b for _, b in texts], truncation="longest_first", max_length=length)
    assert sum(len(ids) == length for ids in expected["input_ids"]) > 50
    both_longer = 0
    for text, row, ids in zip(texts, tokenise_rows(tokenizer, texts, length), expected["input_ids"], strict=True):
        a, b = row
        ours = [tokenizer.cls_id, *a, tokenizer.sep_id, *b, tokenizer.sep_id]
        if min(len(tokenizer.encode(part)) for part in text) >= length and length % 2 == 0:
            both_longer += 1  # they know which of the two was longer, and give it the odd token
            assert len(ours) == len(ids) and abs(ids.index(tokenizer.sep_id) - 1 - len(a)) <= 1
        else:
            assert ours == ids
    assert (both_longer > 0) == (length == 16)
