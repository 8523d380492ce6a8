"""Eight texts a class: TF-IDF, plain fine-tuning, a logistic regression on raw vectors, and the same after contrastive pairs.

    python bench/few_shot.py --model FOLDER --data SST-2 [--each 8] [--seeds 5] [--rows 872] [--threads 1]

FOLDER: an encoder whose vectors mean something already.  DATA: a folder with SST-2's train.tsv and dev.tsv (also .xz).  Each
seed draws other texts from the training rows; every method sees the same ones.  Pairs: 20 rounds, one epoch, 16 a step, rate
2e-5.  Fine-tuning: 20 epochs of one step each, rate 5e-5, the last weights.  Reported: accuracy x 100 on the first dev rows,
the mean over the seeds (least–most), and the seconds of training.
"""

from __future__ import annotations

import argparse
import statistics
import tempfile
import time
from pathlib import Path

import numpy as np
import torch
from sklearn.linear_model import LogisticRegression

from maskwright.config import FinetuneConfig
from maskwright.evaluation.baseline import tfidf_logistic
from maskwright.evaluation.runner import logits_of
from maskwright.model import load
from maskwright.tasks.classify import Classification
from maskwright.tasks.few_config import FewShotConfig
from maskwright.tasks.glue import SST2
from maskwright.tasks.rows import Rows
from maskwright.train.few_shot import few_rows, few_shot_rows
from maskwright.train.finetune import finetune_rows


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--model", type=Path, required=True)
    parser.add_argument("--data", type=Path, required=True)
    for name, value in (("each", 8), ("seeds", 5), ("rows", 872), ("threads", 1)):
        parser.add_argument(f"--{name}", type=int, default=value)
    args = parser.parse_args()
    torch.set_num_threads(args.threads)
    train, dev = SST2.rows(args.data, "train"), SST2.rows(args.data, "dev")
    dev = dev.pick(range(min(args.rows, len(dev))))
    tests, truth = [text for (text,) in dev.texts], np.array(dev.labels)
    raw = load(args.model)
    there = raw.encode(tests)
    found: dict[str, list[float]] = {}
    for seed in range(args.seeds):
        rows, _ = few_rows(train, args.each, seed=seed)
        texts, labels = [text for (text,) in rows.texts], np.array(rows.labels)
        scores = {"TF-IDF": float(np.mean(tfidf_logistic(texts, labels, tests).labels == truth))}
        fitted = LogisticRegression(max_iter=10_000).fit(raw.encode(texts), labels)
        scores["raw vectors"] = float(np.mean(fitted.predict(there) == truth))
        with tempfile.TemporaryDirectory() as out:
            scores["fine-tuning"], scores["seconds of it"] = fine_tuned(args.model, rows, dev, seed, Path(out))
            began = time.perf_counter()
            train_options = {"seed": seed, "precision": "fp32"}
            config = FewShotConfig.of(
                {"model": str(args.model), "data": rows.file, "out": Path(out) / "few", "train": train_options}
            )
            made = few_shot_rows(load(args.model), rows, None, config)
            scores["seconds of pairs"] = time.perf_counter() - began
            scores["contrastive"] = right(made.task.answers(logits_of(made.model, dev.texts)), made.task, dev)
        print({name: round(value, 4) for name, value in scores.items()}, flush=True)
        for name, value in scores.items():
            found.setdefault(name, []).append(value)
    for name, values in found.items():
        scale = 1 if name.startswith("seconds") else 100
        scaled = [scale * value for value in values]
        spread = f", sd {statistics.stdev(scaled):.2f}" if len(scaled) > 1 else ""
        print(f"{name:16} {statistics.mean(scaled):6.2f} ({min(scaled):.2f}–{max(scaled):.2f}{spread})")


def fine_tuned(model: Path, rows: Rows, dev: Rows, seed: int, out: Path) -> tuple[float, float]:
    """Accuracy on the dev rows, and seconds."""
    began = time.perf_counter()
    steps = {"epochs": 20.0, "examples": len(rows), "seed": seed, "precision": "fp32", "evaluate_every": 20}
    config = FinetuneConfig.of(
        {
            "model": str(model),
            "data": rows.file,
            "out": out / "ft",
            "weights": "last",
            "baseline": False,
            "train": steps,
        }
    )
    # Scored by the rows it learns from: dev rows must not choose anything.
    made = finetune_rows(load(model), Classification.of(rows), rows, rows, config)
    seconds = time.perf_counter() - began
    return right(made.task.answers(logits_of(made.model, dev.texts)), made.task, dev), seconds


def right(answers: np.ndarray, task: Classification, dev: Rows) -> float:
    """Share of answers that are right."""
    return float(np.mean(answers == task.numbers(dev)))


if __name__ == "__main__":
    main()
