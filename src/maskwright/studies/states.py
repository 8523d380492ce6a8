"""What an encoder makes of examples, computed once: the material of heads that learn while the encoder stays as it is."""

from __future__ import annotations

import itertools
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from maskwright.config import PretrainConfig, PretrainTrainConfig
from maskwright.corpus.store import Corpus
from maskwright.data.batch import IGNORED, Batch
from maskwright.data.plan import Budget
from maskwright.keys import Key
from maskwright.machine import autocast
from maskwright.model import Model
from maskwright.objective import Pass, Together
from maskwright.studies.seen import Documents
from maskwright.train.setup import Pretraining

__all__ = ["States", "learn_batches", "parts_of", "read_states"]

_LEARN_EPOCH = 1 << 33
"""Epoch of the keys of the examples that fresh heads learn from: none of a training, nor that of held-out text."""


@dataclass(frozen=True)
class States:
    """Vectors and the label of each."""

    x_ED: NDArray[np.float32]
    y_E: NDArray[np.int64]


def parts_of(
    model: Model,
    corpus: Corpus,
    objective: Together,
    documents: Documents,
    *,
    length: int,
    short_rate: float,
    seed: int,
) -> Pretraining:
    """Return what makes the examples of these objectives from the documents; the model and its heads stay as they are."""
    train = PretrainTrainConfig.of({"seed": seed})
    config = PretrainConfig(
        corpus=corpus.folder, out=Path(), length=min(length, model.longest), short_rate=short_rate, train=train
    )
    column = corpus.tokens(model.tokenizer)
    return Pretraining(config, corpus, column, model, objective, documents.learn, documents.scored)


def learn_batches(parts: Pretraining, examples: int) -> list[Batch]:
    """Return so many examples from the documents to learn from, drawn from all of them, in batches of some 8,192 tokens."""
    source, key = parts.source(parts.train_documents), Key(parts.config.train.seed, _LEARN_EPOCH)
    plan = source.plan(Budget(examples=1), key)
    some = replace(plan, order=plan.order[:examples])
    bounds = Budget(tokens=8_192).steps(some.lengths[some.order])
    collate = parts.collator()
    return [collate([source.sample(some, int(n)) for n in some.order[a:b]], key) for a, b in itertools.pairwise(bounds)]


@torch.no_grad()
def read_states(model: Model, batches: Sequence[Batch], tasks: Sequence[str], dtype: torch.dtype) -> dict[str, States]:
    """Run the encoder once over batches, without dropout, and keep what each task's head reads, by the task's name.

    mlm: (M, D), the last states at the hidden tokens, and which tokens these were.  Another task: (E, 2·D), of each example the
    state of [CLS] and the mean of all states, end to end, and the label of the target of that name.
    """
    was_training = model.training
    model.eval()
    found: dict[str, list[tuple[Tensor, Tensor]]] = {task: [] for task in tasks}
    for batch in batches:
        batch = batch.to(model.device)
        with autocast(model.device, dtype):
            hidden_TD = Pass(model, batch).hidden_TD
        hidden_TD = hidden_TD.float()
        for task, kept in found.items():
            target = batch.targets[task]
            valid = target.labels != IGNORED
            read = hidden_TD[target.rows[valid]] if task == "mlm" else _pooled(model, hidden_TD, batch)
            kept.append((read.cpu(), target.labels[valid].cpu()))
    model.train(was_training)
    return {
        task: States(torch.cat([x for x, _ in kept]).numpy(), torch.cat([y for _, y in kept]).numpy())
        for task, kept in found.items()
    }


def _pooled(model: Model, hidden_TD: Tensor, batch: Batch) -> Tensor:
    """(B, 2·D)."""
    end, cls = model.tokenizer.frame.pair[-1].id, model.tokenizer.roles.get("cls")
    at_end = end is not None and end == cls  # as XLNet has it
    cls_BD = hidden_TD[batch.layout.last_B if at_end else batch.layout.first_B]
    return torch.cat([cls_BD, batch.layout.mean(hidden_TD)], -1)
