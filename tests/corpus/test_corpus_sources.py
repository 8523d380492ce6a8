import bz2
import gzip
import io
import json
import lzma
import stat
import struct
import zipfile
from collections.abc import Callable
from pathlib import Path

import fsspec
import pyarrow as pa
import pyarrow.parquet
import pytest
from reading import accounted, read_all, texts

from maskwright.corpus import sources, streams
from maskwright.corpus.ledger import Ledger
from maskwright.corpus.sources import find_sources
from maskwright.errors import DataError, InputError


def zstd(content: bytes) -> bytes:
    return bytes(pa.compress(content, codec="zstd", asbytes=True))


COMPRESS = {".gz": gzip.compress, ".xz": lzma.compress, ".zst": zstd, ".bz2": bz2.compress}
BODY = b"one\n\ntwo\n"


@pytest.mark.parametrize(("suffix", "compress"), COMPRESS.items())
def test_compressed_files_read_the_same(tmp_path: Path, suffix: str, compress: Callable[[bytes], bytes]) -> None:
    assert suffix in streams.COMPRESSIONS
    (tmp_path / f"a.txt{suffix}").write_bytes(compress(BODY))
    (tmp_path / f"b.txt{suffix}").write_bytes(compress(BODY) + compress(BODY))
    ledger = Ledger()
    documents = read_all(tmp_path, ledger)
    assert [document.text for document in documents] == ["one", "two", "one", "two\none", "two"]
    assert ledger.bytes_read == 3 * len(BODY) and accounted(ledger, documents)
    assert ledger.bytes_on_disk == sum(path.stat().st_size for path in tmp_path.iterdir())


@pytest.mark.parametrize(("suffix", "compress"), COMPRESS.items())
@pytest.mark.parametrize("name", ["a.txt", "a.jsonl", "a.csv", "a.md", "a.html", "a.xml", "a.arrow", "a.parquet"])
def test_a_file_that_is_cut_off_anywhere_is_named(
    tmp_path: Path, name: str, suffix: str, compress: Callable[[bytes], bytes]
) -> None:
    lines = {"a.jsonl": '{{"text": "{0}"}}\n', "a.csv": "text,n\n", "a.xml": "<mediawiki><!-- {0} -->\n"}
    body = "".join(
        lines.get(name, "{0} some text\n").format(number * 7919 % 10_007) for number in range(20_000)
    ).encode()
    whole = compress(body)
    file = tmp_path / f"{name}{suffix}"
    for size in (0, 5, len(whole) // 3, len(whole) - 9, len(whole) - 1):
        file.write_bytes(whole[:size])
        with pytest.raises(DataError, match=rf"{name}\{suffix}(, line [\d,]+)?: damaged or cut off") as caught:
            read_all(file)
        assert caught.value.file == file.name
    file.write_bytes(b"junk" * 20)
    with pytest.raises(DataError, match="damaged or cut off"):
        read_all(file)


def test_folders_are_read_in_order_and_other_files_counted(tmp_path: Path) -> None:
    for name in ("b.txt", "a/z.jsonl", "a/b.txt", "c.pdf", "d.png", ".hidden.txt", ".git/x.txt", "README", "E.TXT"):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).write_text('{"text": "x"}')
    (tmp_path / "link.txt").symlink_to(tmp_path / "b.txt")
    ledger = Ledger()
    documents = read_all(tmp_path, ledger)
    assert [document.id for document in documents] == ["E.TXT#1", "a/b.txt#1", "a/z.jsonl#1", "b.txt#1", "link.txt#1"]
    assert ledger.files == 5 and ledger.files_skipped == {
        "the suffix .pdf": 1, "the suffix .png": 1, "the suffix no suffix": 1, "a hidden name": 2,
    }  # fmt: skip
    assert [document.id for document in read_all(f"{tmp_path}/**/b.txt")] == ["b.txt#1", "b.txt#1"]


def test_unknown_file_is_refused_where_it_was_named(tmp_path: Path) -> None:
    (tmp_path / "a.pdf").write_bytes(b"")
    with pytest.raises(InputError, match=r"a\.pdf has the suffix \.pdf"):
        read_all(tmp_path / "a.pdf")
    with pytest.raises(InputError, match=r"Skipped: 1 with the suffix \.pdf"):
        read_all(tmp_path)
    with pytest.raises(InputError, match="no file, folder or match"):
        read_all(tmp_path / "none.txt")


def test_urls_are_read_through_fsspec_like_folders_files_and_patterns(tmp_path: Path) -> None:
    memory = fsspec.filesystem("memory")
    memory.pipe("/texts/b.txt", b"b")
    memory.pipe("/texts/a/c.txt.gz", gzip.compress(b"c"))
    memory.pipe("/texts/a/d.pdf", b"")
    ledger = Ledger()
    try:
        assert [(each.id, each.text) for each in read_all("memory://texts", ledger)] == [
            ("a/c.txt.gz#1", "c"), ("b.txt#1", "b"),
        ]  # fmt: skip
        assert ledger.files_skipped == {"the suffix .pdf": 1}
        assert texts("memory://texts/b.txt") == ["b"] == texts("memory://texts/*.txt")
        with pytest.raises(InputError, match=r"no file, folder or match for memory://texts/\*\.csv"):
            read_all("memory://texts/*.csv")
        (source,) = find_sources("memory://texts/b.txt", Ledger())
        with source.open() as stream:
            assert stream.read() == b"b"
    finally:
        memory.rm("/texts", recursive=True)
    (tmp_path / "a.txt").write_text("x")
    assert texts(f"file://{tmp_path}") == ["x"] == texts([f"file://{tmp_path}/a.txt"])
    with pytest.raises(InputError, match=r"nope://x cannot be opened \(ValueError: Protocol not known"):
        read_all("nope://x")


def test_a_remote_store_that_fails_is_an_error_with_the_url(monkeypatch: pytest.MonkeyPatch) -> None:
    memory = fsspec.filesystem("memory")
    memory.pipe("/fail/b.txt", b"b")
    (source,) = find_sources("memory://fail", Ledger())

    def refuse(*_: object, **__: object) -> None:
        raise RuntimeError("no credentials")

    monkeypatch.setattr(type(memory), "_open", refuse)
    with pytest.raises(InputError, match=r"memory://.*fail/b\.txt cannot be opened \(RuntimeError: no credentials\)"):
        source.open()
    memory.rm("/fail", recursive=True)


def save_dataset(folder: Path, shards: list[list[str | None]]) -> None:
    folder.mkdir(parents=True)
    names = [f"data-{number:05d}-of-{len(shards):05d}.arrow" for number in range(len(shards))]
    for name, rows in zip(names, shards, strict=True):
        table = pa.table({"label": list(range(len(rows))), "text": pa.array(rows, pa.string())})
        with pa.ipc.new_stream(str(folder / name), table.schema) as writer:
            writer.write_table(table, max_chunksize=2)
    (folder / "state.json").write_text(json.dumps({"_data_files": [{"filename": name} for name in names]}))
    (folder / "dataset_info.json").write_text("{}")


def test_a_folder_saved_by_datasets_is_the_files_of_its_state(tmp_path: Path) -> None:
    save_dataset(tmp_path / "set", [["one", None, "three"], ["four"]])
    (tmp_path / "set" / "cache-1234.arrow").write_bytes(b"not to be read")
    (tmp_path / "b.txt").write_text("b")
    ledger = Ledger()
    documents = read_all(tmp_path / "set", ledger)
    assert [each.text for each in documents] == ["one", "three", "four"]
    assert ledger.documents_dropped == {"no text in the row": 1} and accounted(ledger, documents)
    assert documents[1].id == "data-00000-of-00002.arrow#3"
    assert texts(tmp_path) == ["b", "one", "three", "four"]
    (tmp_path / "set" / "data-00001-of-00002.arrow").unlink()
    with pytest.raises(DataError, match=r"state\.json: it lists data-00001-of-00002\.arrow, which is not there"):
        read_all(tmp_path / "set")
    (tmp_path / "set" / "state.json").write_text("{")
    with pytest.raises(DataError, match=r"state\.json: not JSON"):
        read_all(tmp_path / "set")


def test_several_splits_are_refused_with_their_names(tmp_path: Path) -> None:
    save_dataset(tmp_path / "train", [["one"]])
    (tmp_path / "dataset_dict.json").write_text('{"splits": ["train", "test"]}')
    with pytest.raises(InputError, match=r"several splits \(train, test\).*Name the folder of that split"):
        read_all(tmp_path)
    assert texts(tmp_path / "train") == ["one"]


def test_what_datasets_really_saves_is_read(tmp_path: Path) -> None:
    library = pytest.importorskip("datasets")
    rows = [f"document {number}" for number in range(2500)]
    library.Dataset.from_dict({"text": rows, "n": list(range(2500))}).save_to_disk(tmp_path / "set", num_shards=2)
    assert texts(tmp_path / "set") == rows
    library.DatasetDict({"a": library.Dataset.from_dict({"text": ["x"]})}).save_to_disk(tmp_path / "dict")
    with pytest.raises(InputError, match=r"several splits \(a\)"):
        read_all(tmp_path / "dict")


def zipped(path: Path, members: dict[str, bytes], compression: int = zipfile.ZIP_DEFLATED) -> Path:
    with zipfile.ZipFile(path, "w", compression) as archive:
        for name, content in members.items():
            archive.writestr(name, content)
    return path


def test_members_of_a_zip_are_read_like_files(tmp_path: Path) -> None:
    parquet = io.BytesIO()
    pa.parquet.write_table(pa.table({"text": ["in parquet"]}), parquet)
    file = zipped(
        tmp_path / "a.zip",
        {
            "b.txt": BODY, "folder/c.jsonl.gz": gzip.compress(b'{"text": "three"}'), "d.pdf": b"", "__MACOSX/._b.txt": b"x",
            "inner.zip": b"", "empty/": b"", "e.parquet": parquet.getvalue(),
        },
    )  # fmt: skip
    ledger = Ledger()
    documents = read_all(file, ledger)
    assert [(each.id, each.text) for each in documents] == [
        ("a.zip/b.txt#1", "one"), ("a.zip/b.txt#2", "two"), ("a.zip/folder/c.jsonl.gz#1", "three"),
        ("a.zip/e.parquet#1", "in parquet"),
    ]  # fmt: skip
    assert ledger.files_skipped == {"the suffix .pdf": 1, "a hidden name": 1, "the suffix .zip": 1}
    assert accounted(ledger, documents)


def test_a_zip_that_hides_something_is_refused_by_name(tmp_path: Path) -> None:
    for name in ("../x.txt", "/etc/x.txt", "a/../../x.txt", "..\\x.txt"):
        with pytest.raises(DataError, match=r"a\.zip: its member .* points outside of the archive"):
            read_all(zipped(tmp_path / "a.zip", {"b.txt": b"fine", name: b"x"}))
    link = zipfile.ZipInfo("link.txt")
    link.external_attr = (stat.S_IFLNK | 0o777) << 16
    with zipfile.ZipFile(tmp_path / "a.zip", "w") as archive:
        archive.writestr(link, "/etc/passwd")
    with pytest.raises(DataError, match=r"a\.zip: its member link\.txt is a link"):
        read_all(tmp_path / "a.zip")
    content = bytearray(zipped(tmp_path / "a.zip", {"b.txt": b"fine"}).read_bytes())
    place = content.rindex(b"PK\x01\x02") + 8
    struct.pack_into("<H", content, place, 1)
    (tmp_path / "a.zip").write_bytes(content)
    with pytest.raises(DataError, match=r"a\.zip: its member b\.txt is encrypted"):
        read_all(tmp_path / "a.zip")


def test_a_damaged_zip_is_named(tmp_path: Path) -> None:
    content = bytearray(zipped(tmp_path / "a.zip", {"b.txt": BODY * 100}, zipfile.ZIP_STORED).read_bytes())
    (tmp_path / "a.zip").write_bytes(content[:-30])
    with pytest.raises(DataError, match=r"a\.zip: damaged or cut off"):
        read_all(tmp_path / "a.zip")
    content[200] ^= 1
    (tmp_path / "a.zip").write_bytes(content)
    with pytest.raises(DataError, match=r"a\.zip/b\.txt: damaged or cut off \(Bad CRC-32"):
        read_all(tmp_path / "a.zip")


@pytest.mark.parametrize("name", ["a.zip", "a.txt.xz"])
def test_a_file_made_to_fill_the_disk_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, name: str) -> None:
    monkeypatch.setattr(streams, "RATIO_FROM", 1 << 20)
    bomb = b"x" * (8 << 20)
    if name == "a.zip":
        zipped(tmp_path / name, {"b.txt": bomb}, zipfile.ZIP_LZMA)
    else:
        (tmp_path / name).write_bytes(lzma.compress(bomb))
    with pytest.raises(DataError, match=rf"{name}.*grow more than 1,000 times"):
        read_all(tmp_path / name)


def test_a_file_that_cannot_be_opened_is_an_input_error(tmp_path: Path) -> None:
    (tmp_path / "a.txt").write_text("x")
    (source,) = find_sources(tmp_path / "a.txt", Ledger())
    (tmp_path / "a.txt").unlink()
    with pytest.raises(InputError, match="There is no such file"):
        source.open()


def test_every_format_has_its_reader() -> None:
    from maskwright.corpus.readers import PARSERS

    assert {*PARSERS, ".zip"} == set(sources.FORMATS)
