"""Vectors that follow similarity: raw weights, trained with Maskwright, trained with ``sentence-transformers``.

    python bench/similar.py --model FOLDER --data SHARED/data [--rows 1500] [--seeds 2] [--threads 1]

FOLDER: a BERT-like encoder whose vectors are means.  DATA holds glue/STS-B, glue/MNLI and sts/.  Trained is

    cosine      on STS-B's training rows with the squared error of the cosine
    in-batch    on MNLI's entailed pairs with the step's other texts as negatives

on the same rows, in as many steps of 32 rows, with AdamW (weight decay 0.01 but on biases and norms), a linear schedule with
a tenth of warm-up, rate 2e-5, 64 tokens, dropout as in the folder, fp32.  Theirs is its model, tokenisation, padding and
losses in a plain PyTorch loop (its Trainer needs accelerate); order and dropout are drawn differently.  Both are scored by the
same code, on the vectors of each: Spearman x 100 on STS-B's dev rows and on all pairs of STS 2016, the median over the seeds
(least–most).  Seconds are those of training alone; ours writes a log, a checkpoint at the end and the model.
"""

from __future__ import annotations

import argparse
import json
import lzma
import math
import random
import statistics
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch

from maskwright.evaluation.similar import score_pairs
from maskwright.evaluation.sts import read_sts
from maskwright.model import load
from maskwright.tasks.rows import Columns, Rows, read_rows
from maskwright.tasks.similar_config import SimilarityConfig
from maskwright.train.similar import train_similarity_rows

RATE, WARMUP, LENGTH, EXAMPLES = 2e-5, 0.1, 64, 32
Vectors = Callable[[list[str]], Any]


class Scored:
    """Stands for a model where only vectors are asked for."""

    def __init__(self, vectors: Vectors) -> None:
        self.vectors = vectors

    def encode(self, texts: list[str], pooling: str | None = None) -> Any:
        return self.vectors(list(texts))


def data_of(folder: Path, loss: str, rows: int) -> Rows:
    """So many training rows, the first of the file."""
    if loss == "cosine":
        found = read_rows(folder / "glue/STS-B/train.tsv.xz", Columns("sentence1", "sentence2", "score"))
        order = random.Random(0).sample(range(len(found)), rows)  # the file is sorted by source
        return Rows(
            *(tuple(each[at] for at in order) for each in (found.texts, found.labels or (), found.lines)), "STS-B"
        )
    with lzma.open(folder / "glue/MNLI/dev_matched.jsonl.xz", "rt", encoding="utf-8") as lines:
        records = [json.loads(line) for line in lines]
    pairs = [(r["premise"], r["hypothesis"]) for r in records if r["label"] == "entailment"]
    pairs = [pair for pair in pairs if all(text.strip() for text in pair)][:rows]
    return Rows(tuple(pairs), None, tuple(range(1, len(pairs) + 1)), "MNLI")


def ours(args: argparse.Namespace, rows: Rows, loss: str, seed: int) -> tuple[Vectors, float]:
    options = {"high": 5} if loss == "cosine" else {"temperature": 0.05}
    train = {
        "epochs": 1,
        "examples": EXAMPLES,
        "lr": RATE,
        "warmup": WARMUP,
        "weight_decay": 0.01,
        "precision": "fp32",
        "save_every": 1_000_000,  # theirs keeps no checkpoints
        "seed": seed,
    }
    with tempfile.TemporaryDirectory() as out:
        config = SimilarityConfig.of(
            {
                "model": str(args.model),
                "data": "-",
                "loss": loss,
                "options": options,
                "length": LENGTH,
                "out": Path(out) / "run",
                "train": train,
            }
        )
        model = load(args.model)
        began = time.perf_counter()
        done = train_similarity_rows(model, rows, None, config)
        return done.model.encode, time.perf_counter() - began


def theirs(args: argparse.Namespace, rows: Rows, loss: str, seed: int) -> tuple[Vectors, float]:
    from sentence_transformers import SentenceTransformer
    from sentence_transformers.sentence_transformer import losses

    torch.manual_seed(seed)
    model = SentenceTransformer(str(args.model), device="cpu")
    if len(model) == 3:  # the length of a vector does not change a cosine
        del model[2]
    model.max_seq_length = LENGTH
    kinds = {"cosine": losses.CosineSimilarityLoss, "in-batch": losses.MultipleNegativesRankingLoss}
    measure = kinds[loss](model)
    labels = None if rows.labels is None else [float(label) / 5 for label in rows.labels]
    plain = [p for n, p in model.named_parameters() if n.endswith("bias") or "LayerNorm" in n]
    held = {id(p) for p in plain}
    decayed = [p for p in model.parameters() if id(p) not in held]
    optimizer = torch.optim.AdamW(
        [{"params": decayed}, {"params": plain, "weight_decay": 0.0}], lr=RATE, weight_decay=0.01
    )
    steps = math.ceil(len(rows) / EXAMPLES)
    warm = math.ceil(WARMUP * steps)
    schedule = torch.optim.lr_scheduler.LambdaLR(
        optimizer, lambda s: s / warm if s < warm else (steps - s) / max(1, steps - warm)
    )
    began = time.perf_counter()
    model.train()
    order = random.Random(seed).sample(range(len(rows)), len(rows))
    tokenize = getattr(model, "preprocess", None) or model.tokenize
    for at in range(0, len(rows), EXAMPLES):
        numbers = order[at : at + EXAMPLES]
        features = [tokenize([rows.texts[n][side] for n in numbers]) for side in (0, 1)]
        value = measure(features, None if labels is None else torch.tensor([labels[n] for n in numbers]))
        value.backward()
        torch.nn.utils.clip_grad_norm_(model.parameters(), 1.0)
        optimizer.step()
        schedule.step()
        optimizer.zero_grad()
    seconds = time.perf_counter() - began
    model.eval()
    return lambda texts: model.encode(texts, show_progress_bar=False), seconds


def scores(args: argparse.Namespace, vectors: Vectors) -> tuple[float, ...]:
    model: Any = Scored(vectors)
    dev = read_rows(args.data / "glue/STS-B/dev.tsv.xz", Columns("sentence1", "sentence2", "score"))
    both = [read_sts(path) for path in sorted((args.data / "sts/2016").glob("*.test.tsv*"))]
    parts = [
        tuple(each for rows in both for each in getattr(rows, name) or ()) for name in ("texts", "labels", "lines")
    ]
    return tuple(100 * score_pairs(model, rows)["spearman"].value for rows in (dev, Rows(*parts, "STS 2016")))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--model", type=Path, required=True)
    parser.add_argument("--data", type=Path, required=True)
    for name, value in (("rows", 1500), ("seeds", 2), ("threads", 1)):
        parser.add_argument(f"--{name}", type=int, default=value)
    args = parser.parse_args()
    torch.set_num_threads(args.threads)
    raw = scores(args, load(args.model).encode)
    print(f"raw mean                      STS-B dev {raw[0]:.2f}   STS 2016 {raw[1]:.2f}", flush=True)
    for loss in ("cosine", "in-batch"):
        rows = data_of(args.data, loss, args.rows)
        sides = {"maskwright": ours, "sentence-transformers": theirs}
        all_found: dict[str, list[tuple[float, ...]]] = {name: [] for name in sides}
        for seed in range(args.seeds):
            for name, side in sides.items():  # in turns, for other programs may come and go
                vectors, seconds = side(args, rows, loss, seed)
                all_found[name].append((*scores(args, vectors), seconds))
        for name, found in all_found.items():
            text = "   ".join(
                f"{what} {statistics.median(each):.2f} ({min(each):.2f}–{max(each):.2f})"
                for what, each in zip(("STS-B dev", "STS 2016", "seconds"), zip(*found, strict=True), strict=True)
            )
            print(f"{loss:9}{name:22}{text}   ({len(rows)} rows, {args.seeds} seeds)", flush=True)


if __name__ == "__main__":
    main()
