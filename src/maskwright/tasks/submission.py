"""GLUE's submission archive: one .tsv a test set, with the names, header and labels that its server expects.

Format as on https://gluebenchmark.com/faq: a header ``index<TAB>prediction``, rows numbered from 0, label names for the
inference tasks, class numbers for CoLA, SST-2, MRPC, QQP and WNLI, and values within 0 to 5 for STS-B.
"""

from __future__ import annotations

import io
import zipfile
from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from maskwright.errors import InputError
from maskwright.report.files import write_atomic
from maskwright.tasks.base import Task
from maskwright.tasks.glueset import GlueSet

__all__ = ["EXPECTED", "predictions", "tsv", "write_submission"]

EXPECTED: Mapping[str, int] = {
    "AX.tsv": 1_104,
    "CoLA.tsv": 1_063,
    "MNLI-m.tsv": 9_796,
    "MNLI-mm.tsv": 9_847,
    "MRPC.tsv": 1_725,
    "QNLI.tsv": 5_463,
    "QQP.tsv": 390_965,
    "RTE.tsv": 3_000,
    "SST-2.tsv": 1_821,
    "STS-B.tsv": 1_379,
    "WNLI.tsv": 146,
}
"""File -> its rows: the server refuses an archive without one of them."""

_EPOCH = (1980, 1, 1, 0, 0, 0)


def predictions(files: GlueSet, task: Task, logits_BC: NDArray[np.float32]) -> list[str]:
    """Return each row's prediction as the server reads it."""
    answers = task.answers(logits_BC)
    if files.span is not None:
        return [f"{value:.3f}" for value in np.clip(answers, *files.span)]
    assert files.labels is not None
    numbers = answers.astype(int).tolist()
    return [str(n) if files.as_numbers else files.labels[n] for n in numbers]


def tsv(answers: Sequence[str]) -> bytes:
    """Return the content of one file."""
    rows = (f"{number}\t{answer}\n" for number, answer in enumerate(answers))
    return ("index\tprediction\n" + "".join(rows)).encode("utf-8")


def write_submission(path: Path, files: Mapping[str, bytes]) -> list[str]:
    """Write the archive, the same bytes for the same predictions; return what the server would miss.

    files: name -> content, see ``tsv``.  InputError for a name that the server does not know.
    """
    if unknown := [name for name in files if name not in EXPECTED]:
        raise InputError(f"{path}: {unknown[0]} is no file of a submission; there are {', '.join(EXPECTED)}")
    content = io.BytesIO()
    with zipfile.ZipFile(content, "w", zipfile.ZIP_DEFLATED) as archive:
        for name in sorted(files):
            archive.writestr(zipfile.ZipInfo(name, _EPOCH), files[name], zipfile.ZIP_DEFLATED)
    write_atomic(path, content.getvalue())
    missing = [f"{name} is missing" for name in EXPECTED if name not in files]
    return missing + [
        f"{name} has {rows:,} rows, not {EXPECTED[name]:,}"
        for name, held in sorted(files.items())
        if (rows := held.count(b"\n") - 1) != EXPECTED[name]
    ]
