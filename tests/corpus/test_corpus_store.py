import pickle
from pathlib import Path

import numpy as np
import pytest

from maskwright.corpus.build import build_from
from maskwright.corpus.read import Document
from maskwright.corpus.show import summary
from maskwright.corpus.store import Corpus
from maskwright.errors import DataError, InputError
from maskwright.text.tokenizer import Tokenizer


@pytest.fixture
def corpus(small: Tokenizer, tmp_path: Path) -> Corpus:
    texts = (Document(f"d{number}", "The cat satted. " * (number % 5 + 1)) for number in range(40))
    return build_from(texts, tmp_path / "corpus", small, keep_duplicates=True, shard_bytes=200)


def test_global_numbers_run_through_the_shards(corpus: Corpus) -> None:
    column = corpus.tokens()
    assert len(column.shards) > 3
    tokens = documents = sentences = 0
    for shard in column.shards:
        assert (shard.first_token, shard.first_document, shard.first_sentence) == (tokens, documents, sentences)
        assert shard.document_ends[-1] == len(shard.sentence_ends) == shard.sentences
        assert shard.sentence_ends[-1] == len(shard.ids) == shard.tokens
        tokens, documents = tokens + shard.tokens, documents + shard.documents
        sentences += shard.sentences
    assert (tokens, documents, sentences) == (column.tokens, column.documents, column.sentences)


def test_ids_are_views_of_the_file(corpus: Corpus) -> None:
    column = corpus.tokens()
    ids = column.ids(column.shards[1].first_token, column.shards[1].first_token + 4)
    assert np.shares_memory(ids, column.shards[1].ids)
    assert not ids.flags.writeable and not ids.flags.owndata
    assert ids.dtype == column.dtype == np.uint16
    maps = Path("/proc/self/maps")
    if maps.exists():
        assert str(column.shards[1].path) in maps.read_text()


def test_word_starts_at_any_bit_are_right(corpus: Corpus, small: Tokenizer) -> None:
    column = corpus.tokens()
    shard = column.shards[0]
    assert 2 < small.starts_word_V[shard.ids[:24]].sum() < 22
    for begin in range(12):
        for end in range(begin, 24):
            found = column.starts_word(begin, end)
            assert found.dtype == np.bool_
            assert np.array_equal(found, small.starts_word_V[shard.ids[begin:end]])


def test_open_column_keeps_no_file_open(corpus: Corpus) -> None:
    handles = Path("/proc/self/fd")
    if not handles.exists():
        pytest.skip("this system does not list open files")
    before = len(list(handles.iterdir()))
    column = corpus.tokens()
    assert sum(int(shard.ids.sum()) for shard in column.shards) > 0
    assert len(list(handles.iterdir())) == before


def test_pickled_column_reads_the_same_and_carries_no_tokens(corpus: Corpus) -> None:
    column = corpus.tokens()
    unread = pickle.dumps(column)
    first = column.ids(0, 5).tolist()
    packed = pickle.dumps(column)
    assert packed == unread
    assert pickle.loads(packed).ids(0, 5).tolist() == first


def test_text_is_found_by_document_number(corpus: Corpus) -> None:
    assert [corpus.text(number) for number in (39, 0, 17)] == [
        ("d39", "The cat satted. " * 5),
        ("d0", "The cat satted. "),
        ("d17", "The cat satted. " * 3),
    ]
    for number in (-1, 40):
        with pytest.raises(InputError, match="holds 0 to 39"):
            corpus.text(number)


def test_tokenizer_travels_with_the_corpus(corpus: Corpus, small: Tokenizer, other: Tokenizer) -> None:
    assert corpus.tokenizer().fingerprint == small.fingerprint == corpus.tokens().tokenizer_fingerprint
    with pytest.raises(InputError, match=f"no tokens of the tokenizer {other.fingerprint[:8]}"):
        corpus.tokens(other)


def test_cut_off_shard_is_named_on_opening(corpus: Corpus) -> None:
    for name in ("tokens-*-00001.arrow", "text-00002.arrow"):
        (shard,) = corpus.folder.glob(name)
        whole = shard.read_bytes()
        shard.write_bytes(whole[:-9])
        with pytest.raises(DataError, match=shard.name):
            Corpus.open(corpus.folder)
        shard.unlink()
        with pytest.raises(DataError, match=f"{shard.name}: missing"):
            Corpus.open(corpus.folder)
        shard.write_bytes(whole)
    Corpus.open(corpus.folder).verify()


def test_flipped_byte_is_found_by_verify(corpus: Corpus) -> None:
    shard = corpus.tokens().shards[2].path
    content = bytearray(shard.read_bytes())
    content[len(content) // 2] ^= 1
    shard.write_bytes(content)
    with pytest.raises(DataError, match=shard.name):
        Corpus.open(corpus.folder).verify()


def test_shard_of_the_right_size_that_is_no_shard_is_named(corpus: Corpus) -> None:
    shard = corpus.tokens().shards[0].path
    shard.write_bytes(b"\0" * shard.stat().st_size)
    with pytest.raises(DataError, match=shard.name):
        Corpus.open(corpus.folder).tokens().ids(0, 3)


@pytest.mark.parametrize(
    ("old", "new", "message"),
    [
        ('"schema_version": 1', '"schema_version": 2', "schema_version"),
        ('"language"', '"tongue"', "language"),
        ("text-00000.arrow", "../text-00000.arrow", "name"),
        ("{", "", "not a manifest"),
    ],
)
def test_unusable_manifest_is_refused(corpus: Corpus, old: str, new: str, message: str) -> None:
    manifest = corpus.folder / "manifest.json"
    manifest.write_text(manifest.read_text().replace(old, new, 1))
    with pytest.raises(DataError, match=message):
        Corpus.open(corpus.folder)


def test_folder_without_a_corpus_says_how_to_build_one(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="holds no corpus"):
        Corpus.open(tmp_path)


def test_summary_agrees_with_a_count_by_hand(small: Tokenizer, tmp_path: Path) -> None:
    corpus = build_from([Document("a", "the the cat sat.\nthe mat")], tmp_path / "out", small)
    shown = summary(corpus)
    assert (shown["documents"], shown["sentences"], shown["tokens"]) == (1, 2, 7)
    assert shown["tokens_a_sentence"] == 3.5
    assert shown["frequent_pieces"][0] == {"piece": "the", "count": 3, "share": 3 / 7}
    assert shown["unigram_entropy"] == pytest.approx(-(3 / 7 * np.log(3 / 7) + 4 / 7 * np.log(1 / 7)))
    assert sum(row["sentences"] for row in shown["sentence_lengths"]) == 2
    assert shown["sentence_lengths"][0] == {"up_to": 8, "sentences": 2}
    assert shown["unknown_share"] == 0 and shown["pieces_used"] == 5
