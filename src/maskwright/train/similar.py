"""Training a bi-encoder: an encoder and rows of texts in, a model whose vectors can be compared out."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np

from maskwright import machine
from maskwright.checkpoint.folder import Card
from maskwright.config import RUNTIME
from maskwright.data.loader import Loader
from maskwright.data.several import SideBySide
from maskwright.errors import ConfigError
from maskwright.evaluation.metrics import metric
from maskwright.evaluation.runner import Taken
from maskwright.evaluation.similar import METRIC, cosines, pair_baselines, pair_result
from maskwright.model import Model, load
from maskwright.report.log import RunLog
from maskwright.tasks.rows import Columns, Rows, read_rows
from maskwright.tasks.similar import Similarity, labels_of, make_loss, source_of
from maskwright.tasks.similar_config import SimilarityConfig
from maskwright.tasks.similar_rows import read_examples
from maskwright.train.budget import budget_of, micro_tokens_of, steps_of
from maskwright.train.loop import Evaluation, Finished, Run
from maskwright.train.profile import Profile, profile_steps
from maskwright.train.warmup import warmed_up
from maskwright.train.world import ALONE, World, together

__all__ = ["Trained", "prepared", "profile_similarity", "train_similarity", "train_similarity_rows"]


@dataclass(frozen=True)
class Trained:
    """What a training gave."""

    model: Model
    finished: Finished
    metrics: dict[str, float]
    """On the dev pairs; empty where there are none."""
    folder: Path


def train_similarity(config: SimilarityConfig, *, resume: bool = False, command: str = "") -> Trained:
    """Train as configured; the run folder receives the log, the checkpoints and ``model/``.

    Raises DataError (file, line) for rows that cannot be used, ConfigError for columns and options that do not fit the loss,
    CheckpointError for the model folder, and what ``Run.train`` raises.
    """
    rows = read_examples(config)
    columns = Columns(config.dev_text, config.dev_pair, config.dev_label, ("dev-text", "dev-pair", "dev-label"))
    dev = None if config.dev is None else read_rows(config.dev, columns)
    return train_similarity_rows(load(config.model), rows, dev, config, resume=resume, command=command)


def train_similarity_rows(
    model: Model,
    rows: Rows,
    dev: Rows | None,
    config: SimilarityConfig,
    *,
    resume: bool = False,
    command: str = "",
    label: str = "similarity",
) -> Trained:
    """Train on rows already read; see ``train_similarity``.  The model is changed.

    Started by torchrun, all its processes call this; the first one writes.
    """
    with together() as world:
        return _train(world, model, rows, dev, config, resume, command, label)


def profile_similarity(config: SimilarityConfig, steps: int) -> Profile:
    """Return where the time of this training's steps goes; ``profile.json`` in the run folder holds it."""
    rows, model = read_examples(config), load(config.model)
    objective, loader = prepared(ALONE, model, rows, config)
    found = profile_steps(model, objective, loader, config.train, steps)
    found.save(config.out)
    return found


def prepared(world: World, model: Model, rows: Rows, config: SimilarityConfig) -> tuple[Similarity, Loader]:
    """Return what is trained, and the training batches; the model loses its heads."""
    train = config.train
    if config.length > model.longest:
        raise ConfigError(f"length {config.length} is more than the {model.longest} tokens that the model takes")
    with machine.seeded(train.seed):
        objective = Similarity(make_loss(config.loss, config.options, model.spec.width, rows), config.pooling)
    objective.prepare(model)
    model.keep_heads("pooler")  # not read here, but with it the folder is the family's plain model
    model.to(machine.device())
    objective.to(model.device)
    return objective, Loader(
        source_of(model, rows, labels_of(objective.loss, rows), config.length, rows.fingerprint),
        SideBySide.of((), model.tokenizer),
        budget_of(train),
        train.seed,
        train.workers,
        micro_tokens_of(train, model, _every(rows, config), config.out, world),
        world.rank,
        world.size,
    )


def _every(rows: Rows, config: SimilarityConfig) -> int:
    """Tokens in the longest row, all of its texts."""
    return config.length * len(rows.texts[0])


def _train(
    world: World,
    model: Model,
    rows: Rows,
    dev: Rows | None,
    config: SimilarityConfig,
    resume: bool,
    command: str,
    label: str,
) -> Trained:
    train = config.train
    objective, loader = prepared(world, model, rows, config)
    steps = steps_of(train, loader, model, objective, config.out, world)
    loader = warmed_up(loader, steps, batch=train.batch_warmup, full_length=_every(rows, config))
    truth = None if dev is None else np.array(dev.numbers())
    beside = {}
    if dev is not None and truth is not None and config.baseline and world.first:
        begun = metric(METRIC)(truth, cosines(model, dev.texts, pooling=config.pooling))
        values = np.array(rows.numbers()) if objective.loss.labels in ("number", "binary") else None
        beside = {"before training": begun, **pair_baselines(rows, values, dev)}

    def evaluate() -> Evaluation:
        assert dev is not None and truth is not None
        found = metric(METRIC)(truth, cosines(model, dev.texts, pooling=config.pooling))
        # The loss of a step depends on the rows it was drawn with, so what is logged is how far the order is from right.
        lack = 1 - found["spearman"]
        return Evaluation(Taken(lack, {"1 - spearman": lack}, {}, {"pairs": len(truth)}), found, found["spearman"])

    run = Run(
        model,
        objective,
        loader,
        train,
        config.out,
        steps,
        identity={
            **config.model_dump(mode="json", include={"loss", "options", "pooling", "length"}),
            "train": train.model_dump(mode="json", exclude=set(RUNTIME)),
            "steps": steps,
            "data": loader.source.fingerprint,
        },
        evaluate=None if dev is None else evaluate,
        start_record={"config": config.model_dump(mode="json"), "command": command},
        label=label,
        world=world,
    )
    finished = run.train(resume=resume)
    run.use_best()
    model.eval()
    facts = {"name": objective.name, "pooling": config.pooling, "loss": config.loss, "length": config.length}
    history = {"command": command, "loss": config.loss, "steps": finished.steps}
    model.card = Card(facts, (), {**model.card.provenance, "similarity": history})
    said = None if dev is None else cosines(model, dev.texts)
    if world.first:
        model.save(config.out / "model")
        if dev is not None and said is not None:
            with RunLog(config.out / "log.jsonl") as log:
                log.write("result", title="Cosine against the dev pairs", **pair_result(dev, said, beside))
    world.wait()
    found = {} if truth is None or said is None else metric(METRIC)(truth, said)
    return Trained(model, finished, found, config.out)
