"""Labelled rows from .csv, .tsv and .jsonl files, plain or .gz or .xz, by the names of their columns.

CSV follows the usual quoting; TSV knows none (a lone quotation mark is text), as GLUE's files need.  Every refusal names
the file and the line.
"""

from __future__ import annotations

import csv
import gzip
import json
import lzma
import math
import zlib
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Any

from maskwright.errors import DataError, InputError, did_you_mean, explain_os_error

__all__ = ["Columns", "Rows", "label_numbers", "read_rows", "records", "text_of"]

_OPENERS = {".gz": gzip.open, ".xz": lzma.open}


@dataclass(frozen=True)
class Columns:
    """Which columns hold what: names, or numbers from 0 for files without a header."""

    text: str | int
    pair: str | int | None = None
    label: str | int | None = None


@dataclass(frozen=True)
class Rows:
    """What a file holds, row by row."""

    texts: tuple[tuple[str, ...], ...]
    """One text or two."""
    labels: tuple[str, ...] | None
    """As they stand in the file; None where no label column was asked for."""
    lines: tuple[int, ...]
    """Line of each row in the file, from 1."""
    file: str

    def __len__(self) -> int:
        return len(self.texts)

    def numbers(self) -> list[float]:
        """Read the labels as numbers; DataError names the first that is none."""
        assert self.labels is not None
        values = []
        for label, line in zip(self.labels, self.lines, strict=True):
            try:
                value = float(label)
            except ValueError:
                value = math.nan
            if not math.isfinite(value):
                raise DataError(f"the label {label!r} is not a number", file=self.file, line=line)
            values.append(value)
        return values


def label_numbers(rows: Rows, names: Sequence[str]) -> list[int]:
    """Return each label's place in ``names``; DataError names the first unknown one with its line."""
    assert rows.labels is not None
    places = {name: place for place, name in enumerate(names)}
    for label, line in zip(rows.labels, rows.lines, strict=True):
        if label not in places:
            known = ", ".join(map(repr, names[:12])) + (" …" if len(names) > 12 else "")
            raise DataError(
                f"unknown label {label!r}.{did_you_mean(label, names)} Known: {known}", file=rows.file, line=line
            )
    return [places[label] for label in rows.labels]


def read_rows(
    path: str | Path,
    columns: Columns,
    *,
    header: bool = True,
    names: Mapping[str, str] | None = None,
) -> Rows:
    """Read a whole file of rows.

    header: whether the first line of a CSV or TSV names the columns.  names: file label -> label name; a label that is not
    in it is a DataError.  Raises InputError for a missing or empty file or an unknown suffix, DataError (file, line) for a
    missing column, an empty text or label, bad UTF-8, or a row with too few fields.
    """
    path = Path(path)
    texts, labels, lines = [], [], []
    for line, row in records(path, header=header):
        wanted = (columns.text,) if columns.pair is None else (columns.text, columns.pair)
        texts.append(tuple(text_of(row, column, path, line) for column in wanted))
        if columns.label is not None:
            label = text_of(row, columns.label, path, line)
            if names is not None and label not in names:
                raise DataError(f"unknown label {label!r}. Known: {', '.join(names)}", file=path, line=line)
            labels.append(names[label] if names else label)
        lines.append(line)
    if not texts:
        raise InputError(f"{path}: there are no rows in it")
    return Rows(tuple(texts), tuple(labels) if columns.label is not None else None, tuple(lines), str(path))


def records(path: Path, *, header: bool = True) -> Iterator[tuple[int, Mapping[str | int, Any]]]:
    """Yield (line, fields by column) of each row, whatever the file's form; raises what ``read_rows`` does of whole files."""
    kind = Path(path.stem).suffix if path.suffix in _OPENERS else path.suffix
    readers = {".csv": _csv, ".tsv": _tsv, ".txt": _tsv, ".jsonl": _jsonl}
    if kind not in readers:
        if not path.exists():
            raise InputError(f"{path}: no such file")
        what = f"not from {kind}" if kind else "and this name has no ending"
        raise InputError(f"{path}: rows are read from .csv, .tsv and .jsonl (also .gz and .xz), {what}")
    try:
        with _OPENERS.get(path.suffix, open)(path, "rt", encoding="utf-8-sig", newline="") as file:  # type: ignore[operator]
            yield from readers[kind](path, file, header)
    except UnicodeDecodeError as error:
        raise DataError(
            f"not valid UTF-8 (byte {error.object[error.start]:#04x}); convert the file to UTF-8",
            file=path,
            line=_bad_line(path),
        ) from None
    except (EOFError, lzma.LZMAError, gzip.BadGzipFile, zlib.error) as error:
        raise InputError(f"{path}: the compressed file is damaged ({error})") from None
    except OSError as error:
        raise explain_os_error(error, "reading") from error


def _bad_line(path: Path) -> int:
    """The first line that is not UTF-8."""
    with _OPENERS.get(path.suffix, open)(path, "rb") as file:  # type: ignore[operator]
        for number, line in enumerate(file, 1):
            try:
                line.decode("utf-8")
            except UnicodeDecodeError:
                return number
    raise AssertionError("only called for a file with a bad line")


def text_of(row: Mapping[str | int, Any], column: str | int, path: Path, line: int) -> str:
    """Return what a row has in a column; DataError where there is no such column, no text or an empty one."""
    if column not in row:
        there = ", ".join(str(name) for name in row)
        raise DataError(
            f"no column {column!r} (columns: {there}).{did_you_mean(str(column), map(str, row))}", file=path, line=line
        )
    value = row[column]
    if isinstance(value, bool) or not isinstance(value, str | int | float):
        raise DataError(f"column {column!r} holds {value!r} where a text was expected", file=path, line=line)
    text = value if isinstance(value, str) else str(value)
    if not text.strip():
        raise DataError(f"column {column!r} is empty", file=path, line=line)
    return text.strip()


def _csv(path: Path, file: IO[str], header: bool) -> Iterator[tuple[int, dict[str | int, Any]]]:
    reader = csv.reader(file, strict=True)
    try:
        names: list[str] | None = next(reader, None) if header else None
        while True:
            line = reader.line_num + 1
            fields = next(reader, None)
            if fields is None:
                return
            if fields:
                yield line, _named(names, fields, path, line)
    except csv.Error as error:
        raise DataError(f"not valid CSV: {error}", file=path, line=reader.line_num) from None


def _tsv(path: Path, file: IO[str], header: bool) -> Iterator[tuple[int, dict[str | int, Any]]]:
    names: list[str] | None = None
    for line, text in enumerate(file, 1):
        fields = text.rstrip("\r\n").split("\t")
        if line == 1 and header:
            names = fields
        elif fields != [""]:
            yield line, _named(names, fields, path, line)


def _named(names: list[str] | None, fields: list[str], path: Path, line: int) -> dict[str | int, Any]:
    if names is None:
        return dict(enumerate(fields))
    if len(fields) < len(names):
        raise DataError(f"{len(fields)} fields where the header names {len(names)}", file=path, line=line)
    return dict(zip(names, fields, strict=False))


def _jsonl(path: Path, file: IO[str], header: bool) -> Iterator[tuple[int, dict[str | int, Any]]]:
    for line, text in enumerate(file, 1):
        if not text.strip():
            continue
        try:
            row = json.loads(text)
        except (ValueError, RecursionError) as error:
            raise DataError(f"not valid JSON ({error})", file=path, line=line) from None
        if not isinstance(row, dict):
            raise DataError(f"a {type(row).__name__} where an object was expected", file=path, line=line)
        yield line, row
