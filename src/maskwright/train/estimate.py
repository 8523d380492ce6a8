"""What a run will take, before its first step: tokens, time, memory and disk, beside what there is.

A run that cannot fit is refused here and not hours later; one that is odd is remarked upon.
"""

from __future__ import annotations

import math
import shutil
import statistics
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from maskwright.config import TrainConfig
from maskwright.corpus.health import Finding
from maskwright.data.plan import Plan
from maskwright.errors import InputError
from maskwright.model import Model
from maskwright.objective import Objective
from maskwright.report.numbers import compact, duration, size
from maskwright.train.memory import Memory, free_memory, predict
from maskwright.train.warmup import mean_size

__all__ = ["Disk", "Estimate", "estimate", "refuse", "remarks", "rows"]

MANY_PASSES = 40
"""Passes of BERT's own run (Devlin et al. 2019, appendix A.2); text repeated more often teaches a language model next to
nothing (Muennighoff et al. 2023, https://arxiv.org/abs/2305.16264)."""
TIGHT = 0.8
"""Share of what is free from which on another program's needs may end the run."""
_LOG, _EXAMPLE = 450, 56
"""Bytes of a step in the log, and of an example in a plan."""


@dataclass(frozen=True)
class Disk:
    """Bytes that a run writes."""

    checkpoints: int
    """At their most: one is written before an older one is removed."""
    models: int
    """The best weights and the model."""
    records: int
    """Log and plans."""

    @property
    def total(self) -> int:
        """All of it."""
        return self.checkpoints + self.models + self.records


@dataclass(frozen=True)
class Estimate:
    """What a run will take."""

    parameters: int
    """That are trained, heads included."""
    steps: int
    tokens_a_step: float
    tokens: int
    """Seen in all."""
    passes: float
    """Over the training documents."""
    step_seconds: tuple[float, float, float] | None
    """Mean, shortest and longest of the steps that were timed; None when none was."""
    seconds: float | None
    """Of all steps, without evaluations and saving."""
    micro_tokens: int
    """Most tokens computed at once."""
    memory: Memory
    free_memory: int
    disk: Disk
    free_disk: int


def estimate(
    model: Model,
    objective: Objective,
    train: TrainConfig,
    plan: Plan,
    *,
    steps: int,
    length: int,
    micro_tokens: int,
    folder: Path,
    times: Sequence[float] = (),
) -> Estimate:
    """Estimate a run.

    plan: of one pass over the training data at full length and batch; times: seconds of some timed steps
    (``calibrate.step_times``); length: tokens in an example.
    """
    trained = sum(p.numel() for p in (*model.parameters(), *objective.parameters()) if p.requires_grad)
    in_a_pass = int(plan.lengths.sum())
    tokens_a_step = in_a_pass / plan.steps
    weight = mean_size(train.batch_warmup)
    tokens = round(weight * steps * tokens_a_step)
    largest = min(micro_tokens, max(length, math.ceil(tokens_a_step)))
    timed = (statistics.mean(times), min(times), max(times)) if times else None
    passes = tokens / in_a_pass
    return Estimate(
        parameters=trained,
        steps=steps,
        tokens_a_step=tokens_a_step,
        tokens=tokens,
        passes=passes,
        step_seconds=timed,
        seconds=timed and timed[0] * steps * weight,
        micro_tokens=largest,
        memory=predict(
            model.spec,
            trained,
            train,
            micro_tokens=largest,
            length=length,
            where=model.device,
            rate=objective.share,
            beside=objective.readers,
        ),
        free_memory=free_memory(model.device),
        disk=_disk(train, trained, steps, len(plan.lengths) * math.ceil(passes)),
        free_disk=_free_disk(folder),
    )


def _disk(train: TrainConfig, parameters: int, steps: int, examples: int) -> Disk:
    weights = 4 * parameters
    every = train.save_every or train.evaluate_every or max(1, steps // 10)
    kept = min(train.keep + 1, math.ceil(steps / every))
    if train.keep_every:
        kept += steps // train.keep_every
    return Disk(
        checkpoints=kept * weights * (4 if train.ema else 3),
        models=2 * weights,
        records=_LOG * steps + _EXAMPLE * examples,
    )


def _free_disk(folder: Path) -> int:
    there = next(path for path in (folder.absolute(), *folder.absolute().parents) if path.exists())
    return shutil.disk_usage(there).free


def refuse(estimate: Estimate) -> None:
    """Raise InputError for a run that does not fit into the memory or onto the disk there is."""
    needed = estimate.memory.total - estimate.memory.weights  # these are there already
    if needed > estimate.free_memory:
        raise InputError(
            f"this run needs about {size(needed)} more of memory and {size(estimate.free_memory)} are free "
            f"({_parts(estimate)}). Lower train.micro_tokens (now {estimate.micro_tokens:,}; auto fits it to the memory), set "
            "train.gradient_checkpointing, choose a smaller encoder, or end other programs"
        )
    if estimate.disk.total > estimate.free_disk:
        raise InputError(
            f"this run writes about {size(estimate.disk.total)} and {size(estimate.free_disk)} of the disk are free. "
            "Free some space, choose another --out, or keep fewer checkpoints (train.keep, train.keep_every)"
        )


def remarks(estimate: Estimate) -> list[Finding]:
    """Return what is odd about a run that fits."""
    found = []
    if estimate.passes > MANY_PASSES:
        found.append(
            Finding(
                "many passes",
                "note",
                f"the run passes {estimate.passes:,.0f} times over the text",
                "text that was met so often teaches little more, and the model may learn it by heart",
                "more text, fewer steps, or a smaller encoder",
            )
        )
    for name, needed, free in (
        ("memory", estimate.memory.total - estimate.memory.weights, estimate.free_memory),
        ("disk", estimate.disk.total, estimate.free_disk),
    ):
        if needed > TIGHT * free:
            found.append(
                Finding(
                    f"little {name}",
                    "warning",
                    f"the run takes about {size(needed)} of the {size(free)} that are free",
                    f"another program that wants {name} may end it",
                    "lower train.micro_tokens, or end other programs" if name == "memory" else "free some space",
                )
            )
    return found


def rows(estimate: Estimate) -> list[tuple[str, str]]:
    """Return names and values for a table."""
    time = "not measured"
    if estimate.step_seconds is not None and estimate.seconds is not None:
        mean, low, high = map(duration, estimate.step_seconds)
        time = f"{duration(estimate.seconds)}, evaluations not counted ({mean} a step, {low} to {high})"
    at_once = f", {estimate.micro_tokens:,} at once" if estimate.micro_tokens < estimate.tokens_a_step else ""
    return [
        ("parameters", compact(estimate.parameters)),
        ("steps", f"{estimate.steps:,} of {estimate.tokens_a_step:,.0f} tokens" + at_once),
        ("tokens", f"{compact(estimate.tokens)}, {estimate.passes:,.2f} passes over the text"),
        ("time", time),
        ("memory", f"{size(estimate.memory.total)} of {size(estimate.free_memory)} free: {_parts(estimate)}"),
        (
            "disk",
            f"{size(estimate.disk.total)} of {size(estimate.free_disk)} free: checkpoints {size(estimate.disk.checkpoints)}, "
            f"models {size(estimate.disk.models)}, log and plans {size(estimate.disk.records)}",
        ),
    ]


def _parts(estimate: Estimate) -> str:
    memory = estimate.memory
    named = {
        "weights": memory.weights,
        "gradients": memory.gradients,
        "optimiser": memory.optimiser,
        "average": memory.average,
        "activations": memory.activations,
    }
    return ", ".join(f"{name} {size(count)}" for name, count in named.items() if count)
