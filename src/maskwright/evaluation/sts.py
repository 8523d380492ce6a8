"""The semantic textual similarity tasks of 2012 to 2016, STS-B and SICK: files, and a model's rank correlation on them.

Agirre et al. 2012–2016; Cer et al. 2017; Marelli et al. 2014.  A file holds score, first text, second text; pairs that nobody
scored have an empty score and are left out.  A year is scored in the two ways that papers use: over all its pairs together
("all"), and as the plain mean over its files ("mean"); the two differ by points.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from maskwright.errors import DataError, InputError
from maskwright.evaluation.intervals import Interval, bootstrap_each
from maskwright.evaluation.metrics import metric
from maskwright.evaluation.similar import cosines
from maskwright.model import Model
from maskwright.tasks.formats import records
from maskwright.tasks.rows import Columns, Rows, read_rows, text_of

__all__ = ["YEARS", "StsScore", "read_sts", "score_sts", "sts_files"]

YEARS = ("2012", "2013", "2014", "2015", "2016")
_SICK = Columns("sentence_A", "sentence_B", "relatedness_score")
_STSB = ("", "STS-B/original", "original", "stsbenchmark")
"""Where the test file of STS-B, with its scores, is below a folder."""


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
    interval: Interval
    """Of ``all``, over the pairs."""


def read_sts(path: str | Path, first: int = 0) -> Rows:
    """Read the scored pairs of one file; DataError (file, line) for a row that cannot be used.

    first: column of the score, which stands before the two texts; 4 in STS-B's own files.  A field that is quoted as in CSV,
    with doubled quotation marks inside, is unquoted: one file of 2015 has some.
    """
    path = Path(path)
    texts, labels, lines = [], [], []
    for line, row in records(path, header=False):
        if isinstance(row, DataError):
            raise row
        if row.get(first) == "":
            continue
        if first + 2 not in row:
            said = f"{len(row)} fields, and {first + 1} to {first + 3} must be score, text and text, with tabs between"
            raise DataError(said, file=path, line=line)
        labels.append(text_of(row, first, path, line))
        texts.append((_unquoted(text_of(row, first + 1, path, line)), _unquoted(text_of(row, first + 2, path, line))))
        lines.append(line)
    if not texts:
        raise InputError(f"{path}: there are no scored pairs in it")
    return Rows(tuple(texts), tuple(labels), tuple(lines), str(path))


def _unquoted(text: str) -> str:
    inner = text[1:-1]
    quoted = len(text) > 1 and text[0] == text[-1] == '"' and '""' in inner and '"' not in inner.replace('""', "")
    return inner.replace('""', '"') if quoted else text


def sts_files(where: str | Path) -> dict[str, dict[str, Rows]]:
    """Return task -> file -> its pairs: of one file of scored pairs, or of a folder with the files as published.

    ``2012/*.test.tsv`` to ``2016/*.test.tsv``; ``sick/SICK_test*``; ``sts-test.tsv`` of STS-B, in the folder, in
    ``STS-B/original/`` or in ``stsbenchmark/``; all also .xz and .gz.  InputError where there is none.
    """
    where = Path(where)
    if where.is_file():
        return {_stem(where): {_stem(where): read_sts(where)}}
    found = {}
    for year in YEARS:
        if files := sorted((where / year).glob("*.test.tsv*")):
            found[year] = {_stem(path): read_sts(path) for path in files}
    for path in sorted(path for folder in _STSB for path in (where / folder).glob("sts-test.tsv*"))[:1]:
        found["stsb"] = {_stem(path): read_sts(path, first=4)}
    for path in sorted((where / "sick").glob("SICK_test*"))[:1]:
        found["sick"] = {_stem(path): read_rows(path, _SICK)}
    if not found:
        raise InputError(
            f"{where}: no {YEARS[0]}/*.test.tsv … {YEARS[-1]}/*.test.tsv, no sick/SICK_test* and no sts-test.tsv there"
        )
    return found


def _stem(path: Path) -> str:
    return path.name.split(".")[0]


def score_sts(
    model: Model, where: str | Path, *, pooling: str | None = None, precision: str = "auto", seed: int = 0
) -> dict[str, StsScore]:
    """Return task -> scores of the cosines of a model's vectors; see ``sts_files``.

    pooling, precision: as in ``Model.encode``.  seed: of the bootstrap.
    """
    return {name: _score(model, files, pooling, precision, seed) for name, files in sts_files(where).items()}


def _score(model: Model, files: Mapping[str, Rows], pooling: str | None, precision: str, seed: int) -> StsScore:
    rank = metric("spearman")
    truths = {name: np.array(rows.numbers()) for name, rows in files.items()}
    said = {name: cosines(model, rows.texts, pooling=pooling, precision=precision) for name, rows in files.items()}
    each = {name: rank(truths[name], said[name])["spearman"] for name in files}
    together = [np.concatenate(list(parts.values())) for parts in (truths, said)]
    whole = bootstrap_each(rank, *together, draws=1000, seed=seed)["spearman"]
    return StsScore(whole.value, float(np.mean(list(each.values()))), len(together[0]), each, whole)
