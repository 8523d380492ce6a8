"""The training loop: the only one.

A run is a folder: ``log.jsonl`` (every step), ``checkpoints/`` (resumable states), ``plans/`` (what each step sees),
``best/`` (the best evaluated weights).  Killed or stopped at any point and resumed, it computes the same bits as if it had
never been (on a CPU, at the same number of threads, instruction set and torch).
"""

from __future__ import annotations

import hashlib
import json
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import torch
from safetensors.torch import load_file, save_file

from maskwright import machine
from maskwright.checkpoint.seal import sealed_folder
from maskwright.config import TrainConfig
from maskwright.data.loader import Loader, Place, StepData
from maskwright.errors import CheckpointError, InputError, Stopped, TrainingError
from maskwright.evaluation.runner import Taken
from maskwright.model import Model
from maskwright.objective import Objective
from maskwright.report.log import RunLog
from maskwright.report.terminal import Live
from maskwright.train.optim import learning_rate, make_optimizer
from maskwright.train.state import load_state, newest, retain, save_state
from maskwright.train.step import backward, update
from maskwright.train.stop import Stopper, stopper

__all__ = ["Evaluation", "Finished", "Run"]


@dataclass(frozen=True)
class Evaluation:
    """What an evaluation during training found."""

    taken: Taken
    metrics: Mapping[str, float] = field(default_factory=dict)
    score: float | None = None
    """Higher is better; what early stopping and the best checkpoint go by."""


@dataclass(frozen=True)
class Finished:
    """How a run ended."""

    steps: int
    reason: str
    seconds: float
    """Of this process; a resumed run's earlier time is not in it."""
    best_score: float | None


@dataclass
class Run:
    """One training: what is trained, on what, how, and where it is kept."""

    model: Model
    objective: Objective
    loader: Loader
    config: TrainConfig
    folder: Path
    steps: int
    """Optimiser steps in all."""
    identity: Mapping[str, Any]
    """What a resumed run must have in common with the one it goes on with."""
    evaluate: Callable[[], Evaluation] | None = None
    start_record: Mapping[str, Any] = field(default_factory=dict)
    label: str = "training"

    def __post_init__(self) -> None:
        self._parameters = [p for p in (*self.model.parameters(), *self.objective.parameters()) if p.requires_grad]
        self._whole = torch.nn.ModuleDict({"model": self.model, "objective": self.objective})
        self._optimizer = make_optimizer(self._whole, self.config)
        self._dtype = machine.precision(self.config.precision, self.model.device)
        self._log = RunLog(self.folder / "log.jsonl")
        self._fingerprint = hashlib.sha256(
            json.dumps(dict(self.identity), sort_keys=True, default=str).encode()
        ).hexdigest()
        self._best: float | None = None
        self._waited = 0
        self._tokens = 0

    @property
    def states(self) -> Path:
        """Where resumable states are."""
        return self.folder / "checkpoints"

    def train(self, *, resume: bool = False) -> Finished:
        """Train to the end; with ``resume`` from the newest sound checkpoint.

        Stopped after Ctrl-C or SIGTERM (the state is saved), TrainingError for a loss or gradient that is not finite,
        InputError for a folder that already holds a run, CheckpointError for one that cannot be gone on with.
        """
        machine.keep_buffers()
        step, place = self._begin(resume)
        every = self.config.evaluate_every or max(1, self.steps // 10)
        save_every = self.config.save_every or every
        began = time.monotonic()
        self.model.train()
        self.objective.train()
        with stopper() as stop, machine.frozen_garbage(), Live(self.steps, self.label) as live:
            for data in self.loader.steps(place):
                if step >= self.steps or self._out_of_patience:
                    break
                self._take(data, step, live, began)
                step, place = step + 1, data.next
                last = step == self.steps
                if self.evaluate is not None and (step % every == 0 or last):
                    self._evaluate(step)
                    last = last or self._out_of_patience
                if step % save_every == 0 or last or stop.signal:
                    self._save(step, place)
                self._leave_if_stopped(stop, step)
                if last:
                    break
        seconds = time.monotonic() - began
        reason = f"no better evaluation for {self._waited} times" if self._out_of_patience else "finished"
        self._log.write("end", reason=reason, seconds=seconds)
        self._log.close()
        return Finished(step, reason, seconds, self._best)

    @property
    def _out_of_patience(self) -> bool:
        return self.config.patience is not None and self._waited >= self.config.patience

    def use_best(self) -> None:
        """Put the best evaluated weights into the model, if any evaluation scored."""
        path = self.folder / "best" / "net.safetensors"
        if path.exists():
            self._whole.load_state_dict(load_file(path))

    def _begin(self, resume: bool) -> tuple[int, Place]:
        self.folder.mkdir(parents=True, exist_ok=True)
        state = newest(self.states)
        if not resume:
            if state is not None or self._log.path.exists():
                raise InputError(
                    f"{self.folder} already holds a run: go on with it by --resume, or choose another --out"
                )
            self._log.write("start", steps=self.steps, **self.start_record)
            return 0, Place(0, 0)
        if state is None:
            self._log.truncate_after(0)
            self._log.write("note", text="no checkpoint to resume from: started at step 0")
            return 0, Place(0, 0)
        facts = load_state(state, self._whole, self._optimizer)
        if facts["fingerprint"] != self._fingerprint:
            changed = [
                k
                for k, v in self.identity.items()
                if facts["identity"].get(k) != json.loads(json.dumps(v, default=str))
            ]
            raise CheckpointError(
                f"{self.folder} was started with other settings or data ({', '.join(changed)}): resume with the same ones, "
                "or start anew in another folder"
            )
        self._best, self._waited, self._tokens = facts["best"], facts["waited"], facts["tokens"]
        self._log.truncate_after(facts["step"])
        self._log.write("note", text=f"resumed from {state.name}")
        return facts["step"], Place(*facts["place"])

    def _take(self, data: StepData, step: int, live: Live, began: float) -> None:
        """Train one step and log it."""
        before = time.monotonic()
        lr = learning_rate(self.config, step, self.steps)
        try:
            taken = backward(
                self.model, self.objective, data.batches, seed=self.config.seed, step=step, dtype=self._dtype
            )
            norm = update(self._parameters, self._optimizer, data.batches, lr=lr, clip=self.config.clip, step=step)
        except TrainingError as error:
            self._optimizer.zero_grad(set_to_none=True)
            self._save(step, data.place)
            self._log.write("note", text=str(error))
            self._log.write("end", reason="stopped: not finite", seconds=time.monotonic() - began)
            raise
        seconds = time.monotonic() - before
        tokens = sum(batch.tokens for batch in data.batches)
        self._tokens += tokens
        self._log.write(
            "step",
            step=step + 1,
            epoch=data.place.epoch,
            loss=taken.loss,
            parts=taken.parts,
            accuracy=taken.accuracy,
            lr=lr,
            grad_norm=norm,
            tokens=self._tokens,
            tokens_per_second=tokens / seconds,
        )
        live.update(
            step + 1,
            loss=taken.loss,
            accuracy=next(iter(taken.accuracy.values()), None),
            tokens_per_second=tokens / seconds,
        )

    def _evaluate(self, step: int) -> None:
        assert self.evaluate is not None
        found = self.evaluate()
        score = -found.taken.loss if found.score is None else found.score
        best = self._best is None or score > self._best
        self._log.write(
            "eval",
            step=step,
            loss=found.taken.loss,
            parts=found.taken.parts,
            accuracy=found.taken.accuracy,
            metrics=dict(found.metrics),
            best=best,
        )
        if best:
            self._best, self._waited = score, 0
            with sealed_folder(self.folder / "best", "best.json", {"step": step, "score": score}) as staging:
                tensors = {name: value.contiguous() for name, value in self._whole.state_dict().items()}
                save_file(tensors, staging / "net.safetensors")
        else:
            self._waited += 1

    def _save(self, step: int, place: Place) -> None:
        facts = {
            "fingerprint": self._fingerprint,
            "identity": json.loads(json.dumps(dict(self.identity), default=str)),
            "place": list(place),
            "best": self._best,
            "waited": self._waited,
            "tokens": self._tokens,
        }
        save_state(self.states, step, self._whole, self._optimizer, facts)
        retain(self.states, self.config.keep, step)

    def _leave_if_stopped(self, stop: Stopper, step: int) -> None:
        if stop.signal is None:
            return
        self._log.write("note", text=f"stopped by {stop.signal.name} after step {step}; the state is saved")
        self._log.close()
        raise Stopped(
            f"stopped after step {step:,} of {self.steps:,}; everything is saved in {self.folder}. Go on with --resume",
            exit_code=stop.exit_code,
        )
