"""One optimiser step: forward and backward over its micro-batches, the checks, the update."""

from __future__ import annotations

import math
from collections import Counter, defaultdict
from collections.abc import Callable, Mapping, Sequence

import torch
from torch import Tensor, nn

from maskwright.data.batch import Batch
from maskwright.errors import TrainingError
from maskwright.evaluation.runner import Sums, Taken
from maskwright.machine import autocast
from maskwright.model import Model
from maskwright.nn.dropout import dropout_key
from maskwright.objective import Loss, Objective, Pass
from maskwright.objectives.weights import BY_GRADIENT, BY_LOSS, coefficients
from maskwright.train.gradients import Gradients
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
    change the gradient.  Weights that are decided each step go by the whole step too: by its losses, for which the forward
    passes are made twice with the same dropout, or by each part's gradient, which is computed and kept for each part alone.
    TrainingError, naming the examples, for a loss that is not finite; nothing was updated then.
    """
    counts: Counter[str] = sum(world.gather(_counted(batches)), Counter())
    parameters = [*model.parameters(), *objective.parameters()]
    mode = objective.weighting

    def each(act: Callable[[Loss], None]) -> dict[str, Sums]:
        """Give the loss of every micro-batch to ``act``; return the sums over all processes."""
        sums: dict[str, Sums] = defaultdict(Sums)
        bad = ""
        for micro, batch in enumerate(batches):
            with dropout_key(seed, step, micro, world.rank):
                run = Pass(model, batch.asking(objective.reads(model, batch)).to(model.device))
                bad = _add(run, objective, sums, dtype, act) or bad
        found = world.gather((dict(sums), bad))
        if first := next((text for _, text in found if text), None):
            raise TrainingError(
                f"step {step}: {first}. The model was not changed. Lower the learning rate, or look at these examples"
            )
        return _joined([share for share, _ in found])

    weights: dict[str, float]
    if mode in BY_GRADIENT:
        gradients = Gradients(objective.parts, parameters, counts)
        sums = each(gradients.add)
        weights, _ = coefficients(mode, gradients.add_up(world, _encoder(model)), step)
        gradients.join(weights)
    else:
        weights = {}
        factors: dict[str, float] = {}
        if mode in BY_LOSS:
            with torch.no_grad():
                seen = each(lambda loss: None)
            losses = {name: seen[name].sum / max(1, counts[name]) for name in objective.parts if name in seen}
            weights, factors = coefficients(mode, losses, step)
        sums = each(lambda loss: _total(loss, counts, factors).backward())  # type: ignore[no-untyped-call]
        world.add_up(parameters)
    for name, weight in weights.items():
        sums[name].weight = weight
    return Taken.of(sums)


def _counted(batches: Sequence[Batch]) -> Counter[str]:
    counts: Counter[str] = Counter()
    for batch in batches:
        counts.update(batch.counts)
    return counts


def _encoder(model: Model) -> list[nn.Parameter]:
    """What all parts share: the network without its heads."""
    heads = {id(p) for p in model.net.heads.parameters()}
    return [p for p in model.net.parameters() if id(p) not in heads]


def _add(
    run: Pass, objective: Objective, sums: dict[str, Sums], dtype: torch.dtype, act: Callable[[Loss], None]
) -> str:
    """Add one micro-batch's sums and act on its loss; return what is not finite.

    Nothing of it outlives the call: memory is dear.
    """
    bad = ""
    with autocast(run.model.device, dtype):
        loss = objective(run)
    act(loss)
    # Only now are numbers asked for: a GPU has the backward pass to do while this waits for them.
    for name, part in loss.items():
        sums[name].add(part)
        if not math.isfinite(value := float(part.sum.detach())):
            bad = bad or f"the {name} loss is {value}, on examples {_some(run.batch.examples)}"
    return bad


def _total(loss: Loss, counts: Mapping[str, int], factors: Mapping[str, float]) -> Tensor:
    """This micro-batch's share of the step's loss; factors: what parts count, where their own weights do not hold."""
    terms = [part.sum * (factors.get(name, part.weight) / max(1, counts[name])) for name, part in loss.items()]
    total = sum(terms[1:], terms[0])
    assert isinstance(total, Tensor)
    return total


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
    grads = [p.grad for p in parameters if p.grad is not None]
    norm = float(nn.utils.get_total_norm(grads))
    if not math.isfinite(norm):
        numbers = [number for batch in batches for number in batch.examples]
        raise TrainingError(
            f"step {step}: the gradient's norm is {norm}, on examples {_some(numbers)}. The model was not changed. "
            "Lower the learning rate, or look at these examples"
        )
    if norm > clip:  # a pass over all gradients, which torch's own clipping takes in any case
        nn.utils.clip_grads_with_norm_(parameters, clip, torch.tensor(norm, device=grads[0].device))
    for group in optimizer.param_groups:
        group["lr"] = lr * group.get("share", 1.0)
    optimizer.step()
    optimizer.zero_grad(set_to_none=True)
    return norm


def _some(numbers: Sequence[int]) -> str:
    more = f" and {len(numbers) - _NAMED} more" if len(numbers) > _NAMED else ""
    return ", ".join(map(str, numbers[:_NAMED])) + more
