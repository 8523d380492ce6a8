"""What an objective is, and how several make one.

An objective says how a sample is prepared (``stage``), which heads it needs, and what the loss of a batch is, as named
parts: a sum, the count of what was summed, a weight.  The training loop divides each sum by the count over the whole step
(all micro-batches and ranks), so that one process and N compute the same gradient.  Fine-tuning tasks are objectives too.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property

from torch import Tensor, nn

from maskwright.data.batch import Batch, Stage
from maskwright.model import Model

__all__ = ["Loss", "Objective", "Part", "Pass", "Together"]


@dataclass(frozen=True)
class Part:
    """One named part of a loss."""

    sum: Tensor
    """Scalar: the loss summed over the targets."""
    count: int
    """Targets in this batch."""
    weight: float = 1.0
    hits: Tensor | None = None
    """Scalar: how many targets were predicted right, where that means something."""


Loss = dict[str, Part]


class Pass:
    """One batch through one model: the hidden states are computed when they are first asked for, and once."""

    def __init__(self, model: Model, batch: Batch) -> None:
        self.model, self.batch = model, batch

    @cached_property
    def hidden_TD(self) -> Tensor:
        """(T, D)."""
        return self.model.hidden(self.batch)

    @cached_property
    def pooled_BD(self) -> Tensor:
        """(B, D): the pooler's output for each sequence."""
        return self.model.pooled(self.hidden_TD[self.batch.layout.first_B])

    def scores(self, head: str) -> Tensor:
        """What a head makes of what it reads: all tokens, the first ones, or the pooler's output."""
        return self.model.scores(head, self.hidden_TD, self.batch.layout)


class Objective(nn.Module):
    """Base of objectives and tasks.

    Networks needed beside the model (a generator, a teacher) are sub-modules of the objective; heads that belong in the
    model's folder are the model's.
    """

    name: str
    """Also of its targets in the batch and of its part of the loss."""
    heads: tuple[str, ...] = ()
    """Heads that the model must carry."""
    couples = False
    """Whether an example's loss depends on the other examples of its step; see ``train.coupled``."""

    def prepare(self, model: Model) -> None:
        """Give the model the heads that it lacks."""
        for head in self.heads:
            model.add_head(head)

    def stage(self, model: Model) -> Stage:
        """Return the step of collation that makes this objective's targets."""
        raise NotImplementedError

    def forward(self, run: Pass) -> Loss:
        """Return the parts of the loss of one batch."""
        raise NotImplementedError


class Together(Objective):
    """Several objectives on one batch and one pass: BERT is Together(Mlm, Nsp)."""

    def __init__(self, objectives: Sequence[Objective]) -> None:
        super().__init__()
        self.members = tuple(objectives)
        self._registered = nn.ModuleList(objectives)
        self.name = "+".join(objective.name for objective in objectives)
        self.heads = tuple(dict.fromkeys(head for objective in objectives for head in objective.heads))

    def stages(self, model: Model) -> tuple[Stage, ...]:
        """Return every objective's step of collation, in order."""
        return tuple(objective.stage(model) for objective in self.members)

    def forward(self, run: Pass) -> Loss:
        """Join the parts."""
        loss: Loss = {}
        for objective in self.members:
            loss |= objective(run)
        return loss
