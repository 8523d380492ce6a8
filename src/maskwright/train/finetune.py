"""Fine-tuning: an encoder and labelled rows in, a model with a task out."""

from __future__ import annotations

import hashlib
import json
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from maskwright import machine
from maskwright.checkpoint.folder import Card
from maskwright.config import RUNTIME, FinetuneConfig
from maskwright.data.batch import Collator
from maskwright.data.loader import Loader
from maskwright.data.source import RowsSource, tokenise_rows
from maskwright.errors import ConfigError, InputError
from maskwright.evaluation.metrics import headline, metric
from maskwright.evaluation.runner import Taken, logits_of
from maskwright.keys import Key
from maskwright.model import Model, create, load
from maskwright.tasks import DATASETS, TASKS
from maskwright.tasks.base import Task
from maskwright.tasks.rows import Columns, Rows
from maskwright.train.budget import budget_of, micro_tokens_of, steps_of
from maskwright.train.find_lr import RateSearch, find_lr
from maskwright.train.loop import Evaluation, Finished, Run
from maskwright.train.warmup import warmed_up
from maskwright.train.world import ALONE, World, together

__all__ = ["Finetuned", "finetune", "finetune_rows", "read_data", "search_rate"]


@dataclass(frozen=True)
class Finetuned:
    """What a fine-tuning gave: the best evaluated weights, and their scores on the dev rows."""

    model: Model
    task: Task
    finished: Finished
    metrics: dict[str, float]
    """On the dev rows."""
    dev_rows: int
    folder: Path


def read_data(config: FinetuneConfig) -> tuple[Task, Rows, Rows]:
    """Return the task, the training rows and the dev rows of a configuration."""
    if config.data is None:
        raise ConfigError("data: name the training file, or the folder of the data set")
    if config.task in DATASETS:
        files = DATASETS[config.task].load()
        return files.task(), files.rows(config.data, "train"), files.rows(config.data, "dev")
    kind = TASKS[config.task].load()
    columns = Columns(config.text, config.pair, config.label)
    rows = kind.read(config.data, columns, config.options)
    task: Task = kind.of(rows)
    if config.dev is not None:
        return task, rows, kind.read(config.dev, columns, config.options)
    order = Key(config.train.seed).stream("rows.dev").order(len(rows))
    held = round(config.dev_share * len(rows))
    if not 0 < held < len(rows):
        raise InputError(
            f"{config.data}: {len(rows)} rows are too few to hold out {config.dev_share:.0%} of them; give --dev"
        )
    return task, _pick(rows, np.sort(order[held:]).tolist()), _pick(rows, np.sort(order[:held]).tolist())


def _pick(rows: Rows, numbers: list[int]) -> Rows:
    assert rows.labels is not None
    return Rows(
        tuple(rows.texts[n] for n in numbers),
        tuple(rows.labels[n] for n in numbers),
        tuple(rows.lines[n] for n in numbers),
        rows.file,
    )


def finetune(config: FinetuneConfig, *, resume: bool = False, command: str = "") -> Finetuned:
    """Fine-tune as configured; the run folder receives the log, the checkpoints and ``model/``.

    Raises DataError (file, line) for rows that cannot be used, CheckpointError for the model folder, and what
    ``Run.train`` raises.
    """
    task, train_rows, dev_rows = read_data(config)
    return finetune_rows(_start(config), task, train_rows, dev_rows, config, resume=resume, command=command)


def finetune_rows(
    model: Model,
    task: Task,
    train_rows: Rows,
    dev_rows: Rows,
    config: FinetuneConfig,
    *,
    resume: bool = False,
    command: str = "",
    label: str = "fine-tuning",
) -> Finetuned:
    """Fine-tune a model on rows already read; see ``finetune``.  The model is changed.

    Started by torchrun, all its processes call this; the first one writes.
    """
    with together() as world:
        return _finetune(world, model, task, train_rows, dev_rows, config, resume, command, label)


def search_rate(config: FinetuneConfig) -> RateSearch:
    """Return what the learning-rate finder sees in this fine-tuning; nothing is written."""
    task, rows, _ = read_data(config)
    model = _start(config)
    loader = _loader(ALONE, model, task, rows, config)
    return find_lr(model, task, loader, config.train)


def _start(config: FinetuneConfig) -> Model:
    model = load(config.model)
    return create(model.spec, model.tokenizer, seed=config.train.seed) if config.fresh else model


def _loader(world: World, model: Model, task: Task, rows: Rows, config: FinetuneConfig) -> Loader:
    """Give the model the task's head and return the training batches."""
    train = config.train
    if config.length > model.longest:
        raise ConfigError(f"length {config.length} is more than the {model.longest} tokens that the model takes")
    task.configure(config.options, rows)
    # A fresh head must not depend on what was drawn before: two runs of one seed start from the same weights.
    with machine.seeded(train.seed):
        task.prepare(model)
    model.keep_heads(*task.heads)
    model.to(machine.device())
    tokenizer = model.tokenizer
    source = RowsSource(
        tokenise_rows(tokenizer, rows.texts, config.length),
        task.numbers(rows),
        tokenizer.cls_id,
        tokenizer.sep_id,
        _fingerprint(rows),
    )
    return Loader(
        source,
        Collator((task.stage(model),), tokenizer.pad_id),
        budget_of(train),
        train.seed,
        train.workers,
        micro_tokens_of(train, model, config.length, config.out, world),
        world.rank,
        world.size,
    )


def _finetune(
    world: World,
    model: Model,
    task: Task,
    train_rows: Rows,
    dev_rows: Rows,
    config: FinetuneConfig,
    resume: bool,
    command: str,
    label: str,
) -> Finetuned:
    train = config.train
    loader = _loader(world, model, task, train_rows, config)
    steps = steps_of(train, loader, model, task, config.out, world)
    loader = warmed_up(loader, steps, batch=train.batch_warmup, full_length=config.length)
    truth, dtype = task.numbers(dev_rows), machine.precision(train.precision, model.device)

    def evaluate() -> Evaluation:
        logits = logits_of(model, dev_rows.texts, dtype=dtype, length=config.length)
        found = metric(task.metric)(truth, task.answers(logits))
        loss = task.mean_loss(logits, truth)
        return Evaluation(Taken(loss, {task.name: loss}, {}, {task.name: len(truth)}), found, headline(found))

    run = Run(
        model,
        task,
        loader,
        train,
        config.out,
        steps,
        identity={
            **config.model_dump(mode="json", include={"task", "length", "fresh", "options"}),
            "train": train.model_dump(mode="json", exclude=set(RUNTIME)),
            "steps": steps,
            "data": loader.source.fingerprint,
        },
        evaluate=evaluate,
        start_record={
            "name": label[0].upper() + label[1:],
            "config": config.model_dump(mode="json"),
            "machine": machine.describe(),
            "command": command,
            "parameters": sum(p.numel() for p in model.parameters()),
        },
        label=label,
        world=world,
    )
    finished = run.train(resume=resume)
    run.use_best()
    model.eval()
    task.settle(logits_of(model, dev_rows.texts, dtype=dtype, length=config.length), truth)
    facts, labels = task.card()
    history = {**model.card.provenance, "finetuned": {"command": command, "task": config.task, "steps": finished.steps}}
    model.card = Card({**facts, "length": config.length}, tuple(labels), history)
    if world.first:
        model.save(config.out / "model")
    world.wait()
    return Finetuned(model, task, finished, dict(evaluate().metrics), len(dev_rows), config.out)


def _fingerprint(rows: Rows) -> str:
    """Return the SHA-256 of texts and labels, wherever they came from."""
    return hashlib.sha256(
        json.dumps([rows.texts, rows.labels], ensure_ascii=False).encode("utf-8", "surrogatepass")
    ).hexdigest()
