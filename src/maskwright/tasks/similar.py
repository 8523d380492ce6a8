"""Texts to vectors whose cosine says how similar they are: one encoder for both texts of a pair (a bi-encoder).

Reimers and Gurevych 2019, https://arxiv.org/abs/1908.10084.  The losses are in ``similar_losses``.  A model that reads both
texts at once (a cross-encoder) is ``classify`` or ``regress`` on pairs: better on each pair, but with nothing to search by.
Needs: texts, pairs or triplets, as the loss says.   Relatives: regress, classify.
"""

from __future__ import annotations

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from maskwright.data.batch import Batch
from maskwright.data.several import SeveralSource
from maskwright.data.source import RowsSource, tokenise_rows
from maskwright.errors import ConfigError, DataError, InputError
from maskwright.model import Model
from maskwright.nn.dropout import Dropout
from maskwright.nn.pooling import pool
from maskwright.objective import Loss, Objective, Part, Pass
from maskwright.tasks.rows import Rows, label_numbers
from maskwright.tasks.similar_losses import LOSSES, Cosine, SimilarityLoss

__all__ = ["Similarity", "labels_of", "make_loss", "source_of"]


class Similarity(Objective):
    """One encoder over all sequences of a row, and a loss of their vectors.

    forward: the vectors of B rows, (B, K, D), and the targets ``similar`` -> one part, summed over the rows.
    """

    name = "similar"

    def __init__(self, loss: SimilarityLoss, pooling: str) -> None:
        super().__init__()
        self.loss, self.pooling, self.couples = loss, pooling, loss.couples

    def prepare(self, model: Model) -> None:
        """Refuse a model without dropout where dropout is what the loss lives by."""
        super().prepare(model)
        rates = [module.rate for module in model.modules() if isinstance(module, Dropout)]
        if self.loss.columns == ("text", "text") and not any(rates):
            raise ConfigError(
                "loss: simcse needs dropout, and this model's rates are all 0: both vectors would be the same"
            )

    def reads(self, model: Model, batch: Batch) -> list[Tensor] | None:
        """Return the first places, where the pooling takes these."""
        return [batch.layout.first_B] if self.pooling == "first" else None

    def vectors(self, run: Pass) -> Tensor:
        """Return (B, K, D): the vectors of each row's sequences."""
        states = run.model.states(run.batch)
        pooled = pool(self.pooling, states[-1].float(), run.batch.layout)
        return pooled.view(len(run.batch.examples), -1, pooled.shape[-1])

    def couple(self, vectors_BKD: Tensor, labels: Tensor) -> Loss:
        """Return the part ``similar`` of vectors that are there already."""
        with torch.autocast(vectors_BKD.device.type, enabled=False):  # cosines over a temperature are too fine for bf16
            losses_B = self.loss(vectors_BKD.float(), labels)
        return {self.name: Part(losses_B.sum(), len(vectors_BKD))}

    def forward(self, run: Pass) -> Loss:
        """Return the part ``similar``."""
        return self.couple(self.vectors(run), run.batch.targets[self.name].labels)


def make_loss(name: str, options: dict[str, object], width: int, rows: Rows) -> SimilarityLoss:
    """Return a loss by name for these training rows; ConfigError for an unknown name or option."""
    kind: type[SimilarityLoss] = LOSSES[name].load()
    classes = sorted(set(rows.labels or ())) if kind.labels == "class" else []
    if kind.labels == "class" and len(classes) < 2:
        raise InputError(f"{rows.file}: the loss {name!r} needs at least two labels, and there is {classes}")
    return kind(kind.options.of(options, "options."), width, classes)


def labels_of(loss: SimilarityLoss, rows: Rows) -> NDArray[np.generic]:
    """Return what a loss is told of each row, (rows,) or (rows, K); DataError (file, line) for a label that it cannot use."""
    match loss.labels:
        case "texts":
            numbers: dict[str, int] = {}
            return np.array([[numbers.setdefault(text, len(numbers)) for text in texts] for texts in rows.texts])
        case "class":
            return np.array(label_numbers(rows, sorted(set(rows.labels or ()))))
        case "none":
            return np.zeros(len(rows), np.float32)
    values = np.array(rows.numbers(), np.float32)
    if isinstance(loss, Cosine):
        low, high = loss.config.low, loss.config.high
        fits, said = (
            (values >= low) & (values <= high),
            f"not from {low:g} to {high:g}; set --options.low and --options.high",
        )
    else:
        fits, said = (values == 0) | (values == 1), "neither 1 (similar) nor 0 (not)"
    if not fits.all():
        at = int(np.argmin(fits))
        raise DataError(f"the label {values[at]:g} is {said}", file=rows.file, line=rows.lines[at])
    return values


def source_of(model: Model, rows: Rows, labels: NDArray[np.generic], length: int, fingerprint: str) -> SeveralSource:
    """Tokenise each text of the rows as a sequence of its own, cut to ``length``."""
    tokenizer = model.tokenizer
    columns = []
    for at in range(len(rows.texts[0])):
        ids = tokenise_rows(tokenizer, [(texts[at],) for texts in rows.texts], length)
        columns.append(RowsSource(ids, np.zeros(len(ids)), tokenizer.frame, ""))
    return SeveralSource(tuple(columns), labels, fingerprint)
