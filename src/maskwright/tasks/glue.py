"""GLUE's files: where each data set's rows, columns and labels are.

Wang et al. 2019, https://arxiv.org/abs/1804.07461.  Labels get names; metrics are GLUE's own.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from maskwright.errors import InputError
from maskwright.tasks.base import Task
from maskwright.tasks.classify import Classification
from maskwright.tasks.regress import Regression
from maskwright.tasks.rows import Columns, Rows, read_rows

__all__ = ["MRPC", "SST2", "STSB", "GlueSet"]


@dataclass(frozen=True, kw_only=True)
class GlueSet:
    """One data set."""

    folder: str
    columns: Columns
    labels: Mapping[str, str] | None
    """Label in the file -> its name, in the order of the classes; None for a regression."""
    metric: str

    def task(self) -> Task:
        """Return the task that these files are for."""
        if self.labels is None:
            return Regression(self.metric)
        return Classification(tuple(self.labels.values()), self.metric)

    def rows(self, where: Path, split: str) -> Rows:
        """Read ``train`` or ``dev`` from the data set's folder, or from the folder of all of GLUE's."""
        for folder in (where, where / self.folder):
            for ending in ("", ".xz", ".gz"):
                path = folder / f"{split}.tsv{ending}"
                if path.is_file():
                    return read_rows(path, self.columns, names=self.labels)
        raise InputError(f"{where}: no {split}.tsv there, nor in {self.folder}/ below it (.xz and .gz are read too)")


MRPC = GlueSet(
    folder="MRPC",
    columns=Columns("#1 String", "#2 String", "Quality"),
    labels={"0": "not_equivalent", "1": "equivalent"},
    metric="accuracy_f1",
)
SST2 = GlueSet(
    folder="SST-2",
    columns=Columns("sentence", None, "label"),
    labels={"0": "negative", "1": "positive"},
    metric="accuracy",
)
STSB = GlueSet(
    folder="STS-B",
    columns=Columns("sentence1", "sentence2", "score"),
    labels=None,
    metric="pearson_spearman",
)
