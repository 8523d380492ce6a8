"""The metrics of GLUE by name, over plain arrays of what is true and what was predicted.

Wang et al. 2018, table 1, https://arxiv.org/abs/1804.07461; computed by scikit-learn and SciPy, which are imported when a
metric is computed.  A metric is a function ``(truth_B, predicted_B) -> {name: value}`` of two sequences of B values each.
Values are shares, 0 to 1, or correlations, -1 to 1; never percent.

Where a definition divides by zero the value is 0.0: F1 where the positive class is neither there nor predicted, and
correlations (Matthews, Pearson, Spearman) where either side is constant.  A model that says the same of everything has
earned nothing, and a NaN would hide it.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from maskwright.errors import InputError
from maskwright.registry import Registry

__all__ = [
    "METRICS",
    "Metric",
    "accuracy",
    "accuracy_f1",
    "f1",
    "headline",
    "macro_f1",
    "matthews",
    "metric",
    "pearson",
    "pearson_spearman",
    "spearman",
]

Metric = Callable[[ArrayLike, ArrayLike], dict[str, float]]

METRICS = Registry("metric")
METRICS.add("accuracy", "share of exact matches", f"{__name__}:accuracy")
METRICS.add("f1", "F1 of the positive class, label 1", f"{__name__}:f1")
METRICS.add("macro_f1", "unweighted mean of every class's F1", f"{__name__}:macro_f1")
METRICS.add("matthews", "Matthews correlation (CoLA)", f"{__name__}:matthews")
METRICS.add("pearson", "linear correlation", f"{__name__}:pearson")
METRICS.add("spearman", "rank correlation", f"{__name__}:spearman")
METRICS.add("accuracy_f1", "accuracy and F1 (MRPC, QQP)", f"{__name__}:accuracy_f1")
METRICS.add("pearson_spearman", "linear and rank correlation (STS-B)", f"{__name__}:pearson_spearman")
METRICS.add("multilabel", "F1 and average precision of label sets", "maskwright.evaluation.multilabel:multilabel")

POSITIVE = 1  # the class whose F1 GLUE reports: paraphrase in MRPC, duplicate in QQP


def metric(name: str) -> Metric:
    """Return the metric of that name; ConfigError names the known ones.

    The metric raises InputError for no values, for two lengths, and for numbers that are not finite.
    """
    found: Metric = METRICS[name].load()
    return found


def headline(values: Mapping[str, float]) -> float:
    """Return the one number of a task with several metrics: their unweighted mean, as on GLUE's leaderboard."""
    if not values:
        raise InputError("evaluate: there are no metrics to average. Give at least one.")
    return sum(values.values()) / len(values)


def accuracy(truth: ArrayLike, predicted: ArrayLike) -> dict[str, float]:
    """Share of predictions that equal the truth."""
    truth_B, predicted_B = _checked(truth, predicted)
    return {"accuracy": float(np.mean(truth_B == predicted_B))}


def f1(truth: ArrayLike, predicted: ArrayLike) -> dict[str, float]:
    """Harmonic mean of precision and recall of the class 1, as GLUE reports it for MRPC and QQP."""
    truth_B, predicted_B = _checked(truth, predicted)
    right = int(np.sum((truth_B == POSITIVE) & (predicted_B == POSITIVE)))
    either = int(np.sum(truth_B == POSITIVE)) + int(np.sum(predicted_B == POSITIVE))
    return {"f1": 2 * right / either if either else 0.0}


def macro_f1(truth: ArrayLike, predicted: ArrayLike) -> dict[str, float]:
    """Unweighted mean of the F1 of every class that is there or predicted."""
    from sklearn.metrics import f1_score

    truth_B, predicted_B = _checked(truth, predicted)
    return {"macro_f1": float(f1_score(truth_B, predicted_B, average="macro", zero_division=0.0))}


def matthews(truth: ArrayLike, predicted: ArrayLike) -> dict[str, float]:
    """Matthews correlation coefficient, for two classes or more (Gorodkin 2004)."""
    from sklearn.metrics import matthews_corrcoef

    truth_B, predicted_B = _checked(truth, predicted)
    return {"matthews": 0.0 if _constant(truth_B, predicted_B) else float(matthews_corrcoef(truth_B, predicted_B))}


def pearson(truth: ArrayLike, predicted: ArrayLike) -> dict[str, float]:
    """Linear correlation of two sequences of numbers."""
    from scipy.stats import pearsonr

    truth_B, predicted_B = _checked(truth, predicted)
    return {"pearson": 0.0 if _constant(truth_B, predicted_B) else float(pearsonr(truth_B, predicted_B).statistic)}


def spearman(truth: ArrayLike, predicted: ArrayLike) -> dict[str, float]:
    """Correlation of the ranks of two sequences of numbers; equal numbers share their mean rank."""
    from scipy.stats import spearmanr

    truth_B, predicted_B = _checked(truth, predicted)
    return {"spearman": 0.0 if _constant(truth_B, predicted_B) else float(spearmanr(truth_B, predicted_B).statistic)}


def accuracy_f1(truth: ArrayLike, predicted: ArrayLike) -> dict[str, float]:
    """Both metrics of MRPC and QQP."""
    return accuracy(truth, predicted) | f1(truth, predicted)


def pearson_spearman(truth: ArrayLike, predicted: ArrayLike) -> dict[str, float]:
    """Both metrics of STS-B."""
    return pearson(truth, predicted) | spearman(truth, predicted)


def _checked(truth: ArrayLike, predicted: ArrayLike) -> tuple[NDArray[Any], NDArray[Any]]:
    truth_B, predicted_B = np.asarray(truth), np.asarray(predicted)
    if truth_B.ndim != 1 or truth_B.shape != predicted_B.shape:
        raise InputError(
            f"evaluate: truth has the shape {truth_B.shape} and predictions {predicted_B.shape}; "
            "both must be one value an example. Check that no example was dropped."
        )
    if not len(truth_B):
        raise InputError("evaluate: there are no examples to score. Give at least one.")
    for name, values in (("truth", truth_B), ("predictions", predicted_B)):
        if values.dtype.kind == "f" and not np.isfinite(values).all():
            place = int(np.argmin(np.isfinite(values)))
            raise InputError(f"evaluate: {name} hold {values[place]} at place {place}, which no metric can score.")
    return truth_B, predicted_B


def _constant(*arrays: NDArray[Any]) -> bool:
    return any(bool((values == values[0]).all()) for values in arrays)
