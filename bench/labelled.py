"""The rows that ``bench/glue.py`` trains on and scores: GLUE's, GoEmotions', and two Chinese sets, whole or drawn by a seed."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np

from maskwright.keys import Key
from maskwright.tasks import DATASETS
from maskwright.tasks.glueset import GlueSet
from maskwright.tasks.rows import Columns, Rows
from maskwright.train.finetune import held_out

CHINESE = {
    "chnsenticorp": GlueSet(
        title="ChnSentiCorp",
        folder="chnsenticorp",
        hub="chnsenticorp",
        columns=(Columns("text_a", None, "label"),),
        labels=("0", "1"),
        metric="accuracy",
    ),
    "afqmc": GlueSet(
        title="AFQMC",
        folder="afqmc",
        hub="afqmc",
        columns=(Columns("one", "other", "label"),),
        order=("one", "other", "label"),
        labels=("0", "1"),
        metric="accuracy_f1",
    ),
}


@dataclass(frozen=True)
class Labelled:
    """One task's rows."""

    name: str
    files: GlueSet
    train: Rows
    dev: Rows


def read(folder: Path, name: str, rows: int | None, dev_rows: int | None) -> Labelled:
    """Read a task's training and dev rows, and draw so many of each by seed 0; a tenth is held out where there is no dev."""
    files: GlueSet = CHINESE.get(name) or DATASETS[name if name == "goemotions" else f"glue/{name}"].load()
    train = files.rows(folder, "train")
    if files.find(folder, "dev") is None:
        train, dev = held_out(train, 0.1, 0)
    else:
        dev = files.rows(folder, "dev")
    return Labelled(name, files, _drawn(train, rows), _drawn(dev, dev_rows))


def _drawn(rows: Rows, count: int | None) -> Rows:
    if count is None or count >= len(rows):
        return rows
    return rows.pick(np.sort(Key(0).stream("glue.rows").order(len(rows))[:count]).tolist())
