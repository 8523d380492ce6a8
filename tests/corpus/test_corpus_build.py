import json
import lzma
from pathlib import Path

import numpy as np
import pytest

from maskwright.corpus import build as building
from maskwright.corpus import builder
from maskwright.corpus.build import Progress, add_tokens, build, build_from
from maskwright.corpus.ledger import Ledger, TokenLedger, UnbalancedLedgerError
from maskwright.corpus.prepare import Preparation
from maskwright.corpus.read import Document, read
from maskwright.corpus.store import Corpus
from maskwright.errors import DataError, InputError
from maskwright.text.tokenizer import Tokenizer

TEXTS = [
    "The cat sat. A dog ate the mats.\nThe other cat too.",
    "\ud800 cats \x00 sat on 999 the mat.",
    " \n ",
    "\x01\x02",
    "The dog. \x03\x04\n\x05 A cat.",
    "The mats and the cats sat, too.",
]


def documents(texts: list[str] = TEXTS) -> list[Document]:
    return [Document(f"d{number}", text) for number, text in enumerate(texts)]


def files_of(folder: Path) -> dict[str, bytes]:
    return {str(path.relative_to(folder)): path.read_bytes() for path in sorted(folder.rglob("*")) if path.is_file()}


def test_reference_corpus_has_the_known_counts(shared: Path, tmp_path: Path) -> None:
    source = shared / "golden" / "bert_data"
    corpus = build(source / "corpus.txt", tmp_path / "out", Tokenizer.load(source / "vocab.txt"), sentences="lines")
    column = corpus.tokens()
    assert (corpus.documents, corpus.sentences) == (384, 13_789)
    assert (column.documents, column.sentences, column.tokens, column.unknown) == (384, 13_789, 244_163, 0)
    assert corpus.ledger.bytes_read == 1_004_175


def test_more_pieces_than_two_bytes_hold_are_stored_in_four(shared: Path, tmp_path: Path) -> None:
    packed = shared / "data" / "vocab" / "bert-base-multilingual-cased-vocab.txt.xz"
    (tmp_path / "vocab.txt").write_bytes(lzma.decompress(packed.read_bytes()))
    tokenizer = Tokenizer.load(tmp_path / "vocab.txt")
    column = build_from([Document("a", "Příliš žluťoučký 上海 кот")], tmp_path / "out", tokenizer).tokens()
    assert column.dtype == column.ids(0, column.tokens).dtype == "uint32"
    assert column.ids(0, column.tokens).tolist() == tokenizer.encode("Příliš žluťoučký 上海 кот")
    assert column.ids(0, column.tokens).max() > 1 << 16


def test_stored_tokens_are_those_of_each_sentence(small: Tokenizer, tmp_path: Path) -> None:
    corpus = build_from(documents(), tmp_path / "out", small, shard_bytes=40)
    column = corpus.tokens(small)
    assert len(column.shards) == 3
    stored = []
    for shard in column.shards:
        begin_sentence = 0
        for end_sentence in shard.document_ends:
            ends = shard.sentence_ends[begin_sentence:end_sentence]
            begins = [shard.sentence_ends[begin_sentence - 1] if begin_sentence else 0, *ends[:-1]]
            spans = [(shard.first_token + b, shard.first_token + e) for b, e in zip(begins, ends, strict=True)]
            stored.append([column.ids(*span).tolist() for span in spans])
            for span in spans:
                assert np.array_equal(column.starts_word(*span), small.starts_word_V[column.ids(*span)])
            begin_sentence = end_sentence
    assert stored == [
        [small.encode(part) for part in ("The cat sat.", "A dog ate the mats.", "The other cat too.")],
        [small.encode("cats sat on 999 the mat.")],
        [small.encode("The dog."), small.encode("A cat.")],
        [small.encode("The mats and the cats sat, too.")],
    ]
    assert column.unknown == 1


def test_ledger_says_where_everything_went(small: Tokenizer, tmp_path: Path) -> None:
    ledger = build_from(documents(), tmp_path / "out", small).ledger
    assert (ledger.documents_read, ledger.documents_kept) == (6, 4)
    assert ledger.documents_dropped == {"empty": 1, "no token": 1}
    assert ledger.bytes_nul == 1
    assert ledger.bytes_dropped == {"empty": 3, "no token": 2}
    assert ledger.bytes_read == sum(len(text.encode("utf-8", "surrogatepass")) for text in TEXTS)


def test_sentences_without_a_token_are_counted(small: Tokenizer, tmp_path: Path) -> None:
    corpus = build_from(documents(["The cat.\n\x01\nThe dog."]), tmp_path / "out", small)
    counted = corpus.manifest.columns[0].ledger
    assert (corpus.sentences, counted.sentences_kept, counted.sentences_without_token) == (3, 2, 1)


def test_losing_the_last_document_is_an_error(
    small: Tokenizer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    whole = Preparation._row

    def forgetful(self: Preparation, document: Document, ledger: Ledger) -> object:
        row = whole(self, document, ledger)
        return None if document.id == "d5" else row

    monkeypatch.setattr(Preparation, "_row", forgetful)
    with pytest.raises(UnbalancedLedgerError, match=r"documents: 6 in, 5 kept or dropped .* 1 missing"):
        build_from(documents(), tmp_path / "out", small)
    assert list((tmp_path / "out").iterdir()) == []


def test_a_reader_that_loses_bytes_is_an_error(
    small: Tokenizer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "a.txt").write_text("the cat\n\nthe dog\n")
    monkeypatch.setattr(building, "read", lambda *given, **options: iter(list(read(*given, **options))[:-1]))
    with pytest.raises(UnbalancedLedgerError, match=r"bytes: 17 in, 10 kept or dropped .* 7 missing"):
        build(tmp_path / "a.txt", tmp_path / "out", small)


def test_unbalanced_numbers_of_a_column_are_an_error() -> None:
    corpus = Ledger(documents_kept=2, sentences=5)
    sound = {"documents": 2, "sentences_read": 5, "sentences_kept": 5, "tokens_made": 9, "tokens_kept": 9}
    TokenLedger(**sound).check(corpus)
    for name in sound:
        with pytest.raises(UnbalancedLedgerError):
            TokenLedger(**{**sound, name: 1}).check(corpus)


def test_same_input_gives_the_same_bytes(small: Tokenizer, tmp_path: Path) -> None:
    source = tmp_path / "in" / "a.txt"
    source.parent.mkdir()
    source.write_text("\n\n".join(f"The cat sat. A dog ate {n} mats." for n in range(50)), encoding="utf-8")
    moved = tmp_path / "elsewhere"
    build(source, tmp_path / "one", small, shard_bytes=300)
    source.parent.rename(moved)
    build(moved / "a.txt", tmp_path / "two", small, shard_bytes=300)
    assert files_of(tmp_path / "one") == files_of(tmp_path / "two")
    assert len(files_of(tmp_path / "one")) > 8


def test_fingerprint_is_over_content_not_names_or_shards(small: Tokenizer, other: Tokenizer, tmp_path: Path) -> None:
    first = build_from(documents(), tmp_path / "a", small)
    renamed = [Document(document.id + "x", document.text) for document in documents()]
    second = build_from(renamed, tmp_path / "b", other, shard_bytes=10)
    assert first.fingerprint == second.fingerprint
    assert build_from(documents(TEXTS[:-1]), tmp_path / "c", small).fingerprint != first.fingerprint
    assert build_from(documents(), tmp_path / "d", small, sentences="lines").fingerprint != first.fingerprint


def test_second_tokenizer_is_added_without_the_sources(small: Tokenizer, other: Tokenizer, tmp_path: Path) -> None:
    build_from(documents(), tmp_path / "out", small, shard_bytes=60)
    before = files_of(tmp_path / "out")
    corpus = add_tokens(tmp_path / "out", other)
    added = build_from(documents(), tmp_path / "direct", other, shard_bytes=60)
    column = corpus.tokens(other)
    assert corpus.fingerprints == [small.fingerprint, other.fingerprint]
    assert [shard.ids.tolist() for shard in column.shards] == [shard.ids.tolist() for shard in added.tokens().shards]
    after = files_of(tmp_path / "out")
    assert all(after[name] == content for name, content in before.items() if name != "manifest.json")
    assert add_tokens(tmp_path / "out", other).manifest == corpus.manifest
    corpus.verify()


def test_folder_that_holds_something_is_refused(small: Tokenizer, tmp_path: Path) -> None:
    build_from(documents(), tmp_path / "out", small)
    with pytest.raises(InputError, match="already holds a corpus"):
        build_from(documents(), tmp_path / "out", small)
    (tmp_path / "out" / "manifest.json").unlink()
    with pytest.raises(InputError, match="holds an interrupted build"):
        build_from(documents(), tmp_path / "out", small)
    with pytest.raises(InputError, match="interrupted build"):
        Corpus.open(tmp_path / "out")
    (tmp_path / "full").mkdir()
    (tmp_path / "full" / "mine.doc").write_text("mine")
    with pytest.raises(InputError, match="holds other files"):
        build_from(documents(), tmp_path / "full", small)
    assert (tmp_path / "full" / "mine.doc").exists()


def test_a_build_that_fails_before_its_first_shard_leaves_nothing(small: Tokenizer, tmp_path: Path) -> None:
    (tmp_path / "a.jsonl").write_text(json.dumps({"text": "the cat sat " * 200}) + "\n{\n")
    with pytest.raises(DataError, match="line 2"):
        build(tmp_path / "a.jsonl", tmp_path / "out", small)
    assert not list((tmp_path / "out").iterdir())


def test_a_failed_build_goes_on_once_its_input_is_mended(small: Tokenizer, tmp_path: Path) -> None:
    rows = [json.dumps({"text": f"the cat sat on {number} mats. a dog."}) + "\n" for number in range(400)]
    source = tmp_path / "a.jsonl"
    source.write_text("".join(rows[:300]) + "{\n" + "".join(rows[300:]))
    with pytest.raises(
        DataError, match=r"line 301: .* finished shards \(\d+ documents\) stay in .* same command goes on"
    ):
        build(source, tmp_path / "out", small, shard_bytes=2_000)
    kept = sorted((tmp_path / "out").glob("text-*.arrow"))
    written = [path.stat().st_mtime_ns for path in kept]
    with pytest.raises(InputError, match="holds an interrupted build with language en, and de is asked for"):
        build(source, tmp_path / "out", small, language="de", shard_bytes=2_000)
    (tmp_path / "b.jsonl").write_text(rows[0])
    with pytest.raises(InputError, match=r"interrupted build of other input: a\.jsonl was file 1"):
        build([tmp_path / "b.jsonl", source], tmp_path / "out", small, shard_bytes=2_000)
    source.write_text("".join(rows))
    build(source, tmp_path / "out", small, shard_bytes=2_000)
    assert len(kept) > 2 and [path.stat().st_mtime_ns for path in kept] == written
    build(source, tmp_path / "whole", small, shard_bytes=2_000)
    assert files_of(tmp_path / "out") == files_of(tmp_path / "whole")


def test_input_that_changed_where_it_was_read_is_refused(small: Tokenizer, tmp_path: Path) -> None:
    rows = [json.dumps({"text": f"the cat sat on {number} mats. a dog."}) + "\n" for number in range(400)]
    source = tmp_path / "a.jsonl"
    source.write_text("".join(rows) + "{\n")
    with pytest.raises(DataError):
        build(source, tmp_path / "out", small, shard_bytes=2_000)
    source.write_text("".join([*rows[1:], rows[0]]))
    with pytest.raises(InputError, match="input has changed since the build was interrupted"):
        build(source, tmp_path / "out", small, shard_bytes=2_000)


def test_full_disk_is_explained(small: Tokenizer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(*_: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(builder.TextWriter, "close", full)
    with pytest.raises(InputError, match="disk is full"):
        build_from(documents(), tmp_path / "out", small)


@pytest.mark.parametrize("content", ["", "\n \n", "\x01\n\n\x02"])
def test_nothing_usable_is_an_error(small: Tokenizer, tmp_path: Path, content: str) -> None:
    (tmp_path / "a.txt").write_text(content)
    with pytest.raises(InputError, match="nothing usable"):
        build(tmp_path / "a.txt", tmp_path / "out", small)


def test_unusable_options_are_refused(small: Tokenizer, tmp_path: Path) -> None:
    with pytest.raises(InputError, match="shard_bytes is 0"):
        build_from(documents(), tmp_path / "out", small, shard_bytes=0)
    with pytest.raises(InputError, match="sentences is 'words'; auto or lines"):
        build_from(documents(), tmp_path / "out", small, sentences="words")  # type: ignore[arg-type]


def test_progress_ends_at_the_whole(small: Tokenizer, tmp_path: Path) -> None:
    (tmp_path / "a.jsonl").write_text("".join(json.dumps({"text": f"the cat sat on {n}"}) + "\n" for n in range(1200)))
    seen: list[Progress] = []
    corpus = build(tmp_path / "a.jsonl", tmp_path / "out", small, shard_bytes=4_000, progress=seen.append)
    assert len(seen) >= 2
    assert seen == sorted(seen, key=lambda progress: progress.tokens)
    assert seen[-1] == Progress(1200, corpus.tokens().tokens, 1.0)
    assert 0 < seen[0].fraction <= 1  # type: ignore[operator]
