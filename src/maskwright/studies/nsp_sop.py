"""Next sentences or sentence order: what does each teach?  ALBERT's cross table, on models that fit the time there is.

    OUT/protocol.json                  written first; see ``studies.protocol``
    OUT/seed-0/base/ none/ nsp/ sop/   runs and models;   OUT/seed-0/beside.json  what knows nothing
    OUT/seed-0/ARM/frozen.json, tuned-nsp.json, …         scores, each written when it is whole
    OUT/study.json, OUT/report.html    everything together

A part that is finished is not done again: after an interruption give the same command.
"""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np

from maskwright import machine
from maskwright.config import PretrainConfig, PretrainTrainConfig
from maskwright.corpus.store import Corpus
from maskwright.evaluation.runner import forward_only
from maskwright.keys import Key
from maskwright.model import Model, load
from maskwright.objective import Together
from maskwright.objectives.mlm import Mlm, MlmConfig
from maskwright.report.files import write_atomic
from maskwright.studies.controls import InOrder, Longer
from maskwright.studies.fresh import Score, fit_pairs
from maskwright.studies.nsp_sop_config import NspSopConfig
from maskwright.studies.probe import beside, own_scores, score_of
from maskwright.studies.protocol import ARMS, TASKS, UNTRAINED, keep_protocol, protocol_of
from maskwright.studies.seen import Documents
from maskwright.studies.states import States, learn_batches, parts_of, read_states
from maskwright.studies.tuned import Told
from maskwright.studies.verdict import summary
from maskwright.train.loop import Run
from maskwright.train.pretrain import history_of
from maskwright.train.setup import Pretraining, held_out, make_objective

__all__ = ["run_nsp_sop"]

Tell = Callable[[str], None]


def run_nsp_sop(config: NspSopConfig, *, command: str = "", tell: Tell = lambda text: None) -> dict[str, Any]:
    """Do what is missing of the study; return everything measured, which ``study.json`` holds too.

    tell: receives a line before each part.  Raises ConfigError for a folder of another protocol, Stopped after saving, and what
    ``pretrain`` raises.
    """
    corpus = Corpus.open(config.corpus)
    corpus.verify(corpus.tokens().tokenizer_fingerprint)
    protocol = protocol_of(config, corpus)
    keep_protocol(config.out, protocol)
    cells, beside_them = [], {}
    for seed in range(config.seeds):
        one = _Seed(config, corpus, seed, tell)
        beside_them[str(seed)] = one.beside()
        cells += [one.cell(arm) for arm in (UNTRAINED, *ARMS)]
    found = {
        "protocol": protocol,
        "command": command,
        "machine": machine.describe(),
        "cells": cells,
        "beside": beside_them,
        "summary": summary(cells, beside_them),
    }
    _write(config.out / "study.json", found)
    return found


@dataclass(frozen=True)
class _Seed:
    """Everything that one seed decides."""

    config: NspSopConfig
    corpus: Corpus
    seed: int
    tell: Tell

    @property
    def folder(self) -> Path:
        return self.config.out / f"seed-{self.seed}"

    @property
    def documents(self) -> Documents:
        """The two halves of what is held out."""
        _, held = held_out(self.corpus.tokens().documents, self.config.held_out, self.seed)
        order = held[Key(self.seed).stream("study.halves").order(len(held))]
        half = len(held) // 2
        return Documents(np.sort(order[:half]), np.sort(order[half:]), "")

    def beside(self) -> dict[str, Any]:
        """What knows nothing, on the scored documents."""
        path = self.folder / "beside.json"
        if not path.exists():
            self.tell(f"seed {self.seed}: rules that know nothing")
            model = self._begun()
            _write(path, {task: asdict(beside(self._parts(model, task), task)) for task in ("mlm", *TASKS)})
        return _read(path)

    def cell(self, arm: str) -> dict[str, Any]:
        """All scores of one model."""
        found: dict[str, Any] = {"seed": self.seed, "arm": arm}
        path = self.folder / arm / "frozen.json"
        if not path.exists():
            model = self._model(arm)
            self.tell(f"seed {self.seed}, {arm}: heads on the frozen encoder")
            _write(path, self._frozen(model))
        found |= _read(path)
        found["tuned"] = {}
        for task in TASKS if arm != UNTRAINED else ():
            path = self.folder / arm / f"tuned-{task}.json"
            if not path.exists():
                model = self._model(arm)
                self.tell(f"seed {self.seed}, {arm}: fine-tuned on {task}")
                _write(path, asdict(self._tuned(model, task, path.with_suffix(""))))
            found["tuned"][task] = _read(path)
        return found

    def _begun(self) -> Model:
        """The untrained network."""
        config = self._pretraining("base", **ARMS["none"])
        model = Pretraining.of(config).model
        model.keep_heads()
        return model

    def _model(self, arm: str) -> Model:
        """The model of an arm, trained where it is not there yet; with the heads that it was trained with alone."""
        if arm == UNTRAINED:
            return self._begun()
        path = self.folder / arm / "model"
        if not path.exists():
            model = None if arm == "base" else self._model("base")
            base = arm == "base"
            config = self._pretraining(arm, **ARMS["none" if base else arm])
            self._train(Pretraining.of(config, model), self.config.steps if base else self.config.arm_steps, arm)
        return load(path)

    def _pretraining(self, arm: str, **given: Any) -> PretrainConfig:
        options = {name: dict(values) for name, values in given.pop("objective", {}).items()}
        if arm == "nsp":
            options["nsp"] = {"random_rate": self.config.random_rate}
        train = self.config.train.model_dump(exclude={"steps", "epochs", "minutes", "seed"})
        steps = self.config.steps if arm == "base" else self.config.arm_steps
        return PretrainConfig(
            corpus=self.config.corpus,
            out=self.folder / arm / "run",
            encoder=self.config.encoder,
            objective=options,
            length=self.config.length,
            held_out=self.config.held_out,
            train=PretrainTrainConfig.of(train | {"steps": steps, "seed": self.seed}),
            **given,
        )

    def _train(self, parts: Pretraining, steps: int, arm: str) -> None:
        self.tell(f"seed {self.seed}, {arm}: pre-training, {steps:,} steps of {parts.config.objectives}")
        _run(parts, steps, f"seed {self.seed}, {arm}")
        weights = parts.config.objective_weights
        parts.model.keep_heads(
            *(head for each in parts.objective.members if weights.get(each.name) != 0 for head in each.heads)
        )
        history = history_of(parts, steps, "maskwright study nsp-vs-sop")
        parts.model.save(self.folder / arm / "model", provenance={"pretrained": history})
        shutil.rmtree(parts.config.out / "checkpoints")

    def _parts(self, model: Model, task: str) -> Pretraining:
        """What makes the examples of a task, on the two halves."""
        objective: Together
        if task == "mlm":
            objective = Together([InOrder(MlmConfig())])
        elif task == "longer":
            objective = Together([Mlm(MlmConfig()), Longer()])
        else:
            options = {"nsp": {"random_rate": self.config.random_rate}} if task == "nsp" else {}
            objective = make_objective(f"mlm,{task}", options)
        return parts_of(
            model.to(machine.device()),
            self.corpus,
            objective,
            self.documents,
            length=self.config.length,
            short_rate=PretrainConfig.model_fields["short_rate"].default,
            seed=self.seed,
        )

    def _frozen(self, model: Model) -> dict[str, Any]:
        """The model's own heads, and fresh ones on its frozen encoder."""
        dtype = machine.precision("auto", machine.device())
        own: dict[str, Any] = {}
        frozen: dict[str, Any] = {}
        for task in ("mlm", *TASKS):
            parts = self._parts(model, task)
            if task in model.net.heads:
                own[task] = asdict(own_scores(parts)[task])
            if task == "mlm":
                continue
            learn = read_states(model, learn_batches(parts, self.config.examples), [task], dtype)[task]
            scored = read_states(model, parts.heldout_batches(), [task], dtype)[task]
            frozen[task] = asdict(fit_pairs(learn, scored, self.seed))
            if task == "sop":
                lot = Key(self.seed).stream("study.lot")
                by_lot = [States(one.x_ED, lot.integers(2, len(one.y_E))) for one in (learn, scored)]
                frozen["lot"] = asdict(fit_pairs(by_lot[0], by_lot[1], self.seed))
        return {"own": own, "frozen": frozen}

    def _tuned(self, model: Model, task: str, folder: Path) -> Score:
        """The whole encoder, fine-tuned on a task's pairs from the documents to learn from."""
        parts = self._parts(model, task)
        told = Told(parts.objective, task).to(machine.device())
        with machine.seeded(self.seed):
            told.prepare(model)
        model.keep_heads(*told.heads)
        train = self.config.train.model_dump(exclude={"steps", "epochs", "minutes", "seed", "tokens", "examples"})
        changed = {"examples": self.config.tune_examples, "steps": self.config.tune_steps, "lr": self.config.tune_lr}
        config = parts.config.model_copy(
            update={"out": folder, "train": PretrainTrainConfig.of(train | changed | {"seed": self.seed})}
        )
        parts = Pretraining(
            config, parts.corpus, parts.column, model, Together([told]), parts.train_documents, parts.held_documents
        )
        _run(parts, self.config.tune_steps, f"seed {self.seed}, {task}")
        taken = forward_only(model, parts.objective, parts.heldout_batches(), machine.precision("auto", model.device))
        shutil.rmtree(folder)
        return score_of(taken, task)


def _run(parts: Pretraining, steps: int, label: str) -> None:
    """Train to the end, from the newest checkpoint where there is one."""
    folder = parts.config.out
    identity = parts.config.model_dump(mode="json", exclude={"out", "corpus"}) | {"steps": steps}
    run = Run(parts.model, parts.objective, parts.loader(), parts.config.train, folder, steps, identity, label=label)
    run.train(resume=(folder / "log.jsonl").exists())
    parts.model.eval()


def _write(path: Path, value: Mapping[str, Any]) -> None:
    write_atomic(path, (json.dumps(value, indent=1, ensure_ascii=False) + "\n").encode())


def _read(path: Path) -> dict[str, Any]:
    found: dict[str, Any] = json.loads(path.read_text("utf-8"))
    return found
