"""Rows as files hold them: .csv, .tsv, .jsonl (plain, .gz or .xz), Parquet, and folders that ``datasets`` has saved.

CSV follows the usual quoting; TSV knows none (a lone quotation mark is text), as GLUE's files need.  A row that cannot be
read is yielded as the error that it is, so that one reader serves both a training, which stops at the first, and
``check-data``, which lists them all.
"""

from __future__ import annotations

import csv
import gzip
import json
import lzma
import re
import zlib
from collections import Counter
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import IO, Any

from maskwright.errors import DataError, InputError, explain_os_error

__all__ = ["ENDINGS", "TWICE", "Record", "ShortRow", "kind_of", "records"]

Record = dict[str | int, Any]
"""Column (a name, or a number from 0 where the file names none) -> value."""

ENDINGS = (".csv", ".tsv", ".txt", ".jsonl", ".parquet", ".arrow")
TWICE = object()
"""Value of a column whose name stands twice in the header."""

_OPENERS = {".gz": gzip.open, ".xz": lzma.open}
_DAMAGE = (EOFError, lzma.LZMAError, gzip.BadGzipFile, zlib.error)
_NOT_UTF8 = re.compile("[\udc80-\udcff]")
_TABLE_ROWS = 1024


class ShortRow(DataError):
    """A row with fewer fields than it has columns: often a line that was broken in two."""


def kind_of(path: Path) -> str:
    """Return the ending that says how a file is read; InputError for one that is not."""
    if path.is_dir() and any(path.glob("*.arrow")):
        return ".arrow"
    kind = Path(path.stem).suffix if path.suffix in _OPENERS else path.suffix
    if kind in ENDINGS:
        return kind
    if not path.exists():
        raise InputError(f"{path}: no such file")
    if path.is_dir():
        raise InputError(f"{path}: a folder where a file of rows was expected; name one of the files in it")
    what = f"not from {kind}" if kind else "and this name has no ending"
    raise InputError(f"{path}: rows are read from .csv, .tsv and .jsonl (also .gz and .xz) and .parquet, {what}")


def records(
    path: Path, *, header: bool = True, order: Sequence[str] = (), wanted: Sequence[str] = ()
) -> Iterator[tuple[int, Record | DataError]]:
    """Yield (line, record or error).  The line counts from 1, of a table without lines the row does.

    header: whether the first line of a CSV or TSV names the columns.  order: names of the columns of a file that may have
    no header; its first line is one where it holds all the names in ``wanted``.  Raises InputError for a missing or
    damaged file.
    """
    kind = kind_of(path)
    try:
        if kind in (".parquet", ".arrow"):
            yield from _table(path, kind)
            return
        # A byte that is not UTF-8 becomes a mark in its own line, so that the lines after it can be read.
        opener: Any = _OPENERS.get(path.suffix, open)
        with opener(path, "rt", encoding="utf-8-sig", errors="surrogateescape", newline="") as file:
            if kind == ".jsonl":
                yield from _jsonl(path, file)
            else:
                yield from _fields(path, kind, file, header, order, wanted)
    except _DAMAGE as error:
        raise InputError(f"{path}: the compressed file is damaged ({error})") from None
    except OSError as error:
        raise explain_os_error(error, "reading") from error


def _bad_text(text: str, path: Path, line: int) -> DataError | None:
    if text.isascii() or not (found := _NOT_UTF8.search(text)):
        return None
    byte = ord(found[0]) - 0xDC00
    return DataError(f"not valid UTF-8 (byte {byte:#04x}); convert the file to UTF-8", file=path, line=line)


def _fields(
    path: Path, kind: str, file: IO[str], header: bool, order: Sequence[str], wanted: Sequence[str]
) -> Iterator[tuple[int, Record | DataError]]:
    """Name the fields of each row; a row of another width is an error."""
    names: Sequence[str] | None = None
    twice: set[str] = set()
    first = True
    for line, found in _csv(path, file) if kind == ".csv" else _tsv(file):
        if isinstance(found, DataError):
            yield line, found
            continue
        begins, first = first, False
        bad = _bad_text("\t".join(found), path, line)
        if begins and header and (not order or set(wanted) <= set(found)):
            if bad:
                raise bad
            names, twice = found, {name for name, count in Counter(found).items() if count > 1}
            continue
        if begins and order:
            names = order
        if bad is None and names is not None:
            bad = _misfit(names, found, path, line, "the header names" if names is not order else "the layout has")
        if bad is not None:
            yield line, bad
        elif names is None:
            yield line, dict(enumerate(found))
        else:
            yield line, {n: TWICE if n in twice else value for n, value in zip(names, found, strict=False)}


def _misfit(names: Sequence[str], fields: Sequence[str], path: Path, line: int, says: str) -> DataError | None:
    if len(fields) < len(names):
        return ShortRow(f"{len(fields)} fields where {says} {len(names)}", file=path, line=line)
    if any(fields[len(names) :]):
        return DataError(
            f"{len(fields)} fields where {says} {len(names)}; is there a tab or comma inside a text?",
            file=path,
            line=line,
        )
    return None


def _csv(path: Path, file: IO[str]) -> Iterator[tuple[int, list[str] | DataError]]:
    reader = csv.reader(file, strict=True)
    try:
        while True:
            line = reader.line_num + 1
            fields = next(reader, None)
            if fields is None:
                return
            if fields:
                yield line, fields
    except csv.Error as error:  # where a quotation ends is not known any more
        yield reader.line_num, DataError(f"not valid CSV: {error}", file=path, line=reader.line_num)


def _tsv(file: IO[str]) -> Iterator[tuple[int, list[str]]]:
    for line, text in enumerate(file, 1):
        if text := text.rstrip("\r\n"):
            yield line, text.split("\t")


def _jsonl(path: Path, file: IO[str]) -> Iterator[tuple[int, Record | DataError]]:
    for line, text in enumerate(file, 1):
        if not text.strip():
            continue
        if bad := _bad_text(text, path, line):
            yield line, bad
            continue
        try:
            row = json.loads(text)
        except (ValueError, RecursionError) as error:
            yield line, DataError(f"not valid JSON ({error})", file=path, line=line)
            continue
        if isinstance(row, dict):
            yield line, row
        else:
            yield line, DataError(f"a {type(row).__name__} where an object was expected", file=path, line=line)


def _table(path: Path, kind: str) -> Iterator[tuple[int, Record]]:
    """Parquet, an Arrow stream, or the folder of one split that ``datasets`` has saved."""
    import pyarrow as pa
    import pyarrow.parquet as pq

    number = 0
    try:
        for part in sorted(path.glob("*.arrow")) if path.is_dir() else [path]:
            batches = pq.ParquetFile(part).iter_batches(_TABLE_ROWS) if kind == ".parquet" else pa.ipc.open_stream(part)
            for batch in batches:
                for row in batch.to_pylist():
                    number += 1
                    yield number, row
    except (pa.ArrowInvalid, pa.ArrowNotImplementedError) as error:
        raise InputError(f"{path}: not a table that can be read ({str(error).splitlines()[0]})") from None
