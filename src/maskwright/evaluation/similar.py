"""How well the cosine of two texts' vectors follows what people say of their similarity, with 95 % intervals over the pairs."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from maskwright.errors import InputError
from maskwright.evaluation.baseline import tfidf_cosine, tfidf_ridge
from maskwright.evaluation.diagnosis import WORST, errors_of, scores_of
from maskwright.evaluation.intervals import Interval, bootstrap_each
from maskwright.evaluation.metrics import metric
from maskwright.model import Model
from maskwright.tasks.rows import Rows

__all__ = ["METRIC", "cosines", "pair_baselines", "pair_result", "score_pairs"]

METRIC = "pearson_spearman"


def cosines(
    model: Model, pairs: Sequence[tuple[str, ...]], *, pooling: str | None = None, precision: str = "auto"
) -> NDArray[np.float64]:
    """Return the cosine of each pair's vectors, (len(pairs),); InputError for what is no pair.

    pooling, precision: as in ``Model.encode``.  A text that occurs in several pairs is encoded once.
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
    vectors = model.encode(list(places), pooling=pooling, precision=precision).astype(np.float64)
    vectors /= np.maximum(np.linalg.norm(vectors, axis=1, keepdims=True), 1e-12)
    left, right = (vectors[[places[texts[side]] for texts in pairs]] for side in (0, 1))
    return np.asarray((left * right).sum(1))


def score_pairs(
    model: Model, rows: Rows, *, pooling: str | None = None, precision: str = "auto", seed: int = 0
) -> dict[str, Interval]:
    """Return Pearson's and Spearman's correlation of cosines and labels, with 95 % bootstrap intervals over the pairs.

    DataError (file, line) for a label that is no number.
    """
    truth, found = np.array(rows.numbers()), cosines(model, rows.texts, pooling=pooling, precision=precision)
    return bootstrap_each(metric(METRIC), truth, found, draws=1000, seed=seed)


def pair_baselines(train: Rows, values: NDArray[np.float64] | None, dev: Rows) -> dict[str, dict[str, float]]:
    """Return method -> correlations of what something simple says of the dev pairs.

    The cosine of TF-IDF vectors, counted in the training texts; and, where the training rows are pairs with a number each
    (values), a ridge regression to it.  A method that has nothing to learn from is left out.
    """
    truth = np.array(dev.numbers())
    pairs = [(first, second) for first, second in dev.texts]
    known = [text for texts in train.texts for text in texts]
    ways: list[tuple[str, Callable[[], NDArray[Any]]]] = [("TF-IDF cosine", lambda: tfidf_cosine(known, pairs))]
    if values is not None:
        learnt = [(first, second) for first, second in train.texts]
        ways.append(("TF-IDF + ridge regression", lambda: tfidf_ridge(learnt, values, pairs).labels))
    found = {}
    for name, way in ways:
        try:
            found[name] = metric(METRIC)(truth, way())
        except InputError:
            continue
    return found


def pair_result(dev: Rows, said: NDArray[np.float64], beside: dict[str, dict[str, float]]) -> dict[str, Any]:
    """Return ``scores`` and ``errors``, the pairs whose ranks differ most, as a log's result record holds them."""
    from scipy.stats import rankdata

    truth = np.array(dev.numbers())
    order = np.argsort(-np.abs(rankdata(truth) - rankdata(said)), kind="stable")[:WORST]
    return {"scores": scores_of(metric(METRIC), truth, said, beside), "errors": errors_of(dev, order, truth, said)}
