"""Labelled rows: texts or pairs of texts, by the names of their columns.  Every refusal names the file and the line."""

from __future__ import annotations

import hashlib
import json
import math
from collections.abc import Container, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from maskwright.errors import DataError, InputError, did_you_mean
from maskwright.tasks.formats import TWICE, Record, ShortRow, records
from maskwright.tasks.header import no_column

__all__ = ["Columns", "Row", "Rows", "Unlabelled", "label_numbers", "read_rows", "scan_rows", "text_of"]


@dataclass(frozen=True)
class Columns:
    """Which columns hold what: names, or numbers from 0 for files without a header."""

    text: str | int
    pair: str | int | None = None
    label: str | int | None = None
    options: tuple[str, ...] = ("text", "pair", "label")
    """Options that name them, in this order; none where they are a data set's own."""

    @property
    def all(self) -> tuple[str | int, ...]:
        """The columns that are read."""
        return tuple(column for column in (self.text, self.pair, self.label) if column is not None)

    def option(self, column: str | int | None) -> str:
        """Return the option that names a column; empty where none does."""
        named = zip((self.text, self.pair, self.label), self.options, strict=False)
        return next((option for one, option in named if one == column), "")


@dataclass(frozen=True)
class Row:
    """One row of a file."""

    texts: tuple[str, ...]
    """One text or two."""
    label: str | None
    line: int
    """In the file, from 1."""


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
    left_out: tuple[DataError, ...] = ()
    """Rows that were not taken, where the data set says that some cannot be."""

    def __len__(self) -> int:
        return len(self.texts)

    @property
    def fingerprint(self) -> str:
        """SHA-256 of texts and labels, wherever they came from."""
        content = json.dumps([self.texts, self.labels], ensure_ascii=False)
        return hashlib.sha256(content.encode("utf-8", "surrogatepass")).hexdigest()

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

    def pick(self, numbers: Sequence[int]) -> Rows:
        """Return some of the rows, by their places from 0."""
        return Rows(
            tuple(self.texts[n] for n in numbers),
            None if self.labels is None else tuple(self.labels[n] for n in numbers),
            tuple(self.lines[n] for n in numbers),
            self.file,
        )


def label_numbers(rows: Rows, names: Sequence[str]) -> list[int]:
    """Return each label's place in ``names``; DataError names the first unknown one with its line."""
    assert rows.labels is not None
    places = {name: place for place, name in enumerate(names)}
    for label, line in zip(rows.labels, rows.lines, strict=True):
        if label not in places:
            raise _unknown(label, names, rows.file, line)
    return [places[label] for label in rows.labels]


def _unknown(label: str, names: Sequence[str], file: str | Path, line: int) -> DataError:
    known = ", ".join(map(repr, names[:12])) + (" …" if len(names) > 12 else "")
    return DataError(f"unknown label {label!r}.{did_you_mean(label, names)} Known: {known}", file=file, line=line)


def read_rows(
    path: str | Path,
    columns: Columns,
    *,
    header: bool = True,
    order: Sequence[str] = (),
    names: Mapping[str, str] | None = None,
    unlabelled: Container[str] = (),
    cut_rows: bool = False,
) -> Rows:
    """Read a whole file of rows.

    cut_rows: whether rows with too few fields are left out, and an empty text is one.  The rest as ``scan_rows``.
    Raises InputError for a missing or empty file or an unknown ending, DataError (file, line) for the first row that
    cannot be used.
    """
    path = Path(path)
    rows: list[Row] = []
    left_out: list[DataError] = []
    found = scan_rows(path, columns, header=header, order=order, names=names, unlabelled=unlabelled, empty=cut_rows)
    for each in found:
        if isinstance(each, Row):
            rows.append(each)
        elif isinstance(each, Unlabelled) or (cut_rows and isinstance(each, ShortRow)):
            left_out.append(each)
        else:
            raise each
    if not rows:
        raise InputError(f"{path}: there are no rows in it" + (" that can be used" if left_out else ""))
    labels = tuple(row.label for row in rows if row.label is not None)
    return Rows(
        tuple(row.texts for row in rows),
        None if columns.label is None else labels,
        tuple(row.line for row in rows),
        str(path),
        tuple(left_out),
    )


class Unlabelled(DataError):
    """A row that its authors could not label."""


def scan_rows(
    path: Path,
    columns: Columns,
    *,
    header: bool = True,
    order: Sequence[str] = (),
    names: Mapping[str, str] | None = None,
    unlabelled: Container[str] = (),
    empty: bool = False,
) -> Iterator[Row | DataError]:
    """Yield each row of a file, or the DataError (file, line) that says why it cannot be used.

    header, order: see ``formats.records``.  names: label in the file -> label name; another label is an error.
    unlabelled: labels that stand for none.  empty: whether an empty text is a text.  A row cannot be used where a column
    is missing, a text or a label is empty or is no text, bytes are not UTF-8, or fields are too few or too many.
    """
    wanted = [str(column) for column in columns.all]
    for line, record in records(path, header=header, order=order, wanted=wanted):
        if isinstance(record, DataError):
            yield record
            continue
        try:
            yield _row(record, columns, path, line, names, unlabelled, empty)
        except DataError as error:
            yield error


def _row(
    record: Record,
    columns: Columns,
    path: Path,
    line: int,
    names: Mapping[str, str] | None,
    unlabelled: Container[str],
    empty: bool,
) -> Row:
    wanted = (columns.text,) if columns.pair is None else (columns.text, columns.pair)
    texts = tuple(text_of(record, column, path, line, empty, option=columns.option(column)) for column in wanted)
    if columns.label is None:
        return Row(texts, None, line)
    label = text_of(record, columns.label, path, line, option=columns.option(columns.label))
    if label in unlabelled:
        raise Unlabelled(f"the label {label!r} stands for none", file=path, line=line)
    if names is not None and label not in names:
        raise _unknown(label, tuple(names), path, line)
    return Row(texts, names[label] if names else label, line)


def text_of(
    record: Mapping[str | int, Any], column: str | int, path: Path, line: int, empty: bool = False, *, option: str = ""
) -> str:
    """Return what a row has in a column; DataError for no such column, no text or, unless ``empty``, an empty one.

    option: of the command line, with which the column is named.
    """
    if column not in record:
        raise DataError(no_column(record, column, path, option), file=path, line=line)
    value = record[column]
    if value is TWICE:
        raise DataError(f"the header names two columns {column!r}; rename one", file=path, line=line)
    if isinstance(value, bool) or not isinstance(value, str | int | float):
        raise DataError(f"column {column!r} holds {value!r} where a text was expected", file=path, line=line)
    text = (value if isinstance(value, str) else str(value)).strip()
    if not text and not empty:
        raise DataError(f"column {column!r} is empty", file=path, line=line)
    return text
