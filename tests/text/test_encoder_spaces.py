"""Where white space stands between sentences, their ids in a row are those of the whole text: for byte BPE and Unigram too."""

import itertools
import json
import lzma
from pathlib import Path

import numpy as np
import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from maskwright.corpus.build import build_from
from maskwright.corpus.read import Document
from maskwright.text import encoder as encoding
from maskwright.text.encoder import Encoder
from maskwright.text.learn import Kind
from maskwright.text.sentences import line_ends, sentence_ends
from maskwright.text.tokenizer import Tokenizer

LINES = ["The cats' unbelievable dogs, they'll re-tokenise it.", "A dog. The cat!", "天气很好，我们去吃饭吧。"] * 3
KINDS: list[Kind] = ["bpe", "unigram", "wordpiece"]


@pytest.fixture(scope="module")
def learnt() -> dict[str, Tokenizer]:
    return {kind: Tokenizer.train(LINES, kind=kind, vocab_size=330) for kind in KINDS}


def encoded(tokenizer: Tokenizer, texts: list[list[str]]) -> list[list[list[int]]]:
    """The ids of each sentence of each text."""
    contents = ["".join(sentences).encode() for sentences in texts]
    ends = np.cumsum([len(sentence.encode()) for sentences in texts for sentence in sentences], dtype=np.int64)
    found = Encoder(tokenizer).encode(b"".join(contents), ends, np.cumsum([len(each) for each in contents]))
    ids = iter([found.ids[a:b].tolist() for a, b in itertools.pairwise([0, *found.ends.tolist()])])
    return [[next(ids) for _ in sentences] for sentences in texts]


def joined(sentences: list[list[int]]) -> list[int]:
    return [number for ids in sentences for number in ids]


def test_the_space_before_a_sentence_is_written_with_its_first_word(learnt: dict[str, Tokenizer]) -> None:
    tokenizer = learnt["bpe"]
    (first, second), (third, *_) = encoded(tokenizer, [["A dog. ", "The cat! "], ["The cat!"]])
    assert first == tokenizer.encode("A dog.") and second == tokenizer.encode(" The cat! ")
    assert third == tokenizer.encode("The cat!")  # nothing is taken from the text before
    assert tokenizer.starts_word_V[second[0]] and not tokenizer.starts_word_V[third[0]]


SPACE = st.sampled_from(
    [" ", "\n", "\n\n", "  ", " \n", "\r\n", "\t", "\xa0", " \xa0", "\xa0 ", "\u3000", "\u2028 ", "\x85"]
)
WORD = st.sampled_from(["The", "cat", "dogs,", "they'll", "it.", "好。", "!", "“", "é", "天气", "Д", "\x1c", "'", "ll"])


@pytest.mark.parametrize("kind", ["bpe", "unigram"])
@given(texts=st.lists(st.lists(st.tuples(WORD, SPACE, st.booleans()), min_size=1, max_size=8), min_size=1, max_size=3))
@example(texts=[[("it.", "\n\n", True), ("The", "  ", True), ("cat", " ", False), ("!", " ", True)]])
def test_sentences_cut_anywhere_in_white_space_have_the_ids_of_the_whole_text(
    learnt: dict[str, Tokenizer], kind: str, texts: list[list[tuple[str, str, bool]]]
) -> None:
    """The cut is behind the white space, or within it behind its first character."""
    tokenizer = learnt[kind]
    cut = []
    for words in texts:
        sentences, left = [], ""
        for word, space, behind in words:
            at = len(space) if behind else 1
            sentences.append(left + word + space[:at])
            left = space[at:]
        cut.append([*sentences, left] if left else sentences)
    for sentences, ids in zip(cut, encoded(tokenizer, cut), strict=True):
        assert joined(ids) == tokenizer.encode("".join(sentences)), sentences


@pytest.mark.parametrize("kind", KINDS)
def test_stretches_and_a_corpus_keep_the_ids_of_the_whole_text(
    learnt: dict[str, Tokenizer], kind: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(encoding, "STRETCH", 30)
    tokenizer = learnt[kind]
    texts = ["The cats. They'll re-tokenise it!  A dog.\n\nThe cat, no.\nIt. ", "It's a dog. \nThe cat."]
    column = build_from([Document(text[:3], text) for text in texts], tmp_path / "out", tokenizer).tokens()
    (shard,) = column.shards
    ends = np.append(0, shard.sentence_ends)[shard.document_ends].tolist()
    assert [shard.ids[a:b].tolist() for a, b in itertools.pairwise([0, *ends])] == [
        tokenizer.encode(text) for text in texts
    ]
    assert np.array_equal(shard.starts_word(0, shard.tokens), tokenizer.starts_word_V[shard.ids])


def test_no_piece_goes_across_the_end_of_a_sentence_without_a_space(learnt: dict[str, Tokenizer]) -> None:
    for kind in KINDS:
        sentences = ["天气很好。", "我们去。", "吃。"]
        assert encoded(learnt[kind], [sentences]) == [[learnt[kind].encode(sentence) for sentence in sentences]]


@pytest.fixture(scope="module")
def published(shared: Path, tmp_path_factory: pytest.TempPathFactory) -> dict[str, Tokenizer]:
    files = {
        "gpt2": {"gpt2-vocab.json": "vocab.json", "gpt2-merges.txt": "merges.txt"},
        "roberta": {"roberta-vocab.json": "vocab.json", "roberta-merges.txt": "merges.txt"},
        "t5": {"t5-spiece.model": "spiece.model"},
        "xlnet": {"xlnet-base-cased-spiece.model": "spiece.model"},
    }
    found = {}
    for name, sources in files.items():
        folder = tmp_path_factory.mktemp(name)
        for source, target in sources.items():
            packed = shared / "data" / "vocab" / f"{source}.xz"
            (folder / target).write_bytes(lzma.decompress(packed.read_bytes()))
        found[name] = Tokenizer.load(folder)
    return found


def test_real_english_has_the_ids_of_the_whole_text(shared: Path, published: dict[str, Tokenizer]) -> None:
    with lzma.open(shared / "data" / "corpus" / "en_masc.jsonl.xz", "rt", encoding="utf-8") as lines:
        texts = [json.loads(line)["text"][:3_000] for line in itertools.islice(lines, 0, 200, 10)]
    for name, tokenizer in published.items():
        same = 0
        for rule in (sentence_ends, line_ends):
            cut = [[text[a:b] for a, b in itertools.pairwise([0, *rule(text)])] for text in texts]
            for text, sentences, ids in zip(texts, cut, encoded(tokenizer, cut), strict=True):
                # A few sentences end within a quotation, without white space behind them.
                if all(a[-1:].isspace() or b[:1].isspace() for a, b in itertools.pairwise(sentences)):
                    assert joined(ids) == tokenizer.encode(text), name
                    same += 1
        assert same > 25
