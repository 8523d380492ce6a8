"""Predictions as a file: one row each, with the text, the answer and the probabilities."""

from __future__ import annotations

import csv
import io
import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from maskwright.errors import InputError
from maskwright.report.files import write_atomic
from maskwright.tasks.rows import Rows

__all__ = ["check_ending", "write_predictions"]


def check_ending(path: Path) -> None:
    """Refuse a file that is neither .jsonl nor .csv (InputError): better before the rows are read than behind them."""
    if path.suffix not in (".jsonl", ".csv"):
        raise InputError(f"{path}: predictions are written as .jsonl or .csv")


def write_predictions(path: Path, rows: Rows, answers: Sequence[Mapping[str, Any]]) -> None:
    """Write a .jsonl or a .csv file, whole or not at all.

    Fields: text, pair (for pairs), gold (where the rows have labels), label, probabilities (in .csv a column each).
    InputError for another suffix.
    """
    check_ending(path)
    golds = rows.labels or (None,) * len(rows)
    records = []
    for texts, gold, answer in zip(rows.texts, golds, answers, strict=True):
        record = dict(zip(("text", "pair"), texts, strict=False))
        records.append(record | ({} if gold is None else {"gold": gold}) | dict(answer))
    if path.suffix == ".jsonl":
        lines = (json.dumps(record, ensure_ascii=False) + "\n" for record in records)
        write_atomic(path, "".join(lines).encode("utf-8"))
    else:
        flat = [
            {k: v for k, v in record.items() if k != "probabilities"}
            | {f"p({name})": p for name, p in record.get("probabilities", {}).items()}
            for record in records
        ]
        out = io.StringIO()
        writer = csv.DictWriter(out, list(flat[0]))
        writer.writeheader()
        writer.writerows(flat)
        write_atomic(path, out.getvalue().encode("utf-8"))
