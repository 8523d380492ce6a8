"""How a model of the study is read: by its own heads, by fresh ones on its frozen encoder, and fine-tuned as a whole."""

from __future__ import annotations

import shutil
from dataclasses import asdict
from pathlib import Path
from typing import Any

from maskwright import machine
from maskwright.config import PretrainConfig, PretrainTrainConfig
from maskwright.evaluation.runner import forward_only
from maskwright.keys import Key
from maskwright.model import Model
from maskwright.objective import Together
from maskwright.objectives.mlm import Mlm, MlmConfig
from maskwright.studies.arms import Seed, run_parts
from maskwright.studies.controls import InOrder, Longer
from maskwright.studies.fresh import Score, fit_pairs
from maskwright.studies.probe import own_scores, score_of
from maskwright.studies.protocol import TASKS
from maskwright.studies.states import States, learn_batches, parts_of, read_states
from maskwright.studies.tuned import Told
from maskwright.train.setup import Pretraining, make_objective

__all__ = ["frozen", "parts_for", "tuned"]


def parts_for(seed: Seed, model: Model, task: str) -> Pretraining:
    """Return what makes the examples of a task, on the two halves of what is held out."""
    objective: Together
    if task == "mlm":
        objective = Together([InOrder(MlmConfig())])
    elif task == "longer":
        objective = Together([Mlm(MlmConfig()), Longer()])
    else:
        options = {"nsp": {"random_rate": seed.config.random_rate}} if task == "nsp" else {}
        objective = make_objective(f"mlm,{task}", options)
    return parts_of(
        model.to(machine.device()),
        seed.corpus,
        objective,
        seed.documents,
        length=seed.config.length,
        short_rate=PretrainConfig.model_fields["short_rate"].default,
        seed=seed.seed,
    )


def frozen(seed: Seed, model: Model) -> dict[str, Any]:
    """Score the model's own heads, and fresh ones on its frozen encoder; labels by lot are called ``lot``."""
    dtype = machine.precision("auto", machine.device())
    own: dict[str, Any] = {}
    fresh: dict[str, Any] = {}
    for task in ("mlm", *TASKS):
        parts = parts_for(seed, model, task)
        if task in model.net.heads:
            own[task] = asdict(own_scores(parts)[task])
        if task == "mlm":
            continue
        learn = read_states(model, learn_batches(parts, seed.config.examples), [task], dtype)[task]
        scored = read_states(model, parts.heldout_batches(), [task], dtype)[task]
        fresh[task] = asdict(fit_pairs(learn, scored, seed.seed))
        if task == "sop":
            lot = Key(seed.seed).stream("study.lot")
            by_lot = [States(one.x_ED, lot.integers(2, len(one.y_E))) for one in (learn, scored)]
            fresh["lot"] = asdict(fit_pairs(by_lot[0], by_lot[1], seed.seed))
    return {"own": own, "frozen": fresh}


def tuned(seed: Seed, model: Model, task: str, folder: Path) -> Score:
    """Fine-tune the whole encoder on pairs of the documents to learn from, and score it; ``folder`` is for the run."""
    parts = parts_for(seed, model, task)
    told = Told(parts.objective, task).to(machine.device())
    with machine.seeded(seed.seed):
        told.prepare(model)
    model.keep_heads(*told.heads)
    train = seed.config.train.model_dump(exclude={"steps", "epochs", "minutes", "seed", "tokens", "examples"})
    changed = {"examples": seed.config.tune_examples, "steps": seed.config.tune_steps, "lr": seed.config.tune_lr}
    config = parts.config.model_copy(
        update={"out": folder, "train": PretrainTrainConfig.of(train | changed | {"seed": seed.seed})}
    )
    parts = Pretraining(
        config, parts.corpus, parts.column, model, Together([told]), parts.train_documents, parts.held_documents
    )
    run_parts(parts, seed.config.tune_steps, f"seed {seed.seed}, {task}")
    taken = forward_only(model, parts.objective, parts.heldout_batches(), machine.precision("auto", model.device))
    shutil.rmtree(folder)
    return score_of(taken, task)
