"""ALBERT's comparison of next-sentence and sentence-order prediction, to stand beside a study of one's own.

Lan et al. 2020, table 5, https://arxiv.org/abs/1909.11942: accuracy x 100 on the pre-training tasks, of encoders that were
trained with either, or with neither.  Another model (of ALBERT-base's size), another corpus, far more training.
"""

from __future__ import annotations

from collections.abc import Mapping

__all__ = ["ALBERT_CROSS"]

ALBERT_CROSS: Mapping[str, Mapping[str, float]] = {
    "none": {"mlm": 54.9, "nsp": 52.4, "sop": 53.3},
    "nsp": {"mlm": 54.5, "nsp": 90.5, "sop": 52.0},
    "sop": {"mlm": 54.0, "nsp": 78.9, "sop": 86.5},
}
"""Trained with -> task -> accuracy."""
