"""``maskwright predict``."""

from __future__ import annotations

from pathlib import Path

from maskwright.report.terminal import show

__all__ = ["predict"]


def predict(model: str, data: Path, *, out: Path, text: str = "text", pair: str | None = None) -> None:
    """Label the rows of a file with a fine-tuned model.

    Parameters
    ----------
    model
        Folder or org/name.
    data
        Rows (.csv .tsv .jsonl, also .gz and .xz).
    out
        File for the predictions: .jsonl, or .csv.
    text
        Column of the text.
    pair
        Column of the second text.
    """
    from maskwright.tasks.predictions import write_predictions
    from maskwright.tasks.rows import Columns, read_rows

    rows = read_rows(data, Columns(text, pair))
    from maskwright.evaluation.scores import answers_of
    from maskwright.model import load

    write_predictions(out, rows, answers_of(load(model), rows))
    show(f"{len(rows):,} predictions in {out}")
