"""Which task a file of rows fits, by the names of its columns and by what is in them.

Named data sets first: all of their columns are there and the labels are theirs.  Otherwise the columns are told by their
content: labels are few or numbers, texts are what is long and differs from row to row.
"""

from __future__ import annotations

import itertools
import math
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from maskwright.errors import DataError, InputError
from maskwright.tasks import DATASETS
from maskwright.tasks.formats import Record, records
from maskwright.tasks.glueset import GlueSet
from maskwright.tasks.header import header_is_data, number_in
from maskwright.tasks.rows import Columns

__all__ = ["Suggestion", "suggest"]

LOOKED_AT = 2_000
"""Rows."""
_LABELS = ("label", "labels", "class", "category", "target", "score", "sentiment", "gold_label", "y")
_NUMBERS = ("id", "idx", "index", "guid", "uid")
_MOST_LABELS = 100


@dataclass(frozen=True)
class Suggestion:
    """A task, and the columns for it."""

    task: str
    columns: Columns
    why: str

    @property
    def options(self) -> str:
        """What to add to a command line."""
        named = [f"--task {self.task}"]
        if self.task not in DATASETS:
            usual = Columns("text", None, "label")
            for option in ("text", "pair", "label"):
                value = getattr(self.columns, option)
                if value is not None and value != getattr(usual, option):
                    named.append(f"--{option} '{value}'" if " " in str(value) else f"--{option} {value}")
        return " ".join(named)


def suggest(path: Path) -> list[Suggestion]:
    """Return the tasks that a file fits, the best first; empty where none does."""
    rows = [row for _, row in itertools.islice(records(path), LOOKED_AT) if not isinstance(row, DataError)]
    if not rows:
        raise InputError(f"{path}: there is no row in it that can be read")
    named = _named(path, rows)
    # Where the folder bears the name of a data set, its rows are not those of another with the same columns.
    named = [each for each in named if _lies_in(path, DATASETS[each.task].load())] or named
    own = None if header_is_data(rows[0]) else _own(rows)
    return named + ([own] if own else [])


def _lies_in(path: Path, files: GlueSet) -> bool:
    return path.resolve().parent.name.lower() in (files.folder.lower(), files.hub)


def _named(path: Path, rows: Sequence[Record]) -> list[Suggestion]:
    found = []
    for entry in DATASETS:
        files: GlueSet = entry.load()
        if files.bins:
            continue
        columns = next((c for c in files.columns if set(c.all) <= set(rows[0])), None)
        if columns is None or columns.label is None:
            # Without a header the first row's fields were taken for names; only the folder's name can tell.
            if files.order and len(rows[0]) == len(files.order) and _lies_in(path, files):
                found.append(
                    Suggestion(entry.name, files.columns[0], f"{len(files.order)} columns, as {files.title} has")
                )
            continue
        labels = {str(row.get(columns.label, "")).strip() for row in rows}
        if _labels_fit(files, labels):
            found.append(Suggestion(entry.name, columns, f"columns and labels are those of {files.title}"))
    return found


def _labels_fit(files: GlueSet, labels: set[str]) -> bool:
    if files.names is not None:
        held = {files.names.get(label) for label in labels - set(files.unlabelled)}
        return held == set(files.labels or ())
    low, high = files.span or (-math.inf, math.inf)
    values = [number_in(label) for label in labels]
    return all(value is not None and low <= value <= high for value in values) and len(labels) > 2


def _own(rows: Sequence[Record]) -> Suggestion | None:
    """Tell label and texts by their names, else by their content."""
    names = [name for name in rows[0] if isinstance(name, str) and name.lower() not in _NUMBERS]
    held = {name: [str(row.get(name, "")).strip() for row in rows] for name in names}
    usual = [name for name in names if name.lower() in _LABELS]
    few = [name for name in names if len(set(held[name])) <= min(_MOST_LABELS, len(rows) // 2) and name not in usual]
    label = next(iter([*usual, *few]), None)
    if label is None:
        return None
    texts = [name for name in names if name != label and _is_text(held[name])]
    if not texts:
        return None
    pair = texts[1] if len(texts) > 1 else None
    values = set(held[label])
    numbers = [number_in(value) for value in values]
    if all(number is not None for number in numbers) and _is_scale(values, len(rows)):
        return Suggestion(
            "regress", Columns(texts[0], pair, label), f"{label!r} holds {len(values):,} different numbers"
        )
    if len(values) > max(2, len(rows) // 2):
        return None
    return Suggestion("classify", Columns(texts[0], pair, label), f"{label!r} holds {len(values):,} different labels")


def _is_scale(values: set[str], rows: int) -> bool:
    """Numbers that are more than names of classes: fractions, or very many."""
    return any("." in value.rstrip("0").rstrip(".") for value in values) or len(values) > max(20, rows // 10)


def _is_text(values: Sequence[str]) -> bool:
    words = sum(len(value.split()) > 1 or len(value) > 12 for value in values)
    return words > 0.5 * len(values) and len(set(values)) > 0.1 * len(values)
