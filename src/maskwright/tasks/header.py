"""What a file calls its columns: whether its first line names them at all, and what to say where a name is not there."""

from __future__ import annotations

import math
import re
from collections.abc import Mapping
from pathlib import Path

from maskwright.errors import did_you_mean
from maskwright.tasks.formats import kind_of

__all__ = ["header_is_data", "no_column", "number_in"]

_SHOWN, _LONG = 12, 40
"""Columns that are shown, and characters of each."""
_SENTENCE = re.compile("[，。！？；]|[.!?] | .*[.!]$")


def no_column(row: Mapping[str | int, object], column: str | int, path: Path, option: str = "") -> str:
    """Return what to say of a column that a row has not: what is there, and what to do.

    option: of the command line, which names the column; none where a data set does.
    """
    names = [name if len(name) <= _LONG else f"{name[:_LONG]}…" for name in map(str, row)]
    there = ", ".join(names[:_SHOWN]) + (" …" if len(names) > _SHOWN else "")
    if kind_of(path) in (".csv", ".tsv", ".txt") and header_is_data(row):
        return f"no column {column!r}: the first line must name the columns, and it reads {there}. Put a line of names above it"
    said = f"no column {column!r} (columns: {there}).{did_you_mean(str(column), map(str, row))}"
    return f"{said} Name the right one with --{option}" if option else said


def header_is_data(row: Mapping[str | int, object]) -> bool:
    """Whether what stands in the place of the column names looks like a row: a number or a sentence among them."""
    return any(number_in(name) is not None or _is_sentence(name) for name in row if isinstance(name, str))


def number_in(text: str) -> float | None:
    """Return the number that a field holds; None where it holds none, or one that is not finite."""
    try:
        value = float(text)
    except ValueError:
        return None
    return value if math.isfinite(value) else None


def _is_sentence(text: str) -> bool:
    return len(text.split()) > 5 or len(text) > _LONG or _SENTENCE.search(text) is not None
