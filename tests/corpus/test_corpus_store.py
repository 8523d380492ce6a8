import pickle
from pathlib import Path

import numpy as np
import pytest

from maskwright.corpus import builder, manifest, store
from maskwright.corpus.build import build_from
from maskwright.corpus.read import Document
from maskwright.corpus.shards import read_texts
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
        ('"schema_version": 2', '"schema_version": 3', "of schema version 3, written by a newer Maskwright"),
        ('"language"', '"tongue"', "language"),
        ("text-00000.arrow", "../text-00000.arrow", "name"),
    ],
)
def test_unusable_manifest_is_refused(corpus: Corpus, old: str, new: str, message: str) -> None:
    file = corpus.folder / "manifest.json"
    file.write_bytes(manifest._sealed(manifest._unsealed(file.read_bytes()).decode().replace(old, new, 1).encode()))
    with pytest.raises(DataError, match=message):
        Corpus.open(corpus.folder)


def test_a_manifest_of_the_first_version_is_refused_with_the_remedy(corpus: Corpus) -> None:
    file = corpus.folder / "manifest.json"
    old = manifest._unsealed(file.read_bytes()).decode().replace('"schema_version": 2', '"schema_version": 1', 1)
    file.write_text(old + "\n")
    said = r"manifest\.json: .*schema version 1, written by an older Maskwright; this one reads version 2\. Build the corpus again"
    with pytest.raises(DataError, match=said):
        Corpus.open(corpus.folder)


def test_any_byte_of_a_manifest_that_changed_is_refused(corpus: Corpus) -> None:
    file = corpus.folder / "manifest.json"
    whole = file.read_bytes()
    for at in range(len(whole)):
        file.write_bytes(whole[:at] + bytes([whole[at] ^ 1]) + whole[at + 1 :])
        with pytest.raises(DataError, match=r"manifest\.json: .*Build the corpus again"):
            Corpus.open(corpus.folder)
    for wrong in (whole[:-1], whole + b" ", whole[1:], b"", b"[]"):
        file.write_bytes(wrong)
        with pytest.raises(DataError, match=r"manifest\.json: damaged"):
            Corpus.open(corpus.folder)


def test_a_changed_tokenizer_of_a_corpus_is_refused_by_the_name_of_its_file(corpus: Corpus) -> None:
    (folder,) = corpus.folder.glob("tokenizer-*")
    names = sorted(path.name for path in folder.iterdir())
    assert names == ["tokenizer.json", "tokenizer_config.json", "vocab.txt"]
    for name in names:
        content = (folder / name).read_bytes()
        (folder / name).write_bytes(content[:-3] + bytes([content[-3] ^ 1]) + content[-2:])
        for act in (corpus.verify, corpus.tokenizer, lambda: corpus.verify(corpus.fingerprints[0])):
            with pytest.raises(DataError, match=f"{name}: its bytes have changed"):
                act()
        (folder / name).unlink()
        with pytest.raises(DataError, match=f"{name}: missing"):
            corpus.tokenizer()
        (folder / name).write_bytes(content)
    corpus.verify()


def test_a_token_takes_two_bytes_and_a_sentence_one(small: Tokenizer, tmp_path: Path) -> None:
    texts = [Document(str(number), "the cat sat on the mat. " * 40) for number in range(200)]
    column = build_from(texts, tmp_path / "out", small, keep_duplicates=True).tokens()
    size = sum(shard.path.stat().st_size for shard in column.shards)
    assert (column.tokens, column.sentences) == (200 * 40 * 7, 200 * 40)
    bare = 2 * column.tokens + column.sentences + 2 * 4 * column.documents
    assert bare < size < bare + 2_000


def test_only_the_batch_of_a_document_is_unpacked(
    small: Tokenizer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(builder, "CHUNK_CHARS", 100)
    texts = (Document(f"d{number}", f"The cat satted {number}. A mat.") for number in range(60))
    corpus = build_from(texts, tmp_path / "out", small, shard_bytes=700)
    assert all(len(shard.batches) > 2 for shard in corpus.manifest.shards[:-1])
    read: list[int] = []
    monkeypatch.setattr(
        store, "read_texts", lambda p, e, numbers: read.append(len(numbers)) or read_texts(p, e, numbers)
    )
    for number in (59, 0, 31, 32):
        found = corpus.document(number)
        assert (found.id, found.text) == (f"d{number}", f"The cat satted {number}. A mat.")
        assert found.sentence_ends == [len(found.text) - 6, len(found.text)] and found.word_ends is None
    assert read in ([1] * 3, [1] * 4)


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
