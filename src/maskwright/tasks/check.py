"""What files of labelled rows hold, measured before anything is trained on them: rows, labels, repeats, lengths.

Every row is read, also behind one that cannot be used.  Two rows are the same where their texts are, but for case and white
space; two pairs also where they stand the other way round.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from maskwright.errors import DataError
from maskwright.tasks.formats import ShortRow
from maskwright.tasks.glueset import GlueSet
from maskwright.tasks.labelsets import names_of, scan_sets
from maskwright.tasks.rows import Columns, Row, Unlabelled, scan_rows
from maskwright.text.tokenizer import Tokenizer

__all__ = ["Checked", "Layout", "Repeat", "Tokens", "check_files", "overlaps", "same_text", "shared_texts"]

_SPACE = re.compile(r"\s+")


@dataclass(frozen=True)
class Layout:
    """How the rows of a file are to be read."""

    columns: Columns
    order: Sequence[str] = ()
    names: Mapping[str, str] | None = None
    unlabelled: Sequence[str] = ()
    cut_rows: bool = False
    values: bool = False
    """Whether labels are numbers."""
    several: bool = False
    """Whether a row may have several labels, or none."""

    @classmethod
    def of(cls, files: GlueSet, path: Path, *, labelled: bool = True) -> Layout:
        """Return how a data set's file is read."""
        return cls(
            files.columns_of(path, labelled),
            files.order,
            files.names if labelled else None,
            files.unlabelled,
            files.cut_rows and labelled,
            files.labels is None,
            files.several,
        )

    def scan(self, path: Path) -> Iterator[Row | DataError]:
        """Yield each row of a file, or why it cannot be used."""
        if self.several:
            return scan_sets(path, self.columns, order=self.order, names=self.names)
        return scan_rows(
            path,
            self.columns,
            order=self.order,
            names=self.names,
            unlabelled=self.unlabelled,
            empty=self.cut_rows,
        )


@dataclass(frozen=True)
class Repeat:
    """A row that stands in the data before."""

    line: int
    file: str
    first_line: int
    first_file: str
    same_label: bool

    def __str__(self) -> str:
        where = f"line {self.first_line:,}"
        where += "" if self.first_file == self.file else f" of {Path(self.first_file).name}"
        what = "the same as" if self.same_label else "labelled otherwise than"
        return f"{self.file}, line {self.line:,}: {what} {where}"


@dataclass(frozen=True)
class Tokens:
    """How a tokenizer sees rows; lengths count the special pieces."""

    lengths: NDArray[np.int64]
    """(rows,)."""
    unknown: NDArray[np.int64] | None
    """(rows,): [UNK] in each; None for a tokenizer that has no such piece."""

    @property
    def unknown_share(self) -> float | None:
        """Of all pieces of text."""
        if self.unknown is None:
            return None
        return float(self.unknown.sum() / max(1, self.lengths.sum()))


@dataclass(frozen=True)
class Checked:
    """What was found in one split."""

    split: str
    files: tuple[str, ...]
    rows: tuple[Row, ...]
    """Those that can be used."""
    places: tuple[str, ...]
    """File of each."""
    problems: tuple[DataError, ...]
    """Rows that cannot be used."""
    left_out: tuple[DataError, ...]
    """Rows that this data set's files are known to hold and that no reader takes."""
    repeats: tuple[Repeat, ...]
    tokens: Tokens | None = None
    labels: Mapping[str, int] = field(default_factory=dict)
    """Label -> how often, the most frequent first; empty where there are none or they are values."""
    values: NDArray[np.float64] | None = None
    """(rows,), where labels are numbers."""

    @property
    def paired(self) -> bool:
        """Whether rows are pairs of texts."""
        return bool(self.rows) and len(self.rows[0].texts) == 2


def check_files(
    split: str, paths: Sequence[Path], layouts: Sequence[Layout], tokenizer: Tokenizer | None = None
) -> Checked:
    """Read the files of one split, whole, and measure them; InputError for a file that cannot be read at all."""
    rows: list[Row] = []
    places: list[str] = []
    problems: list[DataError] = []
    left_out: list[DataError] = []
    for path, layout in zip(paths, layouts, strict=True):
        before = len(rows), len(problems)
        for each in layout.scan(path):
            if isinstance(each, Row):
                if layout.values and (problem := _no_number(each, path)):
                    problems.append(problem)
                    continue
                rows.append(each)
                places.append(str(path))
            elif isinstance(each, Unlabelled) or (layout.cut_rows and isinstance(each, ShortRow)):
                left_out.append(each)
            else:
                problems.append(each)
        if len(rows) == before[0] and len(problems) > before[1]:
            raise problems[before[1]]  # a wrong column, most likely: the same of every row
    labelled = bool(rows) and rows[0].label is not None
    valued = labelled and layouts[0].values
    counts: Counter[str] = Counter()
    for row in rows if labelled and not valued else ():
        counts.update(names_of(str(row.label)) if layouts[0].several else [str(row.label)])
    return Checked(
        split,
        tuple(map(str, paths)),
        tuple(rows),
        tuple(places),
        tuple(problems),
        tuple(left_out),
        _repeats(rows, places),
        None if tokenizer is None else _tokens(tokenizer, rows),
        dict(counts.most_common()),
        np.array([float(str(row.label)) for row in rows]) if valued else None,
    )


def _no_number(row: Row, path: Path) -> DataError | None:
    try:
        if row.label is None or np.isfinite(float(row.label)):
            return None
    except ValueError:
        pass
    return DataError(f"the label {row.label!r} is not a number", file=path, line=row.line)


def same_text(text: str) -> str:
    """Return a text as it is compared: without case, each white space one space."""
    return _SPACE.sub(" ", text).strip().casefold()


def _key(row: Row) -> tuple[str, ...]:
    """Two rows of one key hold the same."""
    return tuple(sorted(map(same_text, row.texts)))


def _repeats(rows: Sequence[Row], places: Sequence[str]) -> tuple[Repeat, ...]:
    first: dict[tuple[str, ...], tuple[Row, str]] = {}
    found = []
    for row, place in zip(rows, places, strict=True):
        before, where = first.setdefault(_key(row), (row, place))
        if before is not row:
            found.append(Repeat(row.line, place, before.line, where, row.label == before.label))
    return tuple(found)


def overlaps(train: Checked, other: Checked) -> tuple[Repeat, ...]:
    """Return the rows of another split that the training rows hold too."""
    known: dict[tuple[str, ...], tuple[Row, str]] = {}
    for row, place in zip(train.rows, train.places, strict=True):
        known.setdefault(_key(row), (row, place))
    found = []
    for row, place in zip(other.rows, other.places, strict=True):
        if (hit := known.get(_key(row))) is not None:
            same = row.label is None or row.label == hit[0].label
            found.append(Repeat(row.line, place, hit[0].line, hit[1], same))
    return tuple(found)


def shared_texts(train: Checked, other: Checked) -> int:
    """Return how many pairs of another split have a text that stands in a training pair."""
    known = {same_text(text) for row in train.rows for text in row.texts}
    return sum(any(same_text(text) in known for text in row.texts) for row in other.rows) if other.paired else 0


def _tokens(tokenizer: Tokenizer, rows: Sequence[Row]) -> Tokens:
    unknown_id = tokenizer.roles.get("unk")
    texts = max((len(row.texts) for row in rows), default=1)
    frame = tokenizer.frame.single if texts == 1 else tokenizer.frame.pair
    special = sum(place.id is not None for place in frame)
    lengths, unknown = np.full(len(rows), special, np.int64), np.zeros(len(rows), np.int64)
    for column in range(texts):
        for at, ids in enumerate(_encoded(tokenizer, (row.texts[column] for row in rows))):
            lengths[at] += len(ids)
            unknown[at] += 0 if unknown_id is None else ids.count(unknown_id)
    return Tokens(lengths, None if unknown_id is None else unknown)


def _encoded(tokenizer: Tokenizer, texts: Iterable[str]) -> Iterable[list[int]]:
    """Some thousands at a time: the ids of a large file need not be in memory together."""
    held: list[str] = []
    for text in texts:
        held.append(text)
        if len(held) == 4096:
            yield from tokenizer.encode_batch(held)
            held = []
    yield from tokenizer.encode_batch(held)
