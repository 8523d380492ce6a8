"""One fine-tuning by us and by transformers' Trainer, from the same folder: weights, fresh head, order of rows, settings."""

from __future__ import annotations

import json
import math
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple
from unittest import mock

import numpy as np
from labelled import Labelled
from numpy.typing import NDArray
from torch.utils.data import DataLoader, Sampler

from maskwright import machine
from maskwright.config import FinetuneConfig
from maskwright.evaluation.metrics import metric
from maskwright.keys import Key
from maskwright.model import create, load
from maskwright.report.log import RunLog
from maskwright.tasks.base import Task
from maskwright.tasks.multilabel import MultiLabel
from maskwright.tasks.rows import Rows
from maskwright.train.finetune import answer, finetune_rows


@dataclass(frozen=True)
class Settings:
    """What both sides are told."""

    epochs: int
    batch: int
    lr: float
    length: int
    precision: str
    """fp32, or bf16: autocast on both sides."""
    dropout: float | None
    """Of every kind; None: as in the model's folder."""


class Trained(NamedTuple):
    """What one side gave."""

    logits_BC: NDArray[np.float32]
    """Of the dev rows."""
    seconds: float
    """Of the training, evaluation not in it."""
    cpu: float
    """Seconds of processor time of the same span, all threads."""


def begin(model: Path, fresh: bool, data: Labelled, seed: int, settings: Settings, folder: Path) -> None:
    """Write the folder that both start from: the encoder with a fresh head for the task, drawn by the seed."""
    net = load(model)
    if fresh:
        net = create(net.spec, net.tokenizer, seed=seed)
    task = data.files.task()
    task.configure({}, data.train)
    with machine.seeded(seed):
        task.prepare(net)
    net.keep_heads(*task.heads)
    net.save(folder)
    if settings.dropout is not None:
        config = json.loads((folder / "config.json").read_text("utf-8"))
        for name in ("hidden_dropout_prob", "attention_probs_dropout_prob"):
            config[name] = settings.dropout
        (folder / "config.json").write_text(json.dumps(config), "utf-8")
        (folder / "maskwright.json").unlink()  # it seals what has just been changed


def scores_of(data: Labelled, logits_BC: NDArray[np.float32]) -> dict[str, float]:
    """Return the task's scores; of several labels also F1 on one half of the rows at the thresholds of the other half."""
    task: Task = data.files.task()
    truth = task.numbers(data.dev)
    found = metric(data.files.metric)(truth, task.answers(logits_BC))
    if isinstance(task, MultiLabel):
        task.settle(logits_BC[::2], truth[::2])
        tuned = metric(data.files.metric)(truth[1::2], task.answers(logits_BC[1::2]))
        found |= {f"tuned_{name}": value for name, value in tuned.items() if name.endswith("f1")}
    return found


def majority(data: Labelled) -> dict[str, float]:
    """Return the scores of the training rows' most frequent class; of values and of several labels there is none."""
    if data.files.labels is None or data.files.several:
        return {}
    task: Task = data.files.task()
    often = np.bincount(task.numbers(data.train).astype(np.int64)).argmax()
    truth = task.numbers(data.dev)
    return metric(data.files.metric)(truth, np.full(len(truth), float(often)))


def ours(start: Path, data: Labelled, seed: int, settings: Settings, folder: Path) -> Trained:
    train = {"epochs": settings.epochs, "examples": settings.batch, "lr": settings.lr, "seed": seed}
    # One evaluation and one checkpoint, at the end: the Trainer has none either.
    train |= {"precision": settings.precision, "evaluate_every": 10**9, "save_every": 10**9}
    config = FinetuneConfig.of(
        {"model": str(start), "length": settings.length, "out": folder / "run", "train": train}
        | {"weights": "last", "baseline": False}
    )
    marks: list[tuple[str, float, float]] = []
    write = RunLog.write

    def marked(log: RunLog, kind: str, /, **fields: Any) -> Any:
        marks.append((kind, time.perf_counter(), time.process_time()))
        return write(log, kind, **fields)

    # What is evaluated behind the last step is not timed, and is one row: the dev rows are scored below.
    with mock.patch.object(RunLog, "write", marked):
        done = finetune_rows(load(start), data.files.task(), data.train, data.dev.pick([0]), config, label="ours")
    # From the start to the last step's record: making batches is in it.
    first, last = marks[0], [mark for mark in marks if mark[0] == "step"][-1]
    return Trained(answer(done, data.dev, config), last[1] - first[1], last[2] - first[2])


def theirs(start: Path, data: Labelled, seed: int, settings: Settings, folder: Path) -> Trained:
    import transformers

    transformers.logging.set_verbosity_error()
    transformers.set_seed(seed)
    task = data.files.task()
    classes = 1 if data.files.labels is None else len(data.files.labels)
    kind = "multi_label" if data.files.several else "single_label"
    net = transformers.AutoModelForSequenceClassification.from_pretrained(
        start, num_labels=classes, problem_type="regression" if classes == 1 else f"{kind}_classification"
    )
    tokenizer = transformers.AutoTokenizer.from_pretrained(start)

    def encoded(rows: Rows) -> list[dict[str, Any]]:
        parts = list(zip(*rows.texts, strict=True))
        made = tokenizer(*map(list, parts), truncation=True, max_length=settings.length)
        labels = task.numbers(rows)
        of_row = (
            (lambda at: int(labels[at])) if kind == "single_label" and classes > 1 else (lambda at: labels[at].tolist())
        )
        return [{name: made[name][n] for name in made} | {"labels": of_row(n)} for n in range(len(rows))]

    class InOurOrder(transformers.Trainer):  # type: ignore[misc]
        def get_train_dataloader(self) -> Any:
            loader = DataLoader(
                self.train_dataset,
                batch_size=settings.batch,
                sampler=Order(len(data.train), seed),
                collate_fn=self.data_collator,
            )
            return self.accelerator.prepare(loader)

    steps = math.ceil(len(data.train) / settings.batch) * settings.epochs
    trainer = InOurOrder(
        model=net,
        args=transformers.TrainingArguments(
            output_dir=str(folder / "trainer"),
            per_device_train_batch_size=settings.batch,
            per_device_eval_batch_size=64,
            num_train_epochs=settings.epochs,
            learning_rate=settings.lr,
            weight_decay=0.01,
            warmup_steps=math.ceil(0.1 * steps),
            lr_scheduler_type="linear",
            max_grad_norm=1.0,
            bf16=settings.precision == "bf16",
            seed=seed,
            use_cpu=True,
            report_to=[],
            save_strategy="no",
            logging_strategy="no",
            disable_tqdm=True,
            dataloader_pin_memory=False,
        ),
        train_dataset=encoded(data.train),
        data_collator=transformers.DataCollatorWithPadding(tokenizer),
    )
    begun, used = time.perf_counter(), time.process_time()
    trainer.train()
    seconds, cpu = time.perf_counter() - begun, time.process_time() - used
    logits = trainer.predict(encoded(data.dev)).predictions
    return Trained(np.asarray(logits, np.float32), seconds, cpu)


class Order(Sampler[int]):
    """Our order of the rows in each epoch, for the Trainer."""

    def __init__(self, rows: int, seed: int) -> None:
        self.rows, self.seed, self.epoch = rows, seed, 0

    def __len__(self) -> int:
        return self.rows

    def set_epoch(self, epoch: int) -> None:
        self.epoch = epoch

    def __iter__(self) -> Iterator[int]:
        order: Sequence[int] = Key(self.seed, self.epoch).stream("plan.order").order(self.rows).tolist()
        return iter(order)
