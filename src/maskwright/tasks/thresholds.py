"""From which probability on a label is given: the threshold with the highest F1 on rows that were not trained on.

F1 changes only where the threshold passes a row's probability, so every cut between two rows is tried, and the middle of the
best gap is taken.  Lipton et al. 2014, https://arxiv.org/abs/1402.1892, on why 0.5 is seldom the best.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

__all__ = ["USUAL", "best_threshold", "best_thresholds", "rescaled"]

USUAL = 0.5


def best_threshold(shares: NDArray[np.float64], truth: NDArray[np.float64]) -> float:
    """Return the threshold with the highest F1 of (n,) probabilities against (n,) 0 or 1.

    Of equally good ones the nearest to 0.5; 0.5 where no row has the label, for then every threshold scores the same.
    """
    wanted = float(truth.sum())
    if wanted == 0:
        return USUAL
    order = np.argsort(-shares, kind="stable")
    ranked, hits = shares[order], np.cumsum(truth[order])
    taken = np.arange(1, len(ranked) + 1)
    # A cut between rows of one probability is none.
    following = np.append(ranked[1:], 0.0)
    scores = np.where(ranked > following, 2 * hits / (taken + wanted), -1.0)
    middles = (ranked + following) / 2
    best = np.flatnonzero(scores >= scores.max() - 1e-12)
    inside = [float(np.clip(USUAL, following[at], ranked[at])) for at in best]
    nearest = int(np.argmin(np.abs(np.array(inside) - USUAL)))
    return float(middles[best[nearest]])


def best_thresholds(
    shares_BC: NDArray[np.float64], truth_BC: NDArray[np.float64], *, each: bool
) -> NDArray[np.float64]:
    """Return (C,): each label's best threshold, or the one that gives all labels together the highest F1."""
    classes = shares_BC.shape[1]
    if not each:
        return np.full(classes, best_threshold(shares_BC.ravel(), truth_BC.ravel()))
    return np.array([best_threshold(shares_BC[:, at], truth_BC[:, at]) for at in range(classes)])


def rescaled(shares_BC: NDArray[np.float64], thresholds_C: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return probabilities on a scale on which each label's threshold is 0.5: straight lines from 0 to it and on to 1."""
    below = USUAL * shares_BC / thresholds_C
    above = USUAL + USUAL * (shares_BC - thresholds_C) / (1 - thresholds_C)
    return np.asarray(np.where(shares_BC < thresholds_C, below, above))
