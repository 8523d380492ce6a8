"""How well the cosine of two texts' vectors follows what people say of their similarity, with 95 % intervals over the pairs."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from maskwright.errors import InputError
from maskwright.evaluation.intervals import Interval, bootstrap_each
from maskwright.evaluation.metrics import metric
from maskwright.model import Model
from maskwright.tasks.rows import Rows

__all__ = ["METRIC", "cosines", "score_pairs"]

METRIC = "pearson_spearman"


def cosines(model: Model, pairs: Sequence[tuple[str, ...]], *, pooling: str | None = None) -> NDArray[np.float64]:
    """Return the cosine of each pair's vectors, (len(pairs),); InputError for what is no pair.

    pooling: as in ``Model.encode``.  A text that occurs in several pairs is encoded once.
    """
    for at, texts in enumerate(pairs):
        if len(texts) != 2:
            raise InputError(
                f"row {at} has {len(texts)} text where two are compared; name the second column with --pair"
            )
    places: dict[str, int] = {}
    for texts in pairs:
        for text in texts:
            places.setdefault(text, len(places))
    vectors = model.encode(list(places), pooling=pooling).astype(np.float64)
    vectors /= np.maximum(np.linalg.norm(vectors, axis=1, keepdims=True), 1e-12)
    left, right = (vectors[[places[texts[side]] for texts in pairs]] for side in (0, 1))
    return np.asarray((left * right).sum(1))


def score_pairs(model: Model, rows: Rows, *, pooling: str | None = None, seed: int = 0) -> dict[str, Interval]:
    """Return Pearson's and Spearman's correlation of cosines and labels, with 95 % bootstrap intervals over the pairs.

    DataError (file, line) for a label that is no number.
    """
    truth, found = np.array(rows.numbers()), cosines(model, rows.texts, pooling=pooling)
    return bootstrap_each(metric(METRIC), truth, found, draws=1000, seed=seed)
