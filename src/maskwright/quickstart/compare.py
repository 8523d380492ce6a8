"""The labelled task: the pre-trained encoder beside the same network without pre-training, a linear model, the majority."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from maskwright.config import FinetuneConfig, FinetuneTrainConfig
from maskwright.corpus.passages import Split
from maskwright.evaluation.baseline import majority, tfidf_logistic
from maskwright.evaluation.intervals import Interval, PairedDifference, paired_difference, wilson
from maskwright.evaluation.runner import logits_of
from maskwright.model import Model, create
from maskwright.quickstart.text import rows_of
from maskwright.tasks.classify import Classification
from maskwright.tasks.predictions import write_predictions
from maskwright.train.finetune import finetune_rows

__all__ = ["Comparison", "System", "compare"]

FINETUNING: dict[str, Any] = {"examples": 16, "epochs": 5, "lr": 5e-4, "evaluate_every": 200}
"""The same for the pre-trained encoder and for the control."""


@dataclass(frozen=True)
class System:
    """One contestant."""

    name: str
    accuracy: Interval
    correct: NDArray[np.bool_]
    seconds: float


@dataclass(frozen=True)
class Comparison:
    """All contestants on the same held-out examples."""

    systems: tuple[System, ...]
    """Pre-trained, not pre-trained, linear, majority."""
    against_fresh: PairedDifference
    against_linear: PairedDifference
    classes: int
    train: int
    test: int

    def verdict(self) -> str:
        """Say in words what won, and whether the difference is more than chance."""
        fresh = _words(self.against_fresh, "pre-training the encoder", "starting the same network from nothing")
        linear = _words(self.against_linear, "the pre-trained encoder", "TF-IDF + logistic regression")
        return f"{fresh} {linear}"


def _words(difference: PairedDifference, ours: str, theirs: str) -> str:
    d = difference.difference
    span = f"{100 * d.value:+.1f} points, 95 % interval {100 * d.low:+.1f} to {100 * d.high:+.1f}"
    if d.low > 0:
        return f"{ours[0].upper()}{ours[1:]} beats {theirs} ({span})."
    if d.high < 0:
        return f"{theirs[0].upper()}{theirs[1:]} beats {ours} ({span})."
    return f"Between {ours} and {theirs} there is no clear winner ({span})."


def compare(pretrained: Model, split: Split, out: Path, *, length: int, seed: int, command: str) -> Comparison:
    """Fine-tune twice, fit the baselines, score all on the test passages.

    ``out`` receives ``classifier/`` (the fine-tuned pre-trained encoder) and ``predictions.jsonl``; the model is changed.
    """
    rows = {side: rows_of(getattr(split, side), side) for side in ("train", "dev", "test")}
    truth = np.array(rows["test"].labels)
    fresh = create(pretrained.spec, pretrained.tokenizer, seed=seed)
    systems = []
    for name, model, folder in (
        ("pre-trained here", pretrained, "finetune"),
        ("same network, not pre-trained", fresh, "control"),
    ):
        config = FinetuneConfig(
            model=name,
            data=None,
            length=length,
            baseline=False,  # below, on the test rows
            out=out / "runs" / folder,
            train=FinetuneTrainConfig.of({**FINETUNING, "seed": seed}),
        )
        task = Classification(split.labels)
        done = finetune_rows(
            model, task, rows["train"], rows["dev"], config, command=command, label=f"fine-tuning ({name})"
        )
        logits = logits_of(done.model, rows["test"].texts, length=config.length)
        answers = task.decode(logits)
        if model is pretrained:
            write_predictions(out / "predictions.jsonl", rows["test"], answers)
            done.model.save(out / "classifier")
        systems.append(_system(name, np.array([answer["label"] for answer in answers]) == truth, done.finished.seconds))
    texts = {side: [text for (text,) in rows[side].texts] for side in rows}
    linear = tfidf_logistic(texts["train"], rows["train"].labels or (), texts["test"])
    usual = majority(rows["train"].labels or (), truth)
    systems.append(_system("TF-IDF + logistic regression", linear.labels == truth, linear.seconds))
    systems.append(_system("most frequent class", usual.labels == truth, usual.seconds))
    return Comparison(
        tuple(systems),
        paired_difference(systems[0].correct, systems[1].correct, seed=seed),
        paired_difference(systems[0].correct, systems[2].correct, seed=seed),
        len(split.labels),
        len(split.train),
        len(split.test),
    )


def _system(name: str, correct: NDArray[np.bool_], seconds: float) -> System:
    return System(name, wilson(int(correct.sum()), len(correct)), correct, seconds)
