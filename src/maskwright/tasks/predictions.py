"""Predictions and other rows as a file: whole or not at all."""

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

__all__ = ["check_suffix", "write_predictions", "write_records"]


def check_suffix(path: Path) -> None:
    """InputError for a file that rows are not written to: known before the work is done."""
    if path.suffix not in (".jsonl", ".csv"):
        raise InputError(f"{path}: rows are written as .jsonl or .csv")


def write_predictions(path: Path, rows: Rows, answers: Sequence[Mapping[str, Any]]) -> None:
    """Write what was answered to each row; see ``write_records``.

    Fields: text, pair (for pairs), gold (where the rows have labels), label, probabilities (in .csv a column each).
    """
    golds = rows.labels or (None,) * len(rows)
    records = []
    for texts, gold, answer in zip(rows.texts, golds, answers, strict=True):
        record = dict(zip(("text", "pair"), texts, strict=False)) | ({} if gold is None else {"gold": gold})
        if path.suffix == ".csv":
            shares = answer.get("probabilities", {})
            answer = {k: v for k, v in answer.items() if k != "probabilities"}
            answer |= {f"p({name})": p for name, p in shares.items()}
        records.append(record | dict(answer))
    write_records(path, records)


def write_records(path: Path, records: Sequence[Mapping[str, Any]]) -> None:
    """Write rows with the same fields as a .jsonl or a .csv file; InputError for another suffix."""
    check_suffix(path)
    if path.suffix == ".jsonl":
        lines = (json.dumps(record, ensure_ascii=False) + "\n" for record in records)
        write_atomic(path, "".join(lines).encode("utf-8"))
        return
    out = io.StringIO()
    writer = csv.DictWriter(out, list(records[0]) if records else [])
    writer.writeheader()
    writer.writerows(records)
    write_atomic(path, out.getvalue().encode("utf-8"))
