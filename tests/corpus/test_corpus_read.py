import gzip
import json
import lzma
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from maskwright.corpus import read
from maskwright.corpus.ledger import Ledger
from maskwright.corpus.read import Document, Reader
from maskwright.corpus.sources import find_sources
from maskwright.errors import DataError, InputError


def read_all(path: Path | str, ledger: Ledger | None = None, text_field: str = "text") -> list[Document]:
    ledger = ledger or Ledger()
    return list(Reader(find_sources(path, ledger), ledger, text_field))


def accounted(ledger: Ledger, documents: list[Document]) -> bool:
    texts = sum(len(document.text.encode("utf-8", "surrogatepass")) for document in documents)
    bad = sum(document.bad_bytes - 3 * document.replacements for document in documents)
    return ledger.bytes_read == texts + bad + ledger.bytes_around.total()


def test_blank_line_ends_a_document(tmp_path: Path) -> None:
    (tmp_path / "a.txt").write_bytes(b"\xef\xbb\xbf\n\none\ntwo\r\n \t\n\nthree")
    ledger = Ledger()
    documents = read_all(tmp_path / "a.txt", ledger)
    assert [(document.id, document.text) for document in documents] == [("a.txt#1", "one\ntwo"), ("a.txt#2", "three")]
    assert ledger.bytes_read == 23 and accounted(ledger, documents)
    assert ledger.bytes_around[read.MARKS] == 3


def test_jsonl_rows_become_documents(tmp_path: Path) -> None:
    rows = [{"text": "one", "id": "x"}, {"text": "z\u00e9\ud800", "id": 7}, {"text": None}, {"text": "", "more": [1]}]
    (tmp_path / "a.jsonl").write_text("\n".join(json.dumps(row) for row in rows) + "\n\n")
    ledger = Ledger()
    documents = read_all(tmp_path / "a.jsonl", ledger)
    assert [(document.id, document.text) for document in documents] == [
        ("x", "one"), ("7", "z\u00e9\ud800"), ("a.jsonl#3", ""), ("a.jsonl#4", ""),
    ]  # fmt: skip
    assert accounted(ledger, documents)


@pytest.mark.parametrize(("suffix", "opener"), [(".gz", gzip.open), (".xz", lzma.open)])
def test_compressed_files_read_the_same(tmp_path: Path, suffix: str, opener: object) -> None:
    with opener(tmp_path / f"a.txt{suffix}", "wb") as stream:  # type: ignore[operator]
        stream.write(b"one\n\ntwo\n")
    assert [document.text for document in read_all(tmp_path / f"a.txt{suffix}")] == ["one", "two"]


def test_folders_are_read_in_order_and_other_files_counted(tmp_path: Path) -> None:
    for name in ("b.txt", "a/z.jsonl", "a/b.txt", "c.pdf", "d.png", ".hidden.txt", "README"):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).write_text('{"text": "x"}')
    ledger = Ledger()
    documents = read_all(tmp_path, ledger)
    assert [document.id for document in documents] == ["a/b.txt#1", "a/z.jsonl#1", "b.txt#1"]
    assert ledger.files_skipped == {
        "the suffix .pdf": 1, "the suffix .png": 1, "the suffix no suffix": 1, "a hidden name": 1,
    }  # fmt: skip
    assert [document.id for document in read_all(f"{tmp_path}/**/b.txt")] == ["b.txt#1", "b.txt#1"]


def test_bad_bytes_are_replaced_and_counted(tmp_path: Path) -> None:
    (tmp_path / "a.txt").write_bytes(b"caf\xe9 \xff\xfe\xef\xbf\xbd ok\n\nfine\n")
    ledger = Ledger()
    first, second = read_all(tmp_path / "a.txt", ledger)
    assert first.text == "caf\ufffd \ufffd\ufffd\ufffd ok"
    assert (first.bad_bytes, first.replacements, second.bad_bytes) == (3, 3, 0)
    assert accounted(ledger, [first, second])


@settings(max_examples=200, deadline=None)
@given(
    content=st.lists(st.sampled_from([b"word", b" ", b"\n", b"\r\n", b"\xff", b"\xe4\xb8", "中".encode(), b"\x00"])),
    as_json=st.booleans(),
)
def test_every_byte_is_accounted_for(
    tmp_path_factory: pytest.TempPathFactory, content: list[bytes], as_json: bool
) -> None:
    body = b"".join(content)
    if as_json:
        lines = body.replace(b"\x00", b"").replace(b"\r", b"").split(b"\n")
        body = b"\n".join(b'{"other": "' + line + b'", "text": "' + line + b'"}' for line in lines)
    file = tmp_path_factory.mktemp("bytes") / ("a.jsonl" if as_json else "a.txt")
    file.write_bytes(body)
    ledger = Ledger()
    documents = read_all(file, ledger)
    assert ledger.bytes_read == len(body)
    assert accounted(ledger, documents)


def test_missing_field_names_the_fields_and_the_option(tmp_path: Path) -> None:
    (tmp_path / "en.jsonl").write_text('{"text": "a"}\n' * 1203 + '{"id": 1, "body": "some text"}\n')
    with pytest.raises(DataError) as caught:
        read_all(tmp_path / "en.jsonl")
    assert str(caught.value) == (
        'corpus/build: en.jsonl, line 1,204: no field "text" (fields: id, body). Name the field with --text-field body.'
    )
    assert (caught.value.file, caught.value.line) == ("en.jsonl", 1204)


@pytest.mark.parametrize(
    ("row", "message"),
    [
        ('{"text": "a"', r"line 1: not JSON"),
        ("[" * 100_000, r"line 1: not JSON"),
        ('{"n": ' + "1" * 5000 + "}", r"line 1: not JSON"),
        ('["a"]', r"line 1: a list, not an object"),
        ('{"text": 5}', r'line 1: the field "text" holds a int'),
        ('{"n": 5}', r'no field "text" \(fields: n\). No field holds a text'),
    ],
)
def test_unusable_row_is_named(tmp_path: Path, row: str, message: str) -> None:
    (tmp_path / "a.jsonl").write_text(row)
    with pytest.raises(DataError, match=message):
        read_all(tmp_path / "a.jsonl")


def test_ten_megabyte_line_is_read_and_an_endless_one_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "a.txt").write_bytes(b"ab " * 3_500_000 + b"\n\nlast")
    assert [len(document.text) for document in read_all(tmp_path / "a.txt")] == [10_500_000, 4]
    monkeypatch.setattr(read, "MAX_LINE", 1 << 20)
    with pytest.raises(DataError, match="line 1: longer than 1 MiB"):
        read_all(tmp_path / "a.txt")


def test_long_text_without_blank_lines_is_cut_at_line_ends(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(read, "MAX_DOCUMENT", 10)
    (tmp_path / "a.txt").write_bytes(b"one two\n" * 5)
    ledger = Ledger()
    documents = read_all(tmp_path / "a.txt", ledger)
    assert [document.text for document in documents] == ["one two\none two"] * 2 + ["one two"]
    assert ledger.documents_split == 2 and accounted(ledger, documents)


def test_damaged_compressed_file_is_named(tmp_path: Path) -> None:
    whole = gzip.compress(b"some text\n" * 1000)
    (tmp_path / "a.txt.gz").write_bytes(whole[:-20])
    with pytest.raises(DataError, match=r"a\.txt\.gz: damaged or cut off"):
        read_all(tmp_path / "a.txt.gz")
    (tmp_path / "b.txt.xz").write_bytes(b"not xz")
    with pytest.raises(DataError, match=r"b\.txt\.xz: damaged or cut off"):
        read_all(tmp_path / "b.txt.xz")


def test_utf16_is_refused_with_the_remedy(tmp_path: Path) -> None:
    (tmp_path / "a.txt").write_bytes("text".encode("utf-16"))
    with pytest.raises(DataError, match=r"UTF-16 text\. Convert it first"):
        read_all(tmp_path / "a.txt")


def test_unknown_file_is_refused_where_it_was_named(tmp_path: Path) -> None:
    (tmp_path / "a.pdf").write_bytes(b"")
    with pytest.raises(InputError, match=r"a\.pdf has the suffix \.pdf"):
        read_all(tmp_path / "a.pdf")
    with pytest.raises(InputError, match=r"Skipped: 1 with the suffix \.pdf"):
        read_all(tmp_path)
    with pytest.raises(InputError, match="no file, folder or match"):
        read_all(tmp_path / "none.txt")
