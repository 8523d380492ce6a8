"""Run a model over batches or rows, without dropout and without gradients."""

from __future__ import annotations

import math
from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass, field

import numpy as np
import torch
from numpy.typing import NDArray

from maskwright.data.batch import Batch
from maskwright.machine import autocast
from maskwright.machine import precision as dtype_of
from maskwright.model import Model, batches_of
from maskwright.objective import Objective, Part, Pass

__all__ = ["Sums", "Taken", "forward_only", "logits_of"]


@dataclass
class Sums:
    """A loss gathered over batches: for each part its sum, count and weight, its hits and those of the usual answer."""

    sum: float = 0.0
    count: int = 0
    weight: float = 1.0
    hits: float | None = None
    usual: float | None = None

    def add(self, part: Part) -> None:
        """Take in one batch's part."""
        self.sum += float(part.sum.detach())
        self.count += part.count
        self.weight = part.weight
        if part.hits is not None:
            self.hits = (self.hits or 0.0) + float(part.hits)
        if part.usual is not None:
            self.usual = (self.usual or 0.0) + float(part.usual)

    def join(self, other: Sums) -> None:
        """Take in another process's sums."""
        self.sum += other.sum
        self.count += other.count
        self.weight = other.weight
        if other.hits is not None:
            self.hits = (self.hits or 0.0) + other.hits
        if other.usual is not None:
            self.usual = (self.usual or 0.0) + other.usual


@dataclass(frozen=True)
class Taken:
    """What a step, or an evaluation, saw: plain numbers."""

    loss: float
    parts: dict[str, float]
    """Mean of each part."""
    accuracy: dict[str, float]
    """Share predicted right, for the parts where that means something."""
    counts: dict[str, int]
    weights: dict[str, float] = field(default_factory=dict)
    """What each part counts in the loss."""
    usual: dict[str, float] = field(default_factory=dict)
    """Share that the most frequent answer gets right, for the parts that say so."""

    @classmethod
    def of(cls, sums: dict[str, Sums]) -> Taken:
        """Divide sums by counts."""
        means = {name: s.sum / max(1, s.count) for name, s in sums.items()}
        return cls(
            math.fsum(means[name] * s.weight for name, s in sums.items()),
            means,
            {name: s.hits / max(1, s.count) for name, s in sums.items() if s.hits is not None},
            {name: s.count for name, s in sums.items()},
            {name: s.weight for name, s in sums.items()},
            {name: s.usual / max(1, s.count) for name, s in sums.items() if s.usual is not None},
        )


@torch.no_grad()
def forward_only(model: Model, objective: Objective, batches: Sequence[Batch], dtype: torch.dtype) -> Taken:
    """Return the loss of batches without dropout and without gradients."""
    was_training, was_learning = model.training, objective.training
    model.eval()
    objective.eval()
    sums: dict[str, Sums] = defaultdict(Sums)
    for batch in batches:
        with autocast(model.device, dtype):
            loss = objective(Pass(model, batch.asking(objective.reads(model, batch)).to(model.device)))
        for name, part in loss.items():
            sums[name].add(part)
    model.train(was_training)
    objective.train(was_learning)
    return Taken.of(sums)


@torch.no_grad()
def logits_of(
    model: Model,
    rows: Sequence[tuple[str, ...]],
    *,
    precision: str = "auto",
    length: int | None = None,
    batch_tokens: int = 8192,
) -> NDArray[np.float32]:
    """Return the classification head's scores of texts or pairs, (len(rows), C), in the order of the rows.

    precision: of matrix products, as in ``Model.encode``.  length: tokens at which a row is cut, the model's own limit unless
    given.
    """
    was_training, dtype = model.training, dtype_of(precision, model.device)
    model.eval()
    head = next((name for name in model.net.heads if name.startswith("classify")), "classify")
    logits: list[NDArray[np.float32]] = [np.empty(0, np.float32)] * len(rows)
    try:
        for batch in batches_of(model, rows, batch_tokens, length):
            batch = batch.asking(model.reads(head, batch)).to(model.device)
            with autocast(model.device, dtype):
                states = [state.float() for state in model.read_states(batch)]
            # The head in fp32: it costs nothing, and a score of eight bits ties with others.
            scores = model.scores(head, states[-1], batch.layout, states)
            for number, row in zip(batch.examples, scores.cpu().numpy(), strict=True):
                logits[number] = row
    finally:
        model.train(was_training)
    return np.stack(logits) if logits else np.empty((0, 0), np.float32)
