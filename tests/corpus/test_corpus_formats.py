import csv
import gzip
import io
import tracemalloc
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet
import pytest
from hypothesis import given
from hypothesis import strategies as st
from reading import accounted, read_all, texts

from maskwright.corpus.ledger import Ledger
from maskwright.corpus.read import read
from maskwright.corpus.readers import opened
from maskwright.corpus.sources import find_sources
from maskwright.errors import DataError


def test_csv_fields_may_hold_commas_quotes_and_lines(tmp_path: Path) -> None:
    (tmp_path / "a.csv").write_bytes(
        b'\xef\xbb\xbfid,text,n\r\nx,"one, ""two""\r\nthree",1\r\n\r\n7,plain,2\r\n,,3\r\nonly one\r\n9,last,4'
    )
    ledger = Ledger()
    documents = read_all(tmp_path / "a.csv", ledger)
    assert [(each.id, each.text) for each in documents] == [
        ("x", 'one, "two"\r\nthree'), ("7", "plain"), ("", ""), ("9", "last"),
    ]  # fmt: skip
    assert ledger.documents_dropped == {"a row with more or fewer fields than the header": 1}
    assert accounted(ledger, documents) and ledger.bytes_read == (tmp_path / "a.csv").stat().st_size


def test_tsv_fields_stand_as_they_are(tmp_path: Path) -> None:
    (tmp_path / "a.tsv").write_bytes(b'n\tbody\n1\t"an open quote\n\n2\tb"c\xff \xe4\xb8\xad\xe6\x96\x87\n')
    ledger = Ledger()
    documents = read_all(tmp_path / "a.tsv", ledger, text_field="body")
    assert [(each.id, each.text) for each in documents] == [
        ("a.tsv#2", '"an open quote'),
        ("a.tsv#4", 'b"c\ufffd 中文'),
    ]
    assert documents[1].bad_bytes == 1 and accounted(ledger, documents)


@given(rows=st.lists(st.tuples(st.text(max_size=20), st.text(max_size=20)), max_size=8))
def test_what_python_writes_as_csv_is_read_back(
    tmp_path_factory: pytest.TempPathFactory, rows: list[tuple[str, str]]
) -> None:
    rows = [(name.replace("\ud800", ""), text) for name, text in rows]
    content = io.StringIO(newline="")
    csv.writer(content, quoting=csv.QUOTE_ALL).writerows([("other", "text"), *rows])
    try:
        body = content.getvalue().encode()
    except UnicodeEncodeError:
        return
    file = tmp_path_factory.mktemp("csv") / "a.csv"
    file.write_bytes(body)
    ledger = Ledger()
    documents = read_all(file, ledger)
    assert [each.text for each in documents] == [text for _, text in rows]
    assert accounted(ledger, documents)


@pytest.mark.parametrize(
    ("name", "content", "message"),
    [
        ("a.csv", "", "line 1: no header"),
        ("a.tsv", "\n", "line 1: no header"),
        ("a.csv", "id,body\n1,a\n", r'line 1: no field "text" \(fields: id, body\)'),
        ("a.csv", "text,text\n1,a\n", 'line 1: more than one column "text"'),
        ("a.csv", 'text\nfine\n"never closed\nmore\n', r"line 4: not a table \(unexpected end of data\)"),
        ("a.csv", 'text\n"a"b\n', "line 2: not a table"),
        ("a.csv", "text\n" + "a" * 3000, "line 2: longer than"),
        ("a.html", "<p>" + "a" * 3000, "a page of more than"),
        ("a.md", "a" * 3000, "a page of more than"),
    ],
)
def test_a_table_or_page_that_cannot_be_used_is_named(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, name: str, content: str, message: str
) -> None:
    monkeypatch.setattr(opened, "MAX_LINE", 2000)
    (tmp_path / name).write_text(content)
    with pytest.raises(DataError, match=rf"corpus/build: {name}.*{message}"):
        read_all(tmp_path / name)


COLUMNS = {
    "string": pa.array(["one", None, "中", ""], pa.string()),
    "large_string": pa.array(["one", None, "中", ""], pa.large_string()),
    "dictionary": pa.array(["one", None, "中", ""]).dictionary_encode(),
}


@pytest.mark.parametrize("kind", COLUMNS)
@pytest.mark.parametrize("suffix", [".parquet", ".arrow", ".parquet.gz"])
def test_the_text_column_of_a_table_is_read(tmp_path: Path, kind: str, suffix: str) -> None:
    table = pa.table({"n": [1.5, 2, 3, 4], "text": COLUMNS[kind], "id": ["a", "b", None, "d"]})
    file = tmp_path / f"a{suffix}"
    write(file, table)
    ledger = Ledger()
    documents = read_all(file, ledger)
    assert [(each.id, each.text) for each in documents] == [("a", "one"), (f"a{suffix}#3", "中"), ("d", "")]
    assert ledger.bytes_read == 6 and ledger.documents_dropped == {"no text in the row": 1}
    assert ledger.encodings == {} and accounted(ledger, documents)


def write(file: Path, table: Any) -> None:
    content = io.BytesIO()
    if ".arrow" in file.suffixes:
        with pa.ipc.new_stream(content, table.schema) as writer:
            writer.write_table(table, max_chunksize=3)
    else:
        pa.parquet.write_table(table, content, row_group_size=3)
    body = content.getvalue()
    file.write_bytes(gzip.compress(body) if file.suffix == ".gz" else body)


@pytest.mark.parametrize("suffix", [".parquet", ".arrow"])
def test_a_table_that_cannot_be_used_is_named(tmp_path: Path, suffix: str) -> None:
    file = tmp_path / f"a{suffix}"
    write(file, pa.table({"n": [1], "body": ["x"], "raw": [b"x"]}))
    with pytest.raises(
        DataError, match=r'no field "text" \(fields: n, body, raw\)\. Name the field with --text-field body'
    ):
        read_all(file)
    for column, kind in (("n", "int64"), ("raw", "binary")):
        with pytest.raises(DataError, match=f'the column "{column}" holds {kind}, not text'):
            read_all(file, text_field=column)
    body = file.read_bytes()
    for size in (0, 3, len(body) // 2, len(body) - 4):
        file.write_bytes(body[:size])
        with pytest.raises(DataError, match=rf"a\{suffix}: damaged or cut off"):
            read_all(file, text_field="body")


def test_bytes_in_a_table_that_are_no_utf8_are_counted(tmp_path: Path) -> None:
    offsets = pa.py_buffer(b"".join(n.to_bytes(4, "little") for n in (0, 4)))
    column = pa.StringArray.from_buffers(1, offsets, pa.py_buffer(b"a\xffbc"))
    for suffix in (".parquet", ".arrow"):
        write(tmp_path / f"a{suffix}", pa.table({"text": column}))
        ledger = Ledger()
        (document,) = read_all(tmp_path / f"a{suffix}", ledger)
        assert (document.text, document.bad_bytes) == ("a\ufffdbc", 1) and accounted(ledger, [document])


def test_memory_does_not_grow_with_a_table_or_a_dump(tmp_path: Path) -> None:
    def peak(name: str, rows: int) -> int:
        file = tmp_path / name
        if name == "a.xml":
            page = PAGE.format("T", "0", "word " * 1000)
            file.write_text("<mediawiki>" + page * rows + "</mediawiki>")
        elif name == "a.csv":
            file.write_text("text\n" + ("word " * 1000 + "\n") * rows)
        else:
            pa.parquet.write_table(pa.table({"text": [f"{n * 7919} " * 700 for n in range(rows)]}), file)
        source = find_sources(file, Ledger())[0]
        before = pa.total_allocated_bytes()
        tracemalloc.start()
        most = 0
        for number, _ in enumerate(read(source, Ledger())):
            if number % 64 == 0:
                most = max(most, pa.total_allocated_bytes() - before)
        most += tracemalloc.get_traced_memory()[1]
        tracemalloc.stop()
        return most

    for name, rows in (("a.xml", 600), ("a.csv", 600), ("a.parquet", 3000)):
        peak(name, rows // 2)
        assert peak(name, 3 * rows) < 1.3 * peak(name, rows) + 300_000, name


PAGE = (
    "<page><title>{0}</title><ns>{1}</ns><id>5</id><revision><id>9</id><contributor><id>3</id></contributor>"
    '<model>wikitext</model><text bytes="9" xml:space="preserve">{2}</text></revision></page>\n'
)
SITE = "<siteinfo><namespaces><namespace key='0'/><namespace key='1'>Talk</namespace></namespaces></siteinfo>\n"


def dump(*pages: str) -> bytes:
    return ("<mediawiki xml:lang='en'>\n" + SITE + "".join(pages) + "</mediawiki>\n").encode()


def test_articles_of_a_wikipedia_dump_are_documents(tmp_path: Path) -> None:
    redirect = PAGE.format("R &amp; D", "0", "#REDIRECT [[B]]").replace(
        "<revision>", "<redirect title='B'/><revision>", 1
    )
    content = dump(
        PAGE.format("A &lt;1&gt;", "0", "'''A''' &amp;amp; &lt;ref>x&lt;/ref> 中"), PAGE.format("Talk:A", "1", "talk"), redirect,
        PAGE.format("J", "0", "{}").replace("wikitext", "json"), PAGE.format("B", "0", ""),
    )  # fmt: skip
    (tmp_path / "enwiki-pages-articles.xml").write_bytes(content)
    ledger = Ledger()
    documents = read_all(tmp_path, ledger)
    assert [(each.id, each.text, each.markup) for each in documents] == [
        ("A <1>", "'''A''' &amp; <ref>x</ref> 中", "wiki"), ("B", "", "wiki"),
    ]  # fmt: skip
    assert ledger.documents_dropped == {
        "a page that is no article": 1, "a redirect": 1, "a page that is not wikitext": 1,
    }  # fmt: skip
    assert ledger.bytes_read == len(content) and accounted(ledger, documents)


def test_the_last_revision_of_a_page_is_taken(tmp_path: Path) -> None:
    page = PAGE.format("A", "0", "old").replace("</page>", "<revision><id>10</id><text>new</text></revision></page>")
    (tmp_path / "a.xml").write_bytes(dump(page))
    assert texts(tmp_path) == ["new"]


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"<html><page></page></html>", r"line 1: its root is <html>, not <mediawiki>"),
        (b'<!DOCTYPE x [<!ENTITY a "b">]>\n<mediawiki>&a;</mediawiki>', "line 1: a document type declaration"),
        (b'<!DOCTYPE x SYSTEM "file:///etc/passwd">\n<mediawiki/>', "line 1: a document type declaration"),
        (b"<mediawiki>\n&unknown;</mediawiki>", r"line 2: damaged or cut off \(undefined entity"),
        (dump(PAGE.format("A", "0", "text"))[:-20], r"line \d: damaged or cut off \(no element found|unclosed"),
        (b"", "damaged or cut off"),
        (dump(PAGE.format("A", "0", "a" * 3000)), "line 3: a page of more than"),
        (dump(PAGE.format("A", "0", "中文 X")).replace(b"X", b"\xff"), "line 3: damaged or cut off .not well-formed"),
    ],
)
def test_xml_that_is_no_sound_dump_is_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, content: bytes, message: str
) -> None:
    monkeypatch.setattr(opened, "MAX_LINE", 2000)
    (tmp_path / "a.xml").write_bytes(content)
    with pytest.raises(DataError, match=rf"a\.xml, {message}|a\.xml.*{message}"):
        read_all(tmp_path)


def test_a_page_is_one_document_with_its_markup(tmp_path: Path) -> None:
    for name, markup in (("a.html", "html"), ("b.htm", "html"), ("c.md", "markdown")):
        (tmp_path / name).write_bytes("<p>中</p>\n\n\n\n# x".encode() + b"\xff")
        ledger = Ledger()
        (document,) = read_all(tmp_path / name, ledger)
        assert (document.id, document.markup, document.bad_bytes) == (name, markup, 1)
        assert document.text == "<p>中</p>\n\n\n\n# x\ufffd" and accounted(ledger, [document])
