"""Fine-tuning: an encoder and labelled rows in, a model with a task out."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from maskwright import machine
from maskwright.checkpoint.folder import Card
from maskwright.config import RUNTIME, FinetuneConfig, MethodConfig
from maskwright.data.batch import Collator
from maskwright.data.loader import Loader
from maskwright.data.source import RowsSource, tokenise_rows
from maskwright.errors import ConfigError, InputError
from maskwright.evaluation.calibration import fit_temperature
from maskwright.evaluation.diagnosis import baselines, dev_scores, diagnose
from maskwright.evaluation.metrics import headline, metric
from maskwright.evaluation.runner import Taken, logits_of
from maskwright.keys import Key
from maskwright.model import Model, create, load
from maskwright.objective import Objective
from maskwright.report.log import RunLog
from maskwright.tasks import DATASETS, task_named
from maskwright.tasks.base import Task
from maskwright.tasks.classify import Classification
from maskwright.tasks.glueset import GlueSet
from maskwright.tasks.rows import Columns, Rows
from maskwright.train.budget import budget_of, micro_tokens_of, steps_of
from maskwright.train.find_lr import RateSearch, find_lr
from maskwright.train.loop import Evaluation, Finished, Run
from maskwright.train.method import frozen, objective_of, prepare_task, renew
from maskwright.train.profile import Profile, profile_steps
from maskwright.train.warmup import warmed_up
from maskwright.train.world import ALONE, World, together

__all__ = [
    "Finetuned",
    "answer",
    "finetune",
    "finetune_rows",
    "held_out",
    "prepared",
    "profile",
    "read_data",
    "search_rate",
    "start",
    "training_rows",
]


@dataclass(frozen=True)
class Finetuned:
    """What a fine-tuning gave: the best evaluated weights (or the last, as configured), and their scores on the dev rows."""

    model: Model
    task: Task
    finished: Finished
    metrics: dict[str, float]
    """On the dev rows."""
    dev_rows: int
    folder: Path
    dev_logits: NDArray[np.float32]
    """(dev rows, C): the scores of each row."""


def training_rows(config: FinetuneConfig) -> tuple[Task, Rows]:
    """Return the task and all rows of the training file of a configuration."""
    if config.data is None:
        raise ConfigError("data: name the training file, or the folder of the data set")
    if config.task in DATASETS:
        usual = FinetuneConfig.model_fields
        changed = [name for name in ("text", "pair", "label") if getattr(config, name) != usual[name].default]
        if changed:
            raise ConfigError(f"{changed[0]}: the columns of {config.task} are known; leave it out")
        files: GlueSet = DATASETS[config.task].load()
        return files.task(), files.read(config.data) if config.data.is_file() else files.rows(config.data, "train")
    kind = task_named(config.task).load()
    rows = kind.read(config.data, Columns(config.text, config.pair, config.label), config.options)
    return kind.of(rows), rows


def read_data(config: FinetuneConfig) -> tuple[Task, Rows, Rows]:
    """Return the task, the training rows and the dev rows of a configuration."""
    task, rows = training_rows(config)
    assert config.data is not None
    files: GlueSet | None = DATASETS[config.task].load() if config.task in DATASETS else None
    if config.dev is not None:
        columns = Columns(config.text, config.pair, config.label)
        dev = task.read(config.dev, columns, config.options) if files is None else files.read(config.dev)
        return task, rows, dev
    if files is not None and config.data.is_dir() and files.find(config.data, "dev") is not None:
        return task, rows, files.rows(config.data, "dev")
    return task, *held_out(rows, config.dev_share, config.train.seed)


def held_out(rows: Rows, share: float, seed: int) -> tuple[Rows, Rows]:
    """Cut rows into those to train on and those to score by; InputError where there are too few."""
    order = Key(seed).stream("rows.dev").order(len(rows))
    held = round(share * len(rows))
    if not 0 < held < len(rows):
        raise InputError(f"{rows.file}: {len(rows)} rows are too few to hold out {share:.0%} of them; give --dev")
    return rows.pick(np.sort(order[held:]).tolist()), rows.pick(np.sort(order[:held]).tolist())


def finetune(config: FinetuneConfig, *, resume: bool = False, command: str = "") -> Finetuned:
    """Fine-tune as configured; the run folder receives the log, the checkpoints and ``model/``.

    Raises DataError (file, line) for rows that cannot be used, CheckpointError for the model folder, and what
    ``Run.train`` raises.
    """
    task, train_rows, dev_rows = read_data(config)
    return finetune_rows(start(config), task, train_rows, dev_rows, config, resume=resume, command=command)


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
    with together() as world, frozen(model, config):
        return _finetune(world, model, task, train_rows, dev_rows, config, resume, command, label)


def answer(done: Finetuned, rows: Rows, config: FinetuneConfig) -> NDArray[np.float32]:
    """Return the scores of further rows, (rows, C), computed as those of the dev rows were."""
    return logits_of(done.model, rows.texts, precision=config.train.precision, length=config.length)


def search_rate(config: FinetuneConfig) -> RateSearch:
    """Return what the learning-rate finder sees in this fine-tuning; nothing is written."""
    task, rows, _ = read_data(config)
    model = start(config)
    objective, loader = prepared(ALONE, model, task, rows, config)
    with frozen(model, config):
        return find_lr(model, objective, loader, config.train)


def profile(config: FinetuneConfig, steps: int) -> Profile:
    """Return where the time of this fine-tuning's steps goes; ``profile.json`` in the run folder holds it."""
    task, rows, _ = read_data(config)
    model = start(config)
    objective, loader = prepared(ALONE, model, task, rows, config)
    with frozen(model, config):
        found = profile_steps(model, objective, loader, config.train, steps)
    found.save(config.out)
    return found


def start(config: FinetuneConfig) -> Model:
    """Return the encoder that a configuration starts from."""
    model = load(config.model)
    return create(model.spec, model.tokenizer, seed=config.train.seed) if config.fresh else model


def prepared(world: World, model: Model, task: Task, rows: Rows, config: FinetuneConfig) -> tuple[Objective, Loader]:
    """Give the model the task's head; return what is trained, and the training batches."""
    train = config.train
    if config.length > model.longest:
        raise ConfigError(f"length {config.length} is more than the {model.longest} tokens that the model takes")
    prepare_task(task, rows, config)
    task.configure(config.options, rows)
    objective = objective_of(task, config)
    facts, labels = task.card()
    if model.card.task and (model.card.task.get("name"), tuple(model.card.labels)) != (facts["name"], tuple(labels)):
        # Scores of other labels are no beginning for these, even where there are as many of them.
        model.keep_heads(*(name for name in model.net.heads if not name.startswith("classify")), "pooler")
    # A fresh head must not depend on what was drawn before: two runs of one seed start from the same weights.
    with machine.seeded(train.seed):
        objective.prepare(model)
        renew(model, config)
    model.keep_heads(*task.heads)
    model.to(machine.device())
    tokenizer = model.tokenizer
    source = RowsSource(
        tokenise_rows(tokenizer, rows.texts, config.length),
        task.targets(rows),
        tokenizer.frame,
        rows.fingerprint,
    )
    return objective, Loader(
        source,
        Collator.of((objective.stage(model),), tokenizer),
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
    objective, loader = prepared(world, model, task, train_rows, config)
    steps = steps_of(train, loader, model, objective, config.out, world)
    loader = warmed_up(loader, steps, batch=train.batch_warmup, full_length=config.length)
    truth = task.numbers(dev_rows)

    def score() -> NDArray[np.float32]:
        return logits_of(model, dev_rows.texts, precision=train.precision, length=config.length)

    def evaluate() -> Evaluation:
        logits = score()
        found = metric(task.metric)(truth, task.answers(logits))
        loss = task.mean_loss(logits, truth)
        return Evaluation(Taken(loss, {task.name: loss}, {}, {task.name: len(truth)}), found, headline(found))

    run = Run(
        model,
        objective,
        loader,
        train,
        config.out,
        steps,
        identity={
            "task": config.task,
            "options": config.options,
            **config.model_dump(mode="json", include=set(_COMPUTED)),
            "train": train.model_dump(mode="json", exclude=set(RUNTIME)),
            "steps": steps,
            "data": loader.source.fingerprint,
        },
        evaluate=evaluate,
        start_record={"config": config.model_dump(mode="json"), "command": command},
        label=label,
        world=world,
    )
    finished = run.train(resume=resume)
    if config.weights == "best":
        run.use_best()
    model.eval()
    logits = score()
    task.settle(logits, truth)
    if config.calibrate and isinstance(task, Classification):
        task.temperature = fit_temperature(logits, task.targets(dev_rows).astype(np.int64))
    facts, labels = task.card()
    history = {**model.card.provenance, "finetuned": {"command": command, "task": config.task, "steps": finished.steps}}
    model.card = Card({**facts, "length": config.length, "texts": len(train_rows.texts[0])}, tuple(labels), history)
    if world.first:
        model.save(config.out / "model")
        beside = baselines(task, train_rows, dev_rows, train.seed) if config.baseline else {}
        with RunLog(config.out / "log.jsonl") as log:
            scores = dev_scores(task, truth, logits, beside)
            log.write("result", title="On the dev rows", scores=scores, **diagnose(task, dev_rows, logits))
    world.wait()
    found = metric(task.metric)(truth, task.answers(logits))
    return Finetuned(model, task, finished, found, len(dev_rows), config.out, logits)


_COMPUTED = frozenset(MethodConfig.model_fields) - {"model", "weights", "calibrate"}
"""Fields that decide what a training computes; the others are used behind its end."""
