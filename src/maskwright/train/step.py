"""One optimiser step: forward and backward over its micro-batches, the checks, the update."""

from __future__ import annotations

import math
from collections import defaultdict
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

__all__ = ["backward", "update"]


def backward(
    model: Model,
    objective: Objective,
    batches: Sequence[Batch],
    *,
    seed: int,
    step: int,
    dtype: torch.dtype,
    rank: int = 0,
) -> Taken:
    """Add the gradient of one step to the parameters.

    Each part is divided by its count over all of the step's batches, so that how the step is cut does not change the
    gradient.  TrainingError, naming the examples, for a loss that is not finite; nothing was updated then.
    """
    counts: dict[str, int] = defaultdict(int)
    for batch in batches:
        for name, target in batch.targets.items():
            counts[name] += target.count
    sums: dict[str, Sums] = defaultdict(Sums)
    for micro, batch in enumerate(batches):
        batch = batch.to(model.device, non_blocking=True)
        with dropout_key(seed, step, micro, rank), autocast(model.device, dtype):
            loss = objective(Pass(model, batch))
        total = sum(part.sum * (part.weight / max(1, counts[name])) for name, part in loss.items())
        for name, part in loss.items():
            if not math.isfinite(float(part.sum.detach())):
                raise TrainingError(
                    f"step {step}: the {name} loss is {float(part.sum.detach())}, on examples {_some(batch.examples)}. "
                    "The model was not changed. Lower the learning rate, or look at these examples"
                )
            sums[name].add(part)
        assert isinstance(total, torch.Tensor)
        total.backward()  # type: ignore[no-untyped-call]
    return Taken.of(sums)


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
        group["lr"] = lr
    optimizer.step()
    optimizer.zero_grad(set_to_none=True)
    return norm


def _some(numbers: Sequence[int]) -> str:
    more = f" and {len(numbers) - 8} more" if len(numbers) > 8 else ""
    return ", ".join(map(str, numbers[:8])) + more
