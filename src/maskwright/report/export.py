"""A log's numbers as a table: a row for each step and each evaluation, a column for each field.

``run``, ``kind`` (step or eval), ``step`` and ``time`` (seconds since 1970, UTC) come first; ``parts.mlm`` is the field ``mlm``
of ``parts``.  What a record lacks is empty; NaN and infinities stay what they are.
"""

from __future__ import annotations

import csv
import json
import math
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any

from maskwright.report.files import drafted
from maskwright.report.records import lines_of

__all__ = ["SUFFIXES", "Column", "Row", "columns_of", "rows_of", "write_csv", "write_jsonl"]

SUFFIXES = (".csv", ".jsonl", ".parquet")
Column = type[bool] | type[int] | type[float] | type[str]
Row = dict[str, Any]
_FIRST: dict[str, Column] = {"run": str, "kind": str, "step": int, "time": float}


def rows_of(logs: Mapping[str, Path]) -> Iterator[Row]:
    """Yield the rows of runs, given as name → log; one line of a log is held at a time.  Errors as ``read_log``."""
    for name, log in logs.items():
        for _, record in lines_of(log):
            if record["kind"] in ("step", "eval"):
                yield {"run": name, **_flat(record)}


def columns_of(rows: Iterable[Row]) -> dict[str, Column]:
    """Return the columns that rows have, and what each holds; a column of several kinds holds text."""
    columns = dict(_FIRST)
    for row in rows:
        for name, value in row.items():
            found = type(value)
            held = columns.setdefault(name, found)
            if held is not found:
                columns[name] = float if {held, found} == {int, float} else str
    return columns


def write_csv(path: Path, columns: Mapping[str, Column], rows: Iterable[Row]) -> None:
    """Write a table with a head line, as UTF-8; NaN, inf and -inf are words that pandas and R read as numbers."""
    with drafted(path) as draft, draft.open("w", encoding="utf-8", newline="") as file:
        table = csv.DictWriter(file, list(columns), restval="")
        table.writeheader()
        table.writerows({n: _word(v) if isinstance(v, float) else v for n, v in row.items()} for row in rows)


def write_jsonl(path: Path, rows: Iterable[Row]) -> None:
    """Write an object a line.  JSON has no NaN: it is the text "NaN", as in the log, and so are the infinities."""
    with drafted(path) as draft, draft.open("w", encoding="utf-8") as file:
        for row in rows:
            written = {n: _text(v) if isinstance(v, float) else v for n, v in row.items()}
            file.write(json.dumps(written, ensure_ascii=False, allow_nan=False) + "\n")


def _flat(record: Mapping[str, Any], before: str = "") -> Row:
    out: Row = {}
    for name, value in record.items():
        if isinstance(value, Mapping):
            out |= _flat(value, f"{before}{name}.")
        elif isinstance(value, list):
            out[f"{before}{name}"] = json.dumps(value)
        elif value is not None:
            out[f"{before}{name}"] = value
    return out


def _word(value: float) -> float | str:
    return "NaN" if math.isnan(value) else value


def _text(value: float) -> float | str:
    return value if math.isfinite(value) else "NaN" if math.isnan(value) else f"{'-' * (value < 0)}Infinity"
