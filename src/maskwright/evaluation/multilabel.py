"""Metrics of rows with any number of labels each: F1 over all answers, F1 and average precision a label.

Micro F1 counts every (row, label) alike, so frequent labels decide it; macro F1 and average precision are means over the labels
that some row has, so that rare labels count as much.  Average precision is of the ranking alone and knows no threshold.
Definitions: scikit-learn's ``f1_score`` and ``average_precision_score``.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike, NDArray

from maskwright.errors import InputError

__all__ = ["multilabel"]


def multilabel(truth: ArrayLike, predicted: ArrayLike) -> dict[str, float]:
    """Return micro_f1, macro_f1 and average_precision.

    truth: (B, C) of 0 and 1; predicted: (B, C), probabilities on a scale on which a label is given from 0.5 on.  (B,) is one
    label.  A label that no row has is left out of the means over labels; InputError where there is none left.
    """
    truth_BC, predicted_BC = _checked(truth, predicted)
    wanted_BC, given_BC = truth_BC > 0, predicted_BC >= 0.5
    both_C, either_C = (wanted_BC & given_BC).sum(0), wanted_BC.sum(0) + given_BC.sum(0)
    there = np.flatnonzero(wanted_BC.any(0))
    if not len(there):
        raise InputError("evaluate: no row has a label, so nothing can be found. Give rows of which some have one.")
    return {
        "micro_f1": float(2 * both_C.sum() / either_C.sum()),
        "macro_f1": float(np.mean(2 * both_C[there] / either_C[there])),
        "average_precision": float(np.mean(_average_precision(wanted_BC[:, there], predicted_BC[:, there]))),
    }


def _average_precision(wanted_BC: NDArray[np.bool_], predicted_BC: NDArray[np.float64]) -> NDArray[np.float64]:
    """(C,): the mean, over the rows that have a label, of the precision where the ranking is cut behind them."""
    order_BC = np.argsort(-predicted_BC, axis=0, kind="stable")
    ranked_BC = np.take_along_axis(predicted_BC, order_BC, 0)
    hits_BC = np.take_along_axis(wanted_BC, order_BC, 0)
    rows = len(hits_BC)
    precision_BC = hits_BC.cumsum(0) / np.arange(1, rows + 1)[:, None]
    # Rows of one probability are cut behind the last of them.
    last_BC = np.full(hits_BC.shape, rows - 1)
    last_BC[:-1] = np.where(ranked_BC[:-1] > ranked_BC[1:], np.arange(rows - 1)[:, None], rows - 1)
    last_BC = np.minimum.accumulate(last_BC[::-1], axis=0)[::-1]
    return np.asarray((hits_BC * np.take_along_axis(precision_BC, last_BC, 0)).sum(0) / hits_BC.sum(0))


def _checked(truth: ArrayLike, predicted: ArrayLike) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    truth_BC, predicted_BC = np.asarray(truth, dtype=np.float64), np.asarray(predicted, dtype=np.float64)
    if truth_BC.ndim not in (1, 2) or truth_BC.shape != predicted_BC.shape:
        raise InputError(
            f"evaluate: truth has the shape {truth_BC.shape} and predictions {predicted_BC.shape}; "
            "both must be one row an example with one value a label. Check that no example was dropped."
        )
    if not truth_BC.size:
        raise InputError("evaluate: there are no examples to score. Give at least one.")
    for name, values in (("truth", truth_BC), ("predictions", predicted_BC)):
        if not np.isfinite(values).all():
            place = int(np.argmin(np.isfinite(values)))
            raise InputError(f"evaluate: {name} hold {values.flat[place]} at place {place}, which no metric can score.")
    if not np.isin(truth_BC, (0, 1)).all():
        raise InputError("evaluate: truth must be 0 or 1 for each label.")
    return truth_BC.reshape(len(truth_BC), -1), predicted_BC.reshape(len(truth_BC), -1)
