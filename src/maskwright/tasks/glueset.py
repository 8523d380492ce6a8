"""A data set of GLUE's kind: where its rows, columns and labels are, in every form in which its files go about.

The forms: GLUE's own .tsv files; the same data as .parquet, .jsonl or a folder that ``datasets`` has saved, under the hub's
names for splits and columns.  A split is looked for in the folder given and in the data set's folder below it.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path

from maskwright.errors import DataError, InputError, did_you_mean
from maskwright.tasks.base import Task
from maskwright.tasks.bins import Bins
from maskwright.tasks.classify import Classification
from maskwright.tasks.formats import records
from maskwright.tasks.regress import Regression
from maskwright.tasks.rows import Columns, Rows, read_rows

__all__ = ["SPLITS", "GlueSet"]

SPLITS: Mapping[str, tuple[str, ...]] = {"train": ("train",), "dev": ("dev", "validation"), "test": ("test",)}
"""Split -> what its files are called, GLUE's name first and the hub's behind it."""

_ENDINGS = (".tsv", ".tsv.xz", ".tsv.gz", ".txt", ".txt.xz", ".jsonl", ".jsonl.xz", ".jsonl.gz", ".parquet")


@dataclass(frozen=True, kw_only=True)
class GlueSet:
    """One data set."""

    title: str
    """As GLUE writes it."""
    folder: str
    """Of GLUE's archive."""
    hub: str
    """Name of its configuration on the hub, which is also that of its folder there."""
    columns: tuple[Columns, ...]
    """The names that its columns go by: GLUE's, the hub's, others'; the first that a file has are meant."""
    labels: tuple[str, ...] | None
    """Label names in the order of the classes, which is the hub's; None where labels are values."""
    metric: str
    order: tuple[str, ...] = ()
    """Columns of files without a header."""
    splits: Mapping[str, tuple[str, ...]] = field(default_factory=lambda: SPLITS)
    sizes: Mapping[str, int] = field(default_factory=dict)
    """Rows of each split as published with GLUE."""
    noted: Mapping[str, int] = field(default_factory=dict)
    """Rows that field notes on GLUE give for a split, where they differ from ``sizes``."""
    unlabelled: tuple[str, ...] = ("-1",)
    """Labels of rows that have none: the hub's for test sets, ``-`` where annotators did not agree."""
    cut_rows: bool = False
    """Whether the published files hold rows that were cut in two: these are left out, as by everyone."""
    span: tuple[float, float] | None = None
    """Least and greatest value, where labels are values."""
    answers: Mapping[str, str] = field(default_factory=dict)
    """Split -> its file in a submission archive."""
    as_numbers: bool = False
    """Whether a submission holds class numbers instead of label names."""
    open_test: bool = False
    """Whether the test set is published with its labels."""
    several: bool = False
    """Whether a row may have several labels, or none."""
    bins: int = 0
    """Classes into which values are cut, for a regression learnt as a classification."""

    def task(self) -> Task:
        """Return the task that these files are for."""
        if self.labels is not None:
            return Classification(self.labels, self.metric)
        if self.bins:
            assert self.span is not None
            return Bins.equal(*self.span, self.bins, self.metric)
        return Regression(self.metric)

    @property
    def names(self) -> dict[str, str] | None:
        """Label in a file (a name, or the hub's class number) -> label name."""
        if self.labels is None:
            return None
        return {name: name for name in self.labels} | {str(at): name for at, name in enumerate(self.labels)}

    def rows(self, where: Path, split: str) -> Rows:
        """Read a split, without labels where it has none (see ``labelled``).

        where: its folder, or the folder of all of GLUE's.  InputError where there is no such split, DataError (file, line)
        for a row that cannot be used.
        """
        if (found := self.find(where, split)) is None:
            hint = "" if split in self.splits else did_you_mean(split, self.splits)
            said = " or ".join(f"{stem}.tsv" for stem in self._stems(split)[:1])
            raise InputError(
                f"{where}: no {said} there, nor in {self.folder}/ below it (.xz, .gz, .jsonl, .parquet and folders of the "
                f"datasets library are read too).{hint}"
            )
        parts = [self.read(path, labelled=self.labelled(split)) for path in found]
        return parts[0] if len(parts) == 1 else _joined(parts)

    def read(self, path: Path, *, labelled: bool = True) -> Rows:
        """Read one file, whatever its form."""
        return read_rows(
            path,
            self.columns_of(path, labelled),
            order=self.order,
            names=self.names if labelled else None,
            unlabelled=self.unlabelled,
            cut_rows=self.cut_rows and labelled,
        )

    def labelled(self, split: str) -> bool:
        """Whether a split is published with labels."""
        return self.open_test or not split.startswith("test")

    def columns_of(self, path: Path, labelled: bool = True) -> Columns:
        """Return the names by which a file has the columns; GLUE's where it has no header or none of them fits."""
        choices = [replace(c, label=c.label if labelled else None, options=()) for c in self.columns]
        # The first line as a header: where it is none, its fields are nobody's columns.
        read = (record for _, record in records(path) if not isinstance(record, DataError))
        there = set(next(read, {}))
        return next((c for c in choices if set(c.all) <= there), choices[0])

    def find(self, where: Path, split: str) -> tuple[Path, ...] | None:
        """Return the files of a split, or None where there is none."""
        for folder in (where, where / self.folder, where / self.hub):
            for stem in self._stems(split):
                if found := _files(folder, stem):
                    return found
        return None

    def _stems(self, split: str) -> tuple[str, ...]:
        return self.splits.get(split, (split,))


def _files(folder: Path, stem: str) -> tuple[Path, ...]:
    """Files of one split in one folder: by its name, in numbered parts, or as a folder of Arrow files."""
    for ending in _ENDINGS:
        if (path := folder / f"{stem}{ending}").is_file():
            return (path,)
    if any((folder / stem).glob("*.arrow")):
        return (folder / stem,)
    if parts := sorted(folder.glob(f"{stem}-?????-of-?????.parquet")):
        return tuple(parts)
    # A part of a split under a name that says so, such as train_part_23497.tsv.
    return tuple(sorted(path for ending in _ENDINGS for path in folder.glob(f"{stem}_part_*{ending}")))[:1]


def _joined(parts: list[Rows]) -> Rows:
    labels = [part.labels for part in parts]
    return Rows(
        tuple(texts for part in parts for texts in part.texts),
        None if labels[0] is None else tuple(label for each in labels for label in each or ()),
        tuple(line for part in parts for line in part.lines),
        f"{parts[0].file} … {parts[-1].file}",
        tuple(error for part in parts for error in part.left_out),
    )
