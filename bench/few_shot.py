"""Eight texts a class: TF-IDF, a logistic regression on raw vectors, and the same after contrastive pairs.

    python bench/few_shot.py --model FOLDER --data SST-2 [--each 8] [--seeds 5] [--rows 872] [--threads 1]

FOLDER: an encoder whose vectors mean something already.  DATA: a folder with SST-2's train.tsv and dev.tsv (also .xz).  Each
seed draws other texts from the training rows; every method sees the same ones.  Pairs: 20 rounds, one epoch, 16 a step, rate
2e-5.  Reported: accuracy x 100 on the first dev rows, the mean over the seeds (least–most), and the seconds of training.
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

from maskwright.evaluation.baseline import tfidf_logistic
from maskwright.model import load
from maskwright.tasks.glue import SST2
from maskwright.train.few_shot import few_rows, few_shot


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--model", type=Path, required=True)
    parser.add_argument("--data", type=Path, required=True)
    for name, value in (("each", 8), ("seeds", 5), ("rows", 872), ("threads", 1)):
        parser.add_argument(f"--{name}", type=int, default=value)
    args = parser.parse_args()
    torch.set_num_threads(args.threads)
    train, dev = SST2.rows(args.data, "train"), SST2.rows(args.data, "dev")
    tests, truth = [text for (text,) in dev.texts[: args.rows]], np.array(dev.labels)[: args.rows]
    raw = load(args.model)
    there = raw.encode(tests)
    found: dict[str, list[float]] = {"TF-IDF": [], "raw vectors": [], "contrastive": [], "seconds": []}
    for seed in range(args.seeds):
        rows = few_rows(train, args.each, seed=seed)
        texts, labels = [text for (text,) in rows.texts], np.array(rows.labels)
        found["TF-IDF"].append(float(np.mean(tfidf_logistic(texts, labels, tests).labels == truth)))
        fitted = LogisticRegression(max_iter=10_000).fit(raw.encode(texts), labels)
        found["raw vectors"].append(float(np.mean(fitted.predict(there) == truth)))
        with tempfile.TemporaryDirectory() as out:
            began = time.perf_counter()
            made = few_shot(load(args.model), rows, Path(out) / "few", seed=seed, precision="fp32")
            found["seconds"].append(time.perf_counter() - began)
        said = np.array([answer["label"] for answer in made.predict(tests)])
        found["contrastive"].append(float(np.mean(said == truth)))
        print({name: round(values[-1], 4) for name, values in found.items()}, flush=True)
    for name, values in found.items():
        scale = 1 if name == "seconds" else 100
        scaled = [scale * value for value in values]
        print(f"{name:12} {statistics.mean(scaled):6.2f} ({min(scaled):.2f}–{max(scaled):.2f})")


if __name__ == "__main__":
    main()
