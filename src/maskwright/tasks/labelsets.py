"""Rows with any number of labels each, as files write them: separated in one column, a list, or one column a label.

Whatever the file, ``Rows.labels`` then holds the names of each row with commas between them, in the file's order; a row
without a label holds an empty text.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from maskwright.errors import DataError, InputError, did_you_mean
from maskwright.tasks.formats import TWICE, Record, records
from maskwright.tasks.rows import Columns, Row, Rows, text_of

__all__ = ["names_of", "read_sets", "scan_sets", "set_matrix"]

_GIVEN = {"1": True, "1.0": True, "true": True, "0": False, "0.0": False, "false": False, "": False}
"""What a column of one label may hold."""


def read_sets(
    path: str | Path,
    columns: Columns,
    *,
    separator: str = ",",
    order: Sequence[str] = (),
    names: Mapping[str, str] | None = None,
) -> Rows:
    """Read a whole file; see ``scan_sets``.

    Raises InputError for a file without rows, DataError (file, line) for the first row that cannot be used.
    """
    path = Path(path)
    rows: list[Row] = []
    for each in scan_sets(path, columns, separator=separator, order=order, names=names):
        if isinstance(each, DataError):
            raise each
        rows.append(each)
    if not rows:
        raise InputError(f"{path}: there are no rows in it")
    labels = tuple(row.label for row in rows if row.label is not None)
    return Rows(
        tuple(row.texts for row in rows),
        None if columns.label is None else labels,
        tuple(row.line for row in rows),
        str(path),
    )


def scan_sets(
    path: Path,
    columns: Columns,
    *,
    separator: str = ",",
    order: Sequence[str] = (),
    names: Mapping[str, str] | None = None,
) -> Iterator[Row | DataError]:
    """Yield each row of a file, or the DataError (file, line) that says why it cannot be used.

    columns.label: a column that holds each row's names with ``separator`` between them (in .jsonl and .parquet also a list),
    or, where the file has no column of that name, several columns with commas between them, each 1 or 0.  order: see
    ``formats.records``.  names: label in the file -> label name.
    """
    wanted = [str(column) for column in columns.all]
    for line, record in records(path, order=order, wanted=wanted):
        if isinstance(record, DataError):
            yield record
            continue
        try:
            yield _row(record, columns, separator, names, path, line)
        except DataError as error:
            yield error


def _row(
    record: Record, columns: Columns, separator: str, names: Mapping[str, str] | None, path: Path, line: int
) -> Row:
    wanted = (columns.text,) if columns.pair is None else (columns.text, columns.pair)
    texts = tuple(text_of(record, column, path, line, option=columns.option(column)) for column in wanted)
    if columns.label is None:
        return Row(texts, None, line)
    found = _found(record, columns.label, separator, path, line, columns.option(columns.label))
    return Row(texts, ",".join(_checked(found, names, path, line)), line)


def _found(
    row: Mapping[str | int, Any], column: str | int, separator: str, path: Path, line: int, option: str
) -> list[str]:
    """The names that a row has, as the file spells them."""
    if column in row:
        value = row[column]
        if isinstance(value, list) and all(type(name) in (str, int) for name in value):
            return [str(name) for name in value]
        if value == "":
            return []
        return [name.strip() for name in text_of(row, column, path, line).split(separator)]
    several = [name.strip() for name in str(column).split(",")]
    if len(several) == 1:
        text_of(row, column, path, line, option=option)  # says that there is no such column
    return [name for name in several if _given(row, name, path, line, option)]


def _given(row: Mapping[str | int, Any], name: str, path: Path, line: int, option: str) -> bool:
    if name not in row or row[name] is TWICE:
        text_of(row, name, path, line, option=option)  # says so
    value = str(row[name]).strip().lower()
    if value not in _GIVEN:
        raise DataError(f"column {name!r} holds {row[name]!r} where 1 or 0 was expected", file=path, line=line)
    return _GIVEN[value]


def _checked(found: Sequence[str], names: Mapping[str, str] | None, path: Path, line: int) -> list[str]:
    for name in found:
        if not name.strip():
            raise DataError("an empty name among the labels; is there a separator too many?", file=path, line=line)
        if names is not None and name not in names:
            raise DataError(f"unknown label {name!r}. Known: {', '.join(names)}", file=path, line=line)
        if names is None and "," in name:
            raise DataError(f"the label {name!r} has a comma in it, which separates labels", file=path, line=line)
    if len(set(found)) < len(found):
        twice = next(name for at, name in enumerate(found) if name in found[:at])
        raise DataError(f"the label {twice!r} stands there twice", file=path, line=line)
    return [names[name] for name in found] if names else [name.strip() for name in found]


def names_of(label: str) -> list[str]:
    """Return the names of one row's label."""
    return label.split(",") if label else []


def set_matrix(rows: Rows, names: Sequence[str]) -> NDArray[np.float64]:
    """Return (rows, C): 1 where a row has the label, else 0; DataError names the first unknown one with its line."""
    assert rows.labels is not None
    places = {name: place for place, name in enumerate(names)}
    matrix = np.zeros((len(rows), len(names)))
    for at, (label, line) in enumerate(zip(rows.labels, rows.lines, strict=True)):
        for name in names_of(label):
            if name not in places:
                known = ", ".join(map(repr, names[:12])) + (" …" if len(names) > 12 else "")
                said = f"unknown label {name!r}.{did_you_mean(name, names)} Known: {known}"
                raise DataError(said, file=rows.file, line=line)
            matrix[at, places[name]] = 1
    return matrix
