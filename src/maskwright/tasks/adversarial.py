"""Adversarial training on the embeddings: each batch is learnt twice, the second time where it hurts.

The fast gradient method: the embeddings of each sequence take a step of a given length along the gradient of their loss, and
the loss there is added.  Miyato et al. 2017, section 3, https://arxiv.org/abs/1605.07725 (there on normalised word
embeddings; here on what the embedding layer gives, LayerNorm included).  Costs a second pass forward and backward.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor, nn

from maskwright.data.batch import Batch, Sample
from maskwright.keys import Key
from maskwright.model import Model
from maskwright.nn.layout import Ragged
from maskwright.objective import Loss, Objective, Part, Pass
from maskwright.tasks.base import LabelFirst, Task

__all__ = ["Adversarial"]

_NAME = "adversarial"


@dataclass(frozen=True)
class _Both:
    """Labels a sample for the task, and once more for the part of the perturbed pass, which has a count of its own."""

    stage: LabelFirst
    name: str

    def __call__(self, sample: Sample, key: Key) -> Sample:
        labelled = self.stage(sample, key)
        return labelled.with_target(_NAME, *labelled.targets[self.name])


class Adversarial(Objective):
    """A task, and the same task on embeddings moved by ``size`` (L2, a sequence) along their gradient.

    forward: the task's part, and one called ``adversarial`` of the same targets.
    """

    name = _NAME

    def __init__(self, task: Task, size: float) -> None:
        super().__init__()
        self.task, self.size, self.heads = task, size, task.heads

    def prepare(self, model: Model) -> None:
        """Give the model the task's head."""
        self.task.prepare(model)

    def stage(self, model: Model) -> _Both:
        """Return the labelling step."""
        stage = self.task.stage(model)
        assert isinstance(stage, LabelFirst)
        return _Both(stage, self.task.name)

    def reads(self, model: Model, batch: Batch) -> list[Tensor] | None:
        """Return the task's rows."""
        return self.task.reads(model, batch)

    def forward(self, run: Pass) -> Loss:
        """Return both parts; outside training the task's alone."""
        if not self.training:
            loss: Loss = self.task(run)
            return loss
        embed = run.model.net.embed
        clean, embedded_TD = _with(embed, run, self.task, None)
        part = clean[self.task.name]
        (gradient_TD,) = torch.autograd.grad(part.sum, embedded_TD, retain_graph=True)
        step_TD = self.size * gradient_TD / _norms(gradient_TD, run.batch).clamp_min(torch.finfo(torch.float32).tiny)
        moved, _ = _with(embed, Pass(run.model, run.batch), self.task, step_TD.detach())
        return clean | {_NAME: Part(moved[self.task.name].sum, part.count)}


def _with(embed: nn.Module, run: Pass, task: Task, step_TD: Tensor | None) -> tuple[Loss, Tensor]:
    """Compute the loss with the embeddings moved; return it, and the embeddings as they went on."""
    seen: list[Tensor] = []

    def move(module: nn.Module, given: object, out: Tensor) -> Tensor:
        # Frozen embeddings have no gradient of their own, and the step needs theirs.
        out = out if out.requires_grad else out.detach().requires_grad_()
        seen.append(out if step_TD is None else out + step_TD)
        return seen[-1]

    handle = embed.register_forward_hook(move)
    try:
        loss: Loss = task(run)
    finally:
        handle.remove()
    return loss, seen[0]


def _norms(x_TD: Tensor, batch: Batch) -> Tensor:
    """(T, 1): the L2 norm of the sequence that each token is in."""
    layout = batch.layout
    assert isinstance(layout, Ragged)
    squares = x_TD.new_zeros(layout.batch + 1).index_add(0, layout.row, x_TD.square().sum(-1))
    return squares.sqrt()[layout.row][:, None]
