"""The training loop: the only one.

A run is a folder: ``log.jsonl`` (every step), ``checkpoints/`` (resumable states), ``plans/`` (what each step sees),
``best/`` (the best evaluated weights).  Killed or stopped at any point and resumed, it computes the same bits as if it had
never been (on a CPU, at the same number of threads, instruction set and torch).
"""

from __future__ import annotations

import hashlib
import json
import math
import time
from collections import deque
from collections.abc import Callable, Mapping, Sequence
from contextlib import nullcontext
from dataclasses import dataclass, field
from pathlib import Path
from signal import Signals
from typing import Any

import torch
from rich.console import Console
from safetensors.torch import load_file, save_file

from maskwright import machine, native
from maskwright.checkpoint.seal import sealed_folder, verify
from maskwright.config import TrainConfig, differences
from maskwright.corpus.health import Finding
from maskwright.data.loader import Loader, Place, StepData
from maskwright.errors import CheckpointError, InputError, Stopped, TrainingError
from maskwright.evaluation.runner import Taken
from maskwright.model import Model
from maskwright.nn.attend import used
from maskwright.nn.stack import keep_little
from maskwright.objective import Objective
from maskwright.report.log import RunLog, read_log
from maskwright.report.numbers import size
from maskwright.report.terminal import Live
from maskwright.train.average import Average
from maskwright.train.bad import save_bad
from maskwright.train.coupled import coupled_backward
from maskwright.train.optim import learning_rate, make_optimizer
from maskwright.train.state import load_state, newest, put_back, retain, save_state, weights_of
from maskwright.train.step import backward, update
from maskwright.train.stop import stopper
from maskwright.train.world import ALONE, World

__all__ = ["Evaluation", "Finished", "Run"]

_WATCHED = 2_100
"""Latest steps that are looked at for signs that a run goes wrong."""


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
    """What the log's first record holds beside what a run knows of itself: config, command and so on."""
    label: str = "training"
    world: World = ALONE
    watch: Callable[[Sequence[Mapping[str, Any]]], list[Finding]] | None = None
    """From the latest log records to what they say against the run; each kind of sign is noted once."""

    def __post_init__(self) -> None:
        self._whole = torch.nn.ModuleDict({"model": self.model, "objective": self.objective})
        self.world.same_weights(self._whole)
        keep_little(self._whole, self.config.gradient_checkpointing)
        self._parameters = [p for p in self._whole.parameters() if p.requires_grad]
        self._optimizer = make_optimizer(self._whole, self.config)
        self._average = None if self.config.ema is None else Average(self._parameters, self.config.ema)
        self._dtype = machine.precision(self.config.precision, self.model.device)
        self._log = RunLog(self.folder / "log.jsonl")
        self._identity = json.loads(json.dumps(dict(self.identity), default=str))
        self._fingerprint = hashlib.sha256(json.dumps(self._identity, sort_keys=True).encode()).hexdigest()
        self._best: float | None = None
        self._waited = self._tokens = self._bad = 0
        self._latest: deque[Mapping[str, Any]] = deque(maxlen=_WATCHED)
        self._noted: set[str] = set()

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
        first = step
        with stopper() as stop, machine.frozen_garbage(), self._live() as live:
            live.note(machine.choice(self.model.device, self._dtype, self.config.precision))
            if self.model.device.type == "cpu" and self._dtype == torch.bfloat16 and not native.here():
                live.note(f"no compiled kernels, which would save time: {native.why_not()}")
            for data in self.loader.steps(place):
                if step >= self.steps or self._out_of_patience:
                    break
                self._take(data, step, live, began)
                if step == first:
                    live.note(self._ways())
                step, place = step + 1, data.next
                last = step == self.steps
                if self.evaluate is not None and (step % every == 0 or last):
                    self._evaluate(step)
                    self._look(live)
                    last = last or self._out_of_patience
                stopped = next(filter(None, self.world.gather(stop.signal)), None)
                if step % save_every == 0 or last or stopped:
                    self._save(step, place)
                if stopped:
                    self._leave(stopped, step)
                if last:
                    break
            peak = machine.peak_memory(self.model.device)
            live.note(f"memory at the peak: {size(peak)}, libraries included")
        seconds = time.monotonic() - began
        reason = f"no better evaluation for {self._waited} times" if self._out_of_patience else "finished"
        self._write("end", reason=reason, seconds=seconds, peak_memory=peak)
        self._log.close()
        if self._average is not None:
            self._average.swap()
        return Finished(step, reason, seconds, self._best)

    def _ways(self) -> str:
        """Say by what a step was computed, and how to name something else."""
        fused = ", fused" if self._optimizer.defaults.get("fused") else ""
        ways = [f"attention by {' and '.join(used())}"] * bool(used()) + [type(self._optimizer).__name__ + fused]
        return f"{'; '.join(ways)}  (others: MASKWRIGHT_ATTENTION, --train.optimizer, --train.optimizer-options.fused false)"

    def _live(self) -> Live:
        return Live(self.steps, self.label, out=None if self.world.first else Console(quiet=True))

    @property
    def _out_of_patience(self) -> bool:
        return self.config.patience is not None and self._waited >= self.config.patience

    def use_best(self) -> None:
        """Put the best evaluated weights into the model, if any evaluation scored; CheckpointError when they are damaged."""
        folder = self.folder / "best"
        if folder.exists():
            verify(folder, "best.json")
            put_back(self._whole, load_file(folder / "net.safetensors"))

    def _write(self, kind: str, **fields: Any) -> None:
        if self.world.first:
            self._log.write(kind, **fields)
            if kind == "step":
                self._latest.append({"kind": kind, **fields})

    def _look(self, live: Live) -> None:
        """Note what the log says against the run, and say it to whoever is watching."""
        for found in self.watch(self._latest) if self.watch and self.world.first else ():
            if found.name not in self._noted:
                self._noted.add(found.name)
                text = f"{found.name}: {found.fact}; {found.why}. What may help: {found.remedy}."
                self._write("note", text=text)
                live.note(text)

    def _facts(self) -> dict[str, Any]:
        """What a run knows of itself before its first step."""
        return {
            "name": self.label[0].upper() + self.label[1:],
            "steps": self.steps,
            "processes": self.world.size,
            "machine": machine.describe(),
            "parameters": sum(p.numel() for p in self.model.parameters()),
        }

    def _begin(self, resume: bool) -> tuple[int, Place]:
        self.folder.mkdir(parents=True, exist_ok=True)
        # Looked for by one process and told to the others: a second look may already find what the first one wrote.
        state, begun = self.world.of_first((newest(self.states), self._log.path.exists()))
        if not resume:
            if state is not None or begun:
                raise InputError(
                    f"{self.folder} already holds a run: go on with it by --resume, or choose another --out"
                )
            self._write("start", **self._facts(), **self.start_record)
            return 0, Place()
        if state is None:
            self._forget_after(0)
            self._write("note", text="no checkpoint to resume from: started at step 0", resumed=0)
            return 0, Place()
        facts = load_state(state, self._whole, self._optimizer, self._average)
        if facts["fingerprint"] != self._fingerprint:
            changed = "; ".join(differences(self._identity, facts["identity"]))
            raise CheckpointError(
                f"{self.folder} was started with other settings or data ({changed}): resume with the same ones, or start anew "
                "in another folder"
            )
        self._best, self._waited, self._tokens = facts["best"], facts["waited"], facts["tokens"]
        self._bad = facts["bad"]
        self._forget_after(facts["step"])
        note = f"resumed from {state.name}"
        if facts["processes"] != self.world.size:
            note += (
                f", with {self.world.size} processes instead of {facts['processes']}: the same examples, other rounding"
            )
        self._write("note", text=note, resumed=facts["step"])
        return facts["step"], Place(*facts["place"])

    def _forget_after(self, step: int) -> None:
        if self.world.first:
            self._log.truncate_after(step)
            if self._log.path.exists():
                self._latest.extend(record for record in read_log(self._log.path) if record["kind"] == "step")

    def _take(self, data: StepData, step: int, live: Live, began: float) -> None:
        """Train one step and log it."""
        before = time.monotonic()
        lr = learning_rate(self.config, step, self.steps)
        try:
            learn = coupled_backward if self.objective.couples else backward
            taken = learn(
                self.model,
                self.objective,
                data.batches,
                seed=self.config.seed,
                step=step,
                dtype=self._dtype,
                world=self.world,
            )
            norm = update(self._parameters, self._optimizer, data.batches, lr=lr, clip=self.config.clip, step=step)
            self._bad = 0
        except TrainingError as error:
            taken, norm = self._leave_out(error, data, step, began), math.nan
        else:
            if self._average is not None:
                self._average.take(step)
        seconds = time.monotonic() - before
        tokens = sum(self.world.gather(sum(batch.tokens for batch in data.batches)))
        self._tokens += tokens
        self._write(
            "step",
            step=step + 1,
            epoch=data.place.epoch,
            loss=taken.loss,
            parts=taken.parts,
            **({"weights": taken.weights} if len(taken.weights) > 1 else {}),
            accuracy=taken.accuracy,
            **({"usual": taken.usual} if taken.usual else {}),
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

    def _leave_out(self, error: TrainingError, data: StepData, step: int, began: float) -> Taken:
        """Keep the batch of a step that is not finite; go on without it where that is allowed, else stop."""
        self._optimizer.zero_grad(set_to_none=True)
        self._bad += 1
        kept = save_bad(self.folder, step, self.world.rank, str(error), data.batches, self.model.tokenizer)
        self._write("note", text=f"{error}. The batch is in {kept.relative_to(self.folder)}.")
        if self._bad <= self.config.bad_steps:
            return Taken(math.nan, {}, {}, {})
        self._save(step, data.place)
        self._write("end", reason="stopped: not finite", seconds=time.monotonic() - began)
        raise TrainingError(f"{error}. The batch is in {kept}") from None

    def _evaluate(self, step: int) -> None:
        """Evaluate in the first process, with the average of the weights where one is kept; tell the others the score."""
        assert self.evaluate is not None
        score = None
        if self.world.first:
            with nullcontext() if self._average is None else self._average.in_place():
                found = self.evaluate()
                score = -found.taken.loss if found.score is None else found.score
                best = self._best is None or score > self._best
                if best:
                    self._keep_best(step, score)
            self._write(
                "eval",
                step=step,
                loss=found.taken.loss,
                parts=found.taken.parts,
                accuracy=found.taken.accuracy,
                metrics=dict(found.metrics),
                best=best,
            )
        score = self.world.of_first(score)
        assert score is not None
        if self._best is None or score > self._best:
            self._best, self._waited = score, 0
        else:
            self._waited += 1

    def _keep_best(self, step: int, score: float) -> None:
        with sealed_folder(self.folder / "best", "best.json", {"step": step, "score": score}) as staging:
            save_file(weights_of(self._whole), staging / "net.safetensors")

    def _save(self, step: int, place: Place) -> None:
        if self.world.first:
            facts = {
                "fingerprint": self._fingerprint,
                "identity": self._identity,
                "place": list(place),
                "processes": self.world.size,
                "best": self._best,
                "waited": self._waited,
                "bad": self._bad,
                "tokens": self._tokens,
            }
            save_state(self.states, step, self._whole, self._optimizer, facts, self._average)
            retain(self.states, self.config.keep, step, self.config.keep_every)
        self.world.wait()

    def _leave(self, signal: Signals, step: int) -> None:
        self._write("note", text=f"stopped by {signal.name} after step {step}; the state is saved")
        self._log.close()
        raise Stopped(
            f"stopped after step {step:,} of {self.steps:,}; everything is saved in {self.folder}. Go on with --resume",
            exit_code=128 + signal,
        )
