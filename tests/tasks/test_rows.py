"""Files of labelled rows: read as they are meant, refused with file and line."""

import gzip
import lzma
from collections.abc import Callable
from pathlib import Path

import pytest

from maskwright.errors import DataError, InputError
from maskwright.tasks.glue import MRPC, SST2, STSB
from maskwright.tasks.rows import Columns, Rows, label_numbers, read_rows

LABELLED = Columns("text", None, "label")


def write(folder: Path, name: str, content: str | bytes) -> Path:
    path = folder / name
    path.write_bytes(content.encode() if isinstance(content, str) else content)
    return path


ROWS = (("good film", "pos"), ('a "quoted, tricky" one', "neg"), ("Ünïcode", "pos"))
TSV = "label\ttext\n" + "".join(f"{label}\t{text}\n" for text, label in ROWS)
CSV = 'text,label\ngood film,pos\n"a ""quoted, tricky"" one",neg\nÜnïcode,pos\n'
JSONL = '{"text": "good film", "label": "pos"}\n\n{"text": "a \\"quoted, tricky\\" one", "label": "neg", "x": [1]}\n{"label": "pos", "text": "Ünïcode"}\n'


@pytest.mark.parametrize("pack", [lambda x: x, gzip.compress, lzma.compress], ids=["plain", "gz", "xz"])
@pytest.mark.parametrize(("name", "content"), [("a.tsv", TSV), ("a.csv", CSV), ("a.jsonl", JSONL)])
def test_every_format_gives_the_same_rows(tmp_path: Path, pack: Callable, name: str, content: str) -> None:
    ending = {gzip.compress: ".gz", lzma.compress: ".xz"}.get(pack, "")
    rows = read_rows(write(tmp_path, name + ending, pack(content.encode())), LABELLED)
    assert rows.texts == tuple((text,) for text, _ in ROWS)
    assert rows.labels == tuple(label for _, label in ROWS)
    assert rows.lines == ((1, 3, 4) if name == "a.jsonl" else (2, 3, 4))


def test_line_ends_of_windows_and_a_byte_order_mark_are_no_content(tmp_path: Path) -> None:
    for name, content in (("a.tsv", TSV), ("b.csv", CSV)):
        path = write(tmp_path, name, b"\xef\xbb\xbf" + content.replace("\n", "\r\n").encode())
        assert read_rows(path, LABELLED).texts == tuple((text,) for text, _ in ROWS)


def test_a_file_without_a_header_is_read_by_column_numbers(tmp_path: Path) -> None:
    rows = read_rows(write(tmp_path, "a.tsv", "x\tone\ny\ttwo\n"), Columns(1, 0, None), header=False)
    assert rows.texts == (("one", "x"), ("two", "y")) and rows.labels is None


def test_numbers_in_jsonl_are_labels_too(tmp_path: Path) -> None:
    rows = read_rows(write(tmp_path, "a.jsonl", '{"text": "a", "label": 2.5}\n{"text": "b", "label": 3}\n'), LABELLED)
    assert rows.numbers() == [2.5, 3.0]


@pytest.mark.parametrize(
    ("name", "content", "line", "said"),
    [
        ("a.tsv", "label\ttxet\npos\tgood\n", 2, r"no column 'text' \(columns: label, txet\)\. Did you mean 'txet'\? Name the right one with --text$"),
        ("a.csv", "label,text\npos\n", 2, "1 fields where the header names 2"),
        ("a.tsv", "label\ttext\npos\tgood\nneg\n", 3, "1 fields where the header names 2"),
        ("a.tsv", "label\ttext\npos\t  \n", 2, "column 'text' is empty"),
        ("a.csv", 'label,text\npos,good\nneg,"bad\n\n\n', None, "not valid CSV"),
        ("a.csv", 'label,text\npos,"goo"d\n', 2, "not valid CSV"),
        ("a.tsv", b"label\ttext\npos\tgood\nneg\tb\xe4d\n", 3, r"not valid UTF-8 \(byte 0xe4\); convert"),
        ("a.csv", b"label,text\npos,good\nneg,b\xe4d\n", 3, r"not valid UTF-8 \(byte 0xe4\)"),
        ("a.jsonl", b'{"text": "a", "label": "b"}\n{"text": "b\xff", "label": "b"}\n', 2, r"not valid UTF-8 \(byte 0xff\)"),
        ("a.jsonl", '{"text": "a", "label": "b"}\n{"text": \n', 2, "not valid JSON"),
        ("a.jsonl", "[" * 100_000, 1, "not valid JSON"),
        ("a.jsonl", '["a", "b"]\n', 1, "a list where an object was expected"),
        ("a.jsonl", '{"text": ["a"], "label": "b"}\n', 1, r"column 'text' holds \['a'\] where a text was expected"),
        ("a.jsonl", '{"text": null, "label": "b"}\n', 1, "column 'text' holds None"),
        ("a.jsonl", '{"text": "a", "label": true}\n', 1, "column 'label' holds True"),
        ("a.jsonl", '{"text": "a"}\n', 1, r"no column 'label' \(columns: text\)\. Name the right one with --label$"),
        ("a.jsonl", '{"3": "a", "label": "b"}\n', 1, r"no column 'text' \(columns: 3, label\)"),
    ],
)  # fmt: skip
def test_a_row_that_cannot_be_used_is_refused_with_file_and_line(
    tmp_path: Path, name: str, content: str | bytes, line: int | None, said: str
) -> None:
    path = write(tmp_path, name, content)
    with pytest.raises(DataError, match=said) as error:
        read_rows(path, LABELLED)
    assert error.value.file == path
    assert line is None or error.value.line == line
    assert str(error.value).startswith(f"{path}, line ")


@pytest.mark.parametrize(
    ("name", "content", "said"),
    [
        ("a.tsv", "", "there are no rows in it"),
        ("a.csv", "text,label\n", "there are no rows in it"),
        ("a.jsonl", "\n\n", "there are no rows in it"),
        ("a.xlsx", "x", r"rows are read from \.csv, \.tsv and \.jsonl"),
        ("a.tsv.gz", gzip.compress(TSV.encode())[:-9], "the compressed file is damaged"),
        ("a.tsv.gz", TSV, "the compressed file is damaged"),
        ("a.tsv.gz", gzip.compress(TSV.encode())[:12] + b"\xff\xff" + gzip.compress(TSV.encode())[14:], "the compressed file is damaged"),
        ("a.tsv.xz", lzma.compress(TSV.encode())[:-9], "the compressed file is damaged"),
        ("a.tsv.xz", TSV, "the compressed file is damaged"),
    ],
)  # fmt: skip
def test_a_file_that_cannot_be_used_is_refused_by_name(
    tmp_path: Path, name: str, content: str | bytes, said: str
) -> None:
    path = write(tmp_path, name, content)
    with pytest.raises(InputError, match=said) as error:
        read_rows(path, LABELLED)
    assert name in str(error.value)


def test_a_missing_file_and_a_folder_are_refused(tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"nothing\.tsv: There is no such file"):
        read_rows(tmp_path / "nothing.tsv", LABELLED)
    (tmp_path / "folder.tsv").mkdir()
    with pytest.raises(InputError, match="That is a folder where a file was expected"):
        read_rows(tmp_path / "folder.tsv", LABELLED)


def test_an_unknown_label_is_refused_with_its_line_and_a_suggestion() -> None:
    rows = Rows((("a",), ("b",)), ("positive", "negativ"), (2, 7), "train.tsv")
    with pytest.raises(DataError, match=r"train\.tsv, line 7: unknown label 'negativ'\. Did you mean 'negative'\?"):
        label_numbers(rows, ("positive", "negative"))
    assert label_numbers(rows, ("negativ", "positive")) == [1, 0]


@pytest.mark.parametrize("label", ["nan", "inf", "-Infinity", "four"])
def test_a_value_that_is_no_number_is_refused_with_its_line(label: str) -> None:
    with pytest.raises(DataError, match=rf"sts\.tsv, line 9: the label '{label}' is not a number"):
        Rows((("a",), ("b",)), ("1.5", label), (8, 9), "sts.tsv").numbers()


@pytest.mark.parametrize(
    ("files", "train", "dev", "share"),
    [(MRPC, 3668, 408, ("equivalent", 2474)), (SST2, 67349, 872, ("positive", 37569)), (STSB, 5749, 1500, None)],
    ids=["MRPC", "SST-2", "STS-B"],
)
def test_glue_s_files_hold_the_published_numbers_of_rows(
    shared: Path, files: object, train: int, dev: int, share: tuple[str, int] | None
) -> None:
    glue = shared / "data" / "glue"
    rows = files.rows(glue, "train")  # type: ignore[attr-defined]
    assert (len(rows), len(files.rows(glue, "dev"))) == (train, dev)  # type: ignore[attr-defined]
    assert {len(row) for row in rows.texts} == ({1} if files is SST2 else {2})
    assert files.rows(glue / files.folder, "dev").texts == files.rows(glue, "dev").texts  # type: ignore[attr-defined]
    if share is not None:
        assert rows.labels.count(share[0]) == share[1]
    else:
        assert min(rows.numbers()) >= 0 and max(rows.numbers()) == 5


@pytest.mark.parametrize(
    ("name", "content", "reads"),
    [
        ("a.csv", "a warm and funny little film,pos\nbad,neg\n", "a warm and funny little film, pos"),
        ("a.csv", "A warm film.,pos\nBad.,neg\n", "A warm film., pos"),
        ("a.tsv", "1\tgood\n0\tbad\n", "1, good"),
        ("a.tsv", "正面\t房间很大，也很干净\n负面\t很吵\n", "正面, 房间很大，也很干净"),
        ("a.tsv", f"{'x' * 90}\tpos\nbad\tneg\n", f"{'x' * 40}…, pos"),
    ],
)
def test_of_a_file_without_names_of_columns_its_first_line_is_shown(
    tmp_path: Path, name: str, content: str, reads: str
) -> None:
    with pytest.raises(DataError) as error:
        read_rows(write(tmp_path, name, content), LABELLED)
    said = "no column 'text': the first line must name the columns, and it reads "
    assert str(error.value).endswith(f"{said}{reads}. Put a line of names above it")


def test_the_option_is_the_one_that_names_the_column(tmp_path: Path) -> None:
    path = write(tmp_path, "a.tsv", "label\ttext\npos\tgood\n")
    for columns, option in (
        (Columns("text", "other"), "--pair"),
        (Columns("text", None, "gold"), "--label"),
        (Columns("other", options=("candidate",)), "--candidate"),
    ):
        with pytest.raises(DataError, match=rf"no column .* \(columns: label, text\)\..* with {option}$"):
            read_rows(path, columns)
    with pytest.raises(DataError, match=r"no column 'sentence' \(columns: label, text\)\.$"):
        SST2.read(path)  # its columns are known: no option names them
    many = write(tmp_path, "b.tsv", "\t".join(f"c{n}" for n in range(50)) + "\n" + "x\t" * 49 + "x\n")
    with pytest.raises(DataError, match=r"c10, c11 …\)"):
        read_rows(many, LABELLED)


def test_glue_s_files_that_are_not_there_are_named(tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"no train\.tsv there, nor in MRPC/ below it"):
        MRPC.rows(tmp_path, "train")
    with pytest.raises(InputError, match=r"no tst\.tsv there.* Did you mean 'test'\?"):
        MRPC.rows(tmp_path, "tst")
    with pytest.raises(InputError, match=r"a folder where a file of rows was expected; name one of the files in it"):
        read_rows(tmp_path, Columns("text"))
