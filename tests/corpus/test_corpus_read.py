import json
import tracemalloc
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from reading import accounted, read_all, texts

from maskwright.corpus.encoding import MARKS
from maskwright.corpus.ledger import Ledger
from maskwright.corpus.read import MARKUP, Document, Reader, read
from maskwright.corpus.readers import cut, opened
from maskwright.corpus.sources import find_sources
from maskwright.errors import DataError


def test_blank_line_ends_a_document(tmp_path: Path) -> None:
    (tmp_path / "a.txt").write_bytes(b"\xef\xbb\xbf\n\none\ntwo\r\n \t\n\nthree")
    ledger = Ledger()
    documents = read_all(tmp_path / "a.txt", ledger)
    assert [(document.id, document.text) for document in documents] == [("a.txt#1", "one\ntwo"), ("a.txt#2", "three")]
    assert ledger.bytes_read == 23 and accounted(ledger, documents)
    assert ledger.bytes_around[MARKS] == 3


def test_jsonl_rows_become_documents(tmp_path: Path) -> None:
    rows = [{"text": "one", "id": "x"}, {"text": "z\u00e9\ud800", "id": 7}, {"text": None}, {"text": "", "more": [1]}]
    (tmp_path / "a.jsonl").write_text("\n".join(json.dumps(row) for row in rows) + '\n{"id": 8}\n\n')
    ledger = Ledger()
    documents = read_all(tmp_path / "a.jsonl", ledger)
    assert [(document.id, document.text) for document in documents] == [
        ("x", "one"), ("7", "z\u00e9\ud800"), ("a.jsonl#4", ""),
    ]  # fmt: skip
    assert ledger.documents_dropped == {"no text in the row": 2} and ledger.documents_read == 2
    assert accounted(ledger, documents)


def test_bad_bytes_are_replaced_and_counted(tmp_path: Path) -> None:
    (tmp_path / "a.txt").write_bytes("中文 ".encode() + b"caf\xe9 \xff\xef\xbf\xbd ok\n\nfine\n")
    ledger = Ledger()
    first, second = read_all(tmp_path / "a.txt", ledger)
    assert first.text == "中文 caf\ufffd \ufffd\ufffd ok"
    assert (first.bad_bytes, first.replacements, second.bad_bytes) == (2, 2, 0)
    assert ledger.encodings == {"utf-8": 1} and accounted(ledger, [first, second])


PIECES = [
    b"word",
    b" ",
    b"\n",
    b"\r\n",
    b"\xff",
    b"\xe4\xb8",
    "中".encode(),
    "中文".encode("gb18030"),
    b"\x00",
    b"caf\xe9",
]


@settings(max_examples=150)
@given(content=st.lists(st.sampled_from(PIECES)), as_json=st.booleans())
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
    assert accounted(ledger, read_all(file, ledger))
    if ledger.encodings == {"utf-8": 1}:
        assert ledger.bytes_read == len(body)


@settings(max_examples=150)
@given(body=st.binary(max_size=200) | st.text(max_size=60).map(lambda text: text.encode("utf-16", "surrogatepass")))
def test_any_bytes_are_read_as_text_and_the_ledger_balances(
    tmp_path_factory: pytest.TempPathFactory, body: bytes
) -> None:
    file = tmp_path_factory.mktemp("bytes") / "a.txt"
    file.write_bytes(body)
    ledger = Ledger()
    assert accounted(ledger, read_all(file, ledger))


def test_a_field_that_no_first_row_has_names_the_fields_and_the_option(tmp_path: Path) -> None:
    (tmp_path / "en.jsonl").write_text('{"id": 1, "body": "some text"}\n')
    with pytest.raises(DataError) as caught:
        read_all(tmp_path / "en.jsonl")
    assert str(caught.value) == (
        'corpus/build: en.jsonl, line 1: no field "text" (fields: id, body). Name the field with --text-field body.'
    )
    assert (caught.value.file, caught.value.line) == ("en.jsonl", 1)


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


def test_ten_megabyte_line_is_cut_at_white_space_into_documents(tmp_path: Path) -> None:
    (tmp_path / "a.txt").write_bytes(b"ab " * 3_500_000 + b"\n\nlast")
    ledger = Ledger()
    documents = read_all(tmp_path / "a.txt", ledger)
    assert len(documents) == 4 and ledger.documents_split == 2
    assert all(len(each.text) <= cut.MAX_DOCUMENT and each.text.endswith(" ") for each in documents[:-1])
    assert "".join(each.text for each in documents[:-1]) == "ab " * 3_500_000
    assert accounted(ledger, documents)


def test_a_line_without_white_space_is_cut_between_characters(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(cut, "MAX_DOCUMENT", 10)
    (tmp_path / "a.txt").write_text("中文" * 9 + "é" * 9, "utf-8")
    (tmp_path / "a.jsonl").write_text(json.dumps({"id": "x", "text": "中文" * 9 + "é" * 9}))
    for name, ids in (("a.txt", ["a.txt#1", "a.txt#2", "a.txt#3"]), ("a.jsonl", ["x", "x/2", "x/3"])):
        ledger = Ledger()
        documents = read_all(tmp_path / name, ledger)
        assert "".join(each.text for each in documents) == "中文" * 9 + "é" * 9
        assert all(len(each.text.encode()) <= 10 for each in documents)
        assert [each.id for each in documents][:3] == ids and ledger.documents_split == len(documents) - 1
        assert accounted(ledger, documents)


def test_long_text_without_blank_lines_is_cut_at_line_ends(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(cut, "MAX_DOCUMENT", 16)
    (tmp_path / "a.txt").write_bytes(b"one two\n" * 5)
    ledger = Ledger()
    documents = read_all(tmp_path / "a.txt", ledger)
    assert [document.text for document in documents] == ["one two\none two"] * 2 + ["one two"]
    assert ledger.documents_split == 2 and accounted(ledger, documents)


@settings(max_examples=100)
@given(
    lines=st.lists(st.text(alphabet="ab é中\n", max_size=40), max_size=6),
    limit=st.integers(min_value=8, max_value=40),
)
def test_cutting_loses_nothing(tmp_path_factory: pytest.TempPathFactory, lines: list[str], limit: int) -> None:
    file = tmp_path_factory.mktemp("cut") / "a.txt"
    file.write_text("\n".join(lines), "utf-8", newline="")
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(cut, "MAX_DOCUMENT", limit)
        ledger = Ledger()
        documents = read_all(file, ledger)
    assert accounted(ledger, documents)
    assert all(len(each.text.encode()) <= limit for each in documents)
    assert "".join("".join(lines).split()) == "".join("".join(each.text for each in documents).split())


def test_a_row_too_long_to_hold_is_dropped_and_counted(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(opened, "MAX_LINE", 1 << 20)
    long = json.dumps({"text": "a" * (3 << 20)})
    (tmp_path / "a.jsonl").write_text('{"text": "one"}\n' + long + '\n{"text": "two"}\n')
    ledger = Ledger()
    documents = read_all(tmp_path / "a.jsonl", ledger)
    assert [each.text for each in documents] == ["one", "two"]
    assert ledger.documents_dropped == {"a line over 1 MiB": 1}
    assert ledger.bytes_dropped == {"a line over 1 MiB": len(long) + 1} and accounted(ledger, documents)


@pytest.mark.parametrize(
    ("name", "content", "message"),
    [
        ("a.txt", "fine\n\n中文\n".encode() + b"b\xffd\n", "line 4: 1 bytes that are no text"),
        ("a.txt", b"fine\n\none\ntw\0o\n", "line 4: a NUL"),
        ("a.txt", b"fine\n\n" + b"a" * 100, r"line 3: a text of more than"),
        ("a.jsonl", b'{"text": "one"}\n\n{"text": " "}\n', "line 3: an empty document"),
        ("a.jsonl", b'{"text": "one"}\n{"text": "a\\u0000"}\n', "line 2: a NUL"),
        ("a.jsonl", b'{"text": "one"}\n{"text": null}\n', "line 2: no text in the row"),
        (
            "a.jsonl",
            b'{"text": "one"}\n{"body": "b"}\n',
            r'line 2: no field "text" \(fields: body\).*--text-field body',
        ),
        ("a.jsonl", b'{"text": "one"}\n{"text": "' + b"a" * 200 + b'"}\n', "line 2: a line over"),
        ("a.csv", b'id,text\n1,"one\ntwo"\n2\n', "line 4: a row with more or fewer fields"),
    ],
)
def test_strict_refuses_with_file_and_line_what_is_otherwise_counted(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, name: str, content: bytes, message: str
) -> None:
    monkeypatch.setattr(cut, "MAX_DOCUMENT", 64)
    monkeypatch.setattr(opened, "MAX_LINE", 128)
    (tmp_path / name).write_bytes(content)
    ledger = Ledger()
    documents = read_all(tmp_path / name, ledger)
    assert documents[0].text.startswith(("fine", "one")) and accounted(ledger, documents)
    with pytest.raises(DataError, match=message) as caught:
        read_all(tmp_path / name, strict=True)
    assert caught.value.file == name


def test_strict_lets_a_sound_file_pass(tmp_path: Path) -> None:
    (tmp_path / "a.txt").write_text("one\ntwo\n\n\n\nthree\n")
    assert texts(tmp_path / "a.txt", strict=True) == ["one\ntwo", "three"]


def test_memory_does_not_grow_with_the_file(tmp_path: Path) -> None:
    def peak(name: str, content: bytes, times: int) -> int:
        (tmp_path / name).write_bytes(b"".join(content for _ in range(times)))
        source = find_sources(tmp_path / name, ledger := Ledger())[0]
        list(read(source, Ledger()))
        tracemalloc.start()
        count = sum(1 for _ in read(source, ledger))
        _, most = tracemalloc.get_traced_memory()
        tracemalloc.stop()
        assert count >= times
        return most

    for name, content in (
        ("a.txt", (b"one two three " * 90 + b"\n") * 10 + b"\n"),
        ("a.jsonl", b'{"text": "' + b"one " * 3000 + b'"}\n'),
    ):
        assert peak(name, content, 300) < 1.3 * peak(name, content, 100) + 100_000


def test_ledgers_of_files_read_apart_add_up(tmp_path: Path) -> None:
    (tmp_path / "a.txt").write_bytes("caf\u00e9 au lait\n\nd\u00e9j\u00e0\n".encode("cp1252"))
    (tmp_path / "b.jsonl").write_text('{"text": "x"}\n{"text": null}\n')
    whole, parts = Ledger(), Ledger()
    read_all(tmp_path, whole)
    for source in find_sources(tmp_path, parts):
        part = Ledger()
        list(read(source, part))
        parts.add(part)
    assert parts == whole and whole.encodings == {"windows-1252": 1, "utf-8": 1}


def test_the_reader_gives_texts_without_markup_and_counts_it(tmp_path: Path) -> None:
    (tmp_path / "a.html").write_text("<p>one <b>two</b></p>")
    ledger = Ledger()
    reader = Reader(find_sources(tmp_path, ledger), ledger)
    assert list(reader) == [Document("a.html", "one two")]
    assert ledger.bytes_around[MARKUP] == 14 and reader.fraction == 1.0
    assert [each.markup for each in read_all(tmp_path)] == ["html"]


def test_the_share_that_is_read_grows_with_the_file(tmp_path: Path) -> None:
    (tmp_path / "a.txt").write_bytes((b"one two three " * 500 + b"\n\n") * 400)
    ledger = Ledger()
    reader = Reader(find_sources(tmp_path, ledger), ledger)
    shares = [reader.fraction for _ in reader]
    assert shares == sorted(shares) and shares[0] < 0.5 and len(set(shares)) > 3 and reader.fraction == 1.0
