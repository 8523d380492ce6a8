"""One step of a loss that couples examples, such as in-batch negatives: the same, however the step is cut.

Such a loss needs the vectors of the whole step at once, and what computed them need not be kept.  So: all vectors first,
without gradients; then the loss of all of them, in every process, and its gradient by each vector; then each micro-batch once
more, with the same dropout, to carry its vectors' gradient on to the weights.  Costs one more forward pass, and only where a
step is cut into micro-batches or over processes.  Gao et al. 2021, section 3.2, https://arxiv.org/abs/2101.06983
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Protocol, cast

import torch
from torch import Tensor

from maskwright.data.batch import Batch
from maskwright.errors import TrainingError
from maskwright.evaluation.runner import Sums, Taken
from maskwright.machine import autocast
from maskwright.model import Model
from maskwright.nn.dropout import dropout_key
from maskwright.objective import Loss, Objective, Pass
from maskwright.train.step import backward
from maskwright.train.world import ALONE, World

__all__ = ["Coupled", "coupled_backward"]


class Coupled(Protocol):
    """What an objective with ``couples`` offers beside its forward pass."""

    name: str

    def vectors(self, run: Pass) -> Tensor:
        """Return (examples, …): what the loss needs of each example of a batch."""
        ...

    def couple(self, vectors: Tensor, labels: Tensor) -> Loss:
        """Return the loss of the examples of a step; labels: those of the objective's targets."""
        ...


def coupled_backward(
    model: Model,
    objective: Objective,
    batches: Sequence[Batch],
    *,
    seed: int,
    step: int,
    dtype: torch.dtype,
    world: World = ALONE,
) -> Taken:
    """Give the parameters the gradient of one step, as ``step.backward`` does, of a loss that couples its examples."""
    if world.size == 1 and len(batches) == 1:
        return backward(model, objective, batches, seed=seed, step=step, dtype=dtype)
    coupled = cast(Coupled, objective)
    batches = [batch.asking(objective.reads(model, batch)).to(model.device) for batch in batches]

    def vectors(micro: int) -> Tensor:
        with dropout_key(seed, step, micro, world.rank), autocast(model.device, dtype):
            return coupled.vectors(Pass(model, batches[micro])).float()

    with torch.no_grad():
        mine = [vectors(micro) for micro in range(len(batches))]
    labels = [batch.targets[coupled.name].labels for batch in batches]
    shares = world.gather([(v.cpu(), each.cpu()) for v, each in zip(mine, labels, strict=True)])
    everything = [pair for share in shares for pair in share]
    whole = torch.cat([v for v, _ in everything]).to(model.device).requires_grad_()
    loss = coupled.couple(whole, torch.cat([each for _, each in everything]).to(model.device))
    sums = {name: Sums() for name in loss}
    for name, part in loss.items():
        sums[name].add(part)
    taken = Taken.of(sums)
    if not all(map(torch.isfinite, (part.sum for part in loss.values()))):
        raise TrainingError(
            f"step {step}: the {coupled.name} loss is {taken.loss}, on {len(whole)} examples that it couples. "
            "The model was not changed. Lower the learning rate, or look at these examples"
        )
    total = torch.stack([part.sum * (part.weight / max(1, part.count)) for part in loss.values()]).sum()
    own = [p for p in objective.parameters() if p.requires_grad]
    by_vector, *by_own = torch.autograd.grad(total, [whole, *own], allow_unused=True)
    if world.first:  # every process computed the same loss, and they are added up below
        for p, gradient in zip(own, by_own, strict=True):
            p.grad = gradient
    assert by_vector is not None
    begin = sum(len(v) for share in shares[: world.rank] for v, _ in share)
    for micro, length in enumerate([len(v) for v in mine]):
        vectors(micro).backward(by_vector[begin : begin + length])  # type: ignore[no-untyped-call]
        begin += length
    world.add_up([*model.parameters(), *objective.parameters()])
    return taken
