"""The semantic textual similarity tasks of 2012 to 2016 and SICK: files, and a model's rank correlation on them.

Agirre et al. 2012–2016; Marelli et al. 2014.  A file holds score, first text, second text; pairs that nobody scored have an
empty score and are left out.  A year is scored in the two ways that papers use: over all its pairs together ("all"), and as the
plain mean over its files ("mean"); the two differ by points.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from maskwright.errors import DataError, InputError
from maskwright.evaluation.metrics import metric
from maskwright.evaluation.similar import cosines
from maskwright.model import Model
from maskwright.tasks.formats import records
from maskwright.tasks.rows import Columns, Rows, read_rows, text_of

__all__ = ["YEARS", "StsScore", "read_sts", "score_sts"]

YEARS = ("2012", "2013", "2014", "2015", "2016")
_SICK = Columns("sentence_A", "sentence_B", "relatedness_score")


@dataclass(frozen=True)
class StsScore:
    """Spearman's correlation on one set of files."""

    all: float
    """Over the pairs of all files together."""
    mean: float
    """Mean over the files."""
    pairs: int
    files: Mapping[str, float]
    """Each file's."""


def read_sts(path: str | Path) -> Rows:
    """Read the scored pairs of one file; DataError (file, line) for a row that cannot be used.

    A field that is quoted as in CSV, with doubled quotation marks inside, is unquoted: one file of 2015 has some.
    """
    path = Path(path)
    texts, labels, lines = [], [], []
    for line, row in records(path, header=False):
        if isinstance(row, DataError):
            raise row
        if row.get(0) == "":
            continue
        labels.append(text_of(row, 0, path, line))
        texts.append((_unquoted(text_of(row, 1, path, line)), _unquoted(text_of(row, 2, path, line))))
        lines.append(line)
    if not texts:
        raise InputError(f"{path}: there are no scored pairs in it")
    return Rows(tuple(texts), tuple(labels), tuple(lines), str(path))


def _unquoted(text: str) -> str:
    inner = text[1:-1]
    quoted = len(text) > 1 and text[0] == text[-1] == '"' and '""' in inner and '"' not in inner.replace('""', "")
    return inner.replace('""', '"') if quoted else text


def score_sts(model: Model, folder: str | Path, *, pooling: str | None = None) -> dict[str, StsScore]:
    """Score the test files of each year, and of SICK, that the folder holds: ``2012/*.test.tsv`` …, ``sick/SICK_test*``.

    Returns name -> scores; InputError where the folder holds none of them.
    """
    found = {}
    for year in YEARS:
        files = sorted(path for path in (Path(folder) / year).glob("*.test.tsv*"))
        if files:
            found[year] = _score(model, {path.name.split(".")[0]: read_sts(path) for path in files}, pooling)
    for path in sorted((Path(folder) / "sick").glob("SICK_test*")):
        found["sick"] = _score(model, {path.name.split(".")[0]: read_rows(path, _SICK)}, pooling)
    if not found:
        raise InputError(f"{folder}: no {YEARS[0]}/*.test.tsv … {YEARS[-1]}/*.test.tsv and no sick/SICK_test* there")
    return found


def _score(model: Model, files: Mapping[str, Rows], pooling: str | None) -> StsScore:
    rank = metric("spearman")
    truths = {name: np.array(rows.numbers()) for name, rows in files.items()}
    said = {name: cosines(model, rows.texts, pooling=pooling) for name, rows in files.items()}
    each = {name: rank(truths[name], said[name])["spearman"] for name in files}
    whole = rank(np.concatenate(list(truths.values())), np.concatenate(list(said.values())))["spearman"]
    return StsScore(whole, float(np.mean(list(each.values()))), sum(map(len, truths.values())), each)
