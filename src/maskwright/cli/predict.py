"""``maskwright predict``."""

from __future__ import annotations

from pathlib import Path
from typing import Literal

from maskwright.report.terminal import show

__all__ = ["predict"]


def predict(
    model: str,
    data: Path,
    *,
    out: Path,
    text: str = "text",
    pair: str | None = None,
    dataset: str | None = None,
    split: str = "test",
    precision: Literal["auto", "fp32", "bf16", "int8"] = "auto",
) -> None:
    """Label the rows of a file with a fine-tuned model.

    Parameters
    ----------
    model
        Folder or org/name.
    data
        Rows (.csv .tsv .jsonl, also .gz and .xz; .parquet), or the folder of the data set named with --dataset.
    out
        File for the predictions: .jsonl or .csv, with the probabilities.
    text
        Column of the text.
    pair
        Column of the second text.
    dataset
        A data set by name, such as glue/rte.
    split
        Of that data set: test, dev, train.
    precision
        Of matrix products: auto takes bf16 where the machine is fast in it; int8 is faster still, for BERT's kind of blocks.
    """
    from maskwright.tasks.predictions import check_suffix, write_predictions
    from maskwright.tasks.rows import Columns, read_rows

    check_suffix(out)
    if dataset is None:
        rows = read_rows(data, Columns(text, pair))
    else:
        from maskwright.tasks import DATASETS

        files = DATASETS[dataset].load()
        rows = files.read(data, labelled=False) if data.is_file() else files.rows(data, split)
    from maskwright.evaluation.scores import answers_of
    from maskwright.machine import device
    from maskwright.model import load

    write_predictions(out, rows, answers_of(load(model).to(device()), rows, precision=precision))
    show(f"{len(rows):,} predictions in {out}")
