"""How good is it, how sure is that, and what would something simple have scored: metrics, intervals, baselines."""

from maskwright.evaluation.baseline import Predictions, majority, tfidf_logistic, tfidf_ridge
from maskwright.evaluation.intervals import (
    Interval,
    PairedDifference,
    Spread,
    bootstrap,
    mean_sd,
    paired_difference,
    wilson,
)
from maskwright.evaluation.metrics import METRICS, headline, metric

__all__ = [
    "METRICS",
    "Interval",
    "PairedDifference",
    "Predictions",
    "Spread",
    "bootstrap",
    "headline",
    "majority",
    "mean_sd",
    "metric",
    "paired_difference",
    "tfidf_logistic",
    "tfidf_ridge",
    "wilson",
]
