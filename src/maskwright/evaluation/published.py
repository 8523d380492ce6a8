"""Published scores on GLUE's dev sets, each with its metric and protocol, so that only like stands beside like.

Read in the sources named.  A figure whose metric its source does not say is left out.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal

from maskwright.errors import ConfigError, did_you_mean

__all__ = ["PUBLISHED", "Published", "beside"]


@dataclass(frozen=True)
class Published:
    """One model's scores."""

    model: str
    protocol: str
    """Split, runs, which weights, what was trained on."""
    source: str
    weights: Literal["best", "last"]
    scores: Mapping[str, Mapping[str, float]]
    """Task (MNLI-mm as mnli-mm) -> metric -> value, 0 to 100."""


PUBLISHED: Mapping[str, Published] = {
    "bert-base": Published(
        "BERT-base, cased",
        "dev, one run, last weights, length 128, rate 2e-5, 3 epochs (MRPC and WNLI 5)",
        "huggingface/transformers, examples/pytorch/text-classification/README.md",
        "last",
        {
            "cola": {"matthews": 56.53},
            "sst2": {"accuracy": 92.32},
            "mrpc": {"accuracy": 84.07, "f1": 88.85},
            "stsb": {"pearson": 88.64, "spearman": 88.48},
            "qqp": {"accuracy": 90.71, "f1": 87.49},
            "mnli": {"accuracy": 83.91},
            "mnli-mm": {"accuracy": 84.10},
            "qnli": {"accuracy": 90.66},
            "rte": {"accuracy": 65.70},
            "wnli": {"accuracy": 56.34},
        },
    ),
    "electra-small": Published(
        "ELECTRA-small",
        "dev, median of many runs, last weights",
        "google-research/electra, README.md",
        "last",
        {
            "cola": {"matthews": 57.0},
            "sst2": {"accuracy": 91.2},
            "mrpc": {"accuracy": 88.0},
            "stsb": {"spearman": 87.5},
            "qqp": {"accuracy": 89.0},
            "mnli": {"accuracy": 81.3},
            "qnli": {"accuracy": 88.4},
            "rte": {"accuracy": 66.7},
        },
    ),
    "electra-base": Published(
        "ELECTRA-base",
        "dev, median of many runs, last weights",
        "google-research/electra, README.md",
        "last",
        {
            "cola": {"matthews": 67.7},
            "sst2": {"accuracy": 95.1},
            "mrpc": {"accuracy": 89.5},
            "stsb": {"spearman": 91.2},
            "qqp": {"accuracy": 91.5},
            "mnli": {"accuracy": 88.8},
            "qnli": {"accuracy": 93.2},
            "rte": {"accuracy": 82.7},
        },
    ),
    "roberta-base": Published(
        "RoBERTa-base",
        "dev, best evaluated weights, one task at a time",
        "facebookresearch/fairseq, examples/roberta/README.md",
        "best",
        {
            "cola": {"matthews": 63.6},
            "sst2": {"accuracy": 94.8},
            "mnli": {"accuracy": 87.6},
            "qnli": {"accuracy": 92.8},
            "rte": {"accuracy": 78.7},
        },
    ),
}


def beside(name: str) -> Published | None:
    """Return the scores of that name, or None for ``none``; ConfigError names the known ones."""
    if name == "none":
        return None
    if name not in PUBLISHED:
        known = ", ".join([*PUBLISHED, "none"])
        raise ConfigError(f"beside: no published scores {name!r}.{did_you_mean(name, PUBLISHED)} Known: {known}")
    return PUBLISHED[name]
