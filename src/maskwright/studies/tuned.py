"""A two-way task learnt by the whole encoder: what fine-tuning on a probe's documents makes of it.

The same examples as for every other reading, and one head, linear, on the first token's last state, for every task and model.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch.nn.functional as F

from maskwright.data.batch import Sample, Stage
from maskwright.data.pairs import Pairing
from maskwright.keys import Key
from maskwright.model import Model
from maskwright.objective import Loss, Objective, Part, Pass, Together
from maskwright.text.special import Frame

__all__ = ["Told"]

HEAD = "classify_first"


@dataclass(frozen=True)
class _Chain:
    """Several stages as one."""

    stages: tuple[Stage, ...]

    def __call__(self, sample: Sample, key: Key) -> Sample:
        for stage in self.stages:
            sample = stage(sample, key)
        return sample


class Told(Objective):
    """A two-way task on the examples of other objectives; of their targets it learns the one of ``task`` alone.

    forward: the B labels of ``task`` -> one part of that name.
    """

    heads = (HEAD,)

    def __init__(self, examples: Together, task: str) -> None:
        super().__init__()
        self.examples, self.name = examples, task

    def prepare(self, model: Model) -> None:
        """Give the model a fresh head of two scores."""
        model.add_head(HEAD, 2)

    def pairing(self, length: int, short_rate: float, frame: Frame) -> Pairing:
        """Return the rule of the examples."""
        return self.examples.pairing(length, short_rate, frame)

    def stage(self, model: Model) -> _Chain:
        """Return the steps of the examples."""
        return _Chain(self.examples.stages(model))

    def forward(self, run: Pass) -> Loss:
        """Return the part of the task."""
        target = run.batch.targets[self.name]
        logits_B2 = run.scores(HEAD).float()
        hits = (logits_B2.detach().argmax(-1) == target.labels).sum()
        return {self.name: Part(F.cross_entropy(logits_B2, target.labels, reduction="sum"), target.count, hits=hits)}
