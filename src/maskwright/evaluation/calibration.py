"""How far predicted probabilities can be believed, and the temperature that mends most of it.

Guo et al. 2017, https://arxiv.org/abs/1706.04599: the expected calibration error is the mean distance between confidence and
accuracy over bins of confidence; dividing the scores by one number, fitted on held-out rows, usually removes most of it.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from maskwright.errors import InputError

__all__ = ["Bin", "calibration_error", "fit_temperature", "reliability"]

BINS = 10
_COLDEST, _HOTTEST = 0.05, 20.0


@dataclass(frozen=True)
class Bin:
    """Answers of about the same confidence."""

    confidence: float
    """Mean probability of the answers."""
    accuracy: float
    """Share of them that are right."""
    count: int


def reliability(probabilities_BC: NDArray[np.float64], truth_B: NDArray[np.int64], bins: int = BINS) -> list[Bin]:
    """Return the bins of equal width that hold an answer, from the least confident on.

    truth_B: class numbers.  InputError where rows and labels differ in number, or there are none.
    """
    _check(probabilities_BC, truth_B)
    confidence = probabilities_BC.max(-1)
    right = probabilities_BC.argmax(-1) == truth_B
    place = np.minimum((confidence * bins).astype(np.int64), bins - 1)
    return [
        Bin(float(confidence[place == at].mean()), float(right[place == at].mean()), int((place == at).sum()))
        for at in range(bins)
        if (place == at).any()
    ]


def calibration_error(probabilities_BC: NDArray[np.float64], truth_B: NDArray[np.int64], bins: int = BINS) -> float:
    """Return the expected calibration error, 0 to 1."""
    found = reliability(probabilities_BC, truth_B, bins)
    return sum(abs(each.confidence - each.accuracy) * each.count for each in found) / len(truth_B)


def fit_temperature(logits_BC: NDArray[Any], truth_B: NDArray[np.int64]) -> float:
    """Return the temperature, 0.05 to 20, under which the labels are the likeliest."""
    from scipy.optimize import minimize_scalar

    _check(logits_BC, truth_B)
    scores = logits_BC.astype(np.float64)
    chosen = scores[np.arange(len(scores)), truth_B]

    def loss(log_temperature: float) -> float:
        scaled = scores / np.exp(log_temperature)
        peak = scaled.max(-1)
        total = np.log(np.exp(scaled - peak[:, None]).sum(-1)) + peak
        return float((total - chosen / np.exp(log_temperature)).mean())

    found = minimize_scalar(loss, bounds=(np.log(_COLDEST), np.log(_HOTTEST)), method="bounded")
    return float(np.exp(found.x))


def _check(scores_BC: NDArray[Any], truth_B: NDArray[np.int64]) -> None:
    if scores_BC.ndim != 2 or not len(scores_BC) or len(scores_BC) != len(truth_B):
        raise InputError(
            f"evaluate: scores of the shape {scores_BC.shape} and {len(truth_B)} labels; give (rows, classes), one label a row"
        )
