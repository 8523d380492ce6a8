"""Fine-tuning a classifier for one epoch, or as much of it as the clock allows."""

from __future__ import annotations

import tempfile
from pathlib import Path

from maskwright.bench import peer
from maskwright.bench.own import check_of, timed_run
from maskwright.bench.place import LABELS
from maskwright.bench.worker import Clock, Job, Ready
from maskwright.config import FinetuneConfig
from maskwright.model import load
from maskwright.tasks.classify import Classification
from maskwright.tasks.rows import Rows
from maskwright.train.finetune import prepared
from maskwright.train.world import ALONE

__all__ = ["default", "flash", "ours", "tuned"]


def _labels(count: int) -> list[int]:
    return [at % len(LABELS) for at in range(count)]


def ours(job: Job) -> Ready:
    """``maskwright finetune`` with its defaults: the loop itself, its log included."""
    texts = job.rows()
    rows = Rows(tuple(texts), tuple(LABELS[n] for n in _labels(len(texts))), tuple(range(1, len(texts) + 1)), "bench")
    out = tempfile.TemporaryDirectory()
    config = FinetuneConfig.of(
        {
            "model": str(job.network),
            "length": job.length,
            "out": Path(out.name) / "run",
            "train": {"epochs": 1, "examples": job.batch},
        }
    )
    model = load(job.network)
    objective, loader = prepared(ALONE, model, Classification(LABELS), rows, config)
    check = check_of(model, objective, loader, config.train)
    run = timed_run(model, objective, loader, config.train, Path(out.name) / "run")

    def timed(clock: Clock) -> None:
        with out:
            run(clock)

    return Ready(timed, check)


def default(job: Job) -> Ready:
    """transformers as it comes: fp32, random batches, each padded to its longest row."""
    return _theirs(job, tuned=False)


def tuned(job: Job) -> Ready:
    """transformers as one would tune it: bf16 where that is fast, batches by length, buffers kept."""
    return _theirs(job, tuned=True)


def flash(job: Job) -> Ready:
    """The same with attention by the flash-attn package, which computes nothing on padding."""
    return _theirs(job, tuned=True, attention="flash_attention_2")


def _theirs(job: Job, tuned: bool, attention: str | None = None) -> Ready:
    import transformers

    net = transformers.AutoModelForSequenceClassification.from_pretrained(job.network, attn_implementation=attention)
    tokenizer = transformers.AutoTokenizer.from_pretrained(job.network)
    texts = job.rows()
    made = tokenizer(*map(list, zip(*texts, strict=True)), truncation=True, max_length=job.length)
    labels = _labels(len(texts))
    rows = [{name: made[name][n] for name in made} | {"labels": labels[n]} for n in range(len(texts))]
    collate = transformers.DataCollatorWithPadding(tokenizer)
    sizes = [len(row["input_ids"]) for row in rows]
    batches = peer.by_length(sizes, job.batch) if tuned else peer.shuffled(len(rows), job.batch)
    return peer.trained(net, rows, collate, batches, sizes, collate([dict(row) for row in rows[: peer.CHECKED]]), tuned)
