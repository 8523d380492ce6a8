"""One optimiser step: forward and backward over its micro-batches, the checks, the update."""

from __future__ import annotations

import math
from collections import Counter, defaultdict
from collections.abc import Sequence

import torch
from torch import nn

from maskwright.data.batch import Batch
from maskwright.errors import TrainingError
from maskwright.evaluation.runner import Sums, Taken
from maskwright.machine import autocast
from maskwright.model import Model
from maskwright.nn.dropout import dropout_key
from maskwright.objective import Objective, Pass
from maskwright.train.world import ALONE, World

__all__ = ["backward", "update"]

_NAMED = 8
"""Examples named in a message."""


def backward(
    model: Model,
    objective: Objective,
    batches: Sequence[Batch],
    *,
    seed: int,
    step: int,
    dtype: torch.dtype,
    world: World = ALONE,
) -> Taken:
    """Give the parameters the gradient of one step, of which ``batches`` are this process's share.

    Each part is divided by its count over all of the step's batches in all processes, so that how the step is cut does not
    change the gradient.  TrainingError, naming the examples, for a loss that is not finite; nothing was updated then.
    """
    counts: Counter[str] = Counter()
    for batch in batches:
        counts.update({name: target.count for name, target in batch.targets.items()})
    counts = sum(world.gather(counts), Counter())
    sums: dict[str, Sums] = defaultdict(Sums)
    bad = ""
    for micro, batch in enumerate(batches):
        with dropout_key(seed, step, micro, world.rank):
            bad = _add(Pass(model, batch.to(model.device, non_blocking=True)), objective, counts, sums, dtype) or bad
    found = world.gather((dict(sums), bad))
    if first := next((text for _, text in found if text), None):
        raise TrainingError(
            f"step {step}: {first}. The model was not changed. Lower the learning rate, or look at these examples"
        )
    world.add_up([*model.parameters(), *objective.parameters()])
    return Taken.of(_joined([sums for sums, _ in found]))


def _add(run: Pass, objective: Objective, counts: Counter[str], sums: dict[str, Sums], dtype: torch.dtype) -> str:
    """Add one micro-batch's gradient and sums; return what is not finite.  Nothing of it outlives the call: memory is dear."""
    bad = ""
    with autocast(run.model.device, dtype):
        loss = objective(run)
    for name, part in loss.items():
        sums[name].add(part)
        if not math.isfinite(value := float(part.sum.detach())):
            bad = bad or f"the {name} loss is {value}, on examples {_some(run.batch.examples)}"
    total = sum(part.sum * (part.weight / max(1, counts[name])) for name, part in loss.items())
    assert isinstance(total, torch.Tensor)
    total.backward()  # type: ignore[no-untyped-call]
    return bad


def _joined(shares: Sequence[dict[str, Sums]]) -> dict[str, Sums]:
    joined: dict[str, Sums] = defaultdict(Sums)
    for share in shares:
        for name, sums in share.items():
            joined[name].join(sums)
    return joined


def update(
    parameters: Sequence[nn.Parameter],
    optimizer: torch.optim.Optimizer,
    batches: Sequence[Batch],
    *,
    lr: float,
    clip: float,
    step: int,
) -> float:
    """Clip, move the parameters, clear the gradient; return the gradient's norm before clipping.

    TrainingError for a norm that is not finite; nothing was updated then.
    """
    norm = float(nn.utils.clip_grad_norm_(parameters, clip))
    if not math.isfinite(norm):
        numbers = [number for batch in batches for number in batch.examples]
        raise TrainingError(
            f"step {step}: the gradient's norm is {norm}, on examples {_some(numbers)}. The model was not changed. "
            "Lower the learning rate, or look at these examples"
        )
    for group in optimizer.param_groups:
        group["lr"] = lr * group.get("share", 1.0)
    optimizer.step()
    optimizer.zero_grad(set_to_none=True)
    return norm


def _some(numbers: Sequence[int]) -> str:
    more = f" and {len(numbers) - _NAMED} more" if len(numbers) > _NAMED else ""
    return ", ".join(map(str, numbers[:_NAMED])) + more
