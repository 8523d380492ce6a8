"""A classifier from a handful of texts a class: the encoder learns from pairs of them, a logistic regression from its vectors.

Tunstall et al. 2022 (SetFit), https://arxiv.org/abs/2209.11055.  N texts make many pairs: each text is paired with texts of its
own class (cosine 1) and of other classes (cosine 0); what they teach the encoder is more than N labels could teach a head.
Needs: an encoder whose vectors mean something already, such as one trained for similarity.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from safetensors.torch import load_file, save_file

from maskwright.checkpoint.seal import sealed_folder, verify
from maskwright.errors import CheckpointError, ConfigError, InputError
from maskwright.keys import Key
from maskwright.model import Model, load
from maskwright.tasks.rows import Rows
from maskwright.tasks.similar_config import SimilarityConfig
from maskwright.train.similar import train_similarity_rows

__all__ = ["FewShot", "few_rows", "few_shot", "pairs_of"]

_SEAL = "head.json"
_SCHEMA = 1


@dataclass(frozen=True)
class FewShot:
    """An encoder and a logistic regression on its vectors."""

    model: Model
    labels: tuple[str, ...]
    weight_CD: NDArray[np.float64]
    bias_C: NDArray[np.float64]

    def predict(self, texts: Sequence[str]) -> list[dict[str, Any]]:
        """Return ``label`` and ``probabilities`` by label name for each text."""
        scores_BC = self.model.encode(texts).astype(np.float64) @ self.weight_CD.T + self.bias_C
        shares_BC = np.exp(scores_BC - scores_BC.max(-1, keepdims=True))
        shares_BC /= shares_BC.sum(-1, keepdims=True)
        return [
            {
                "label": self.labels[int(row.argmax())],
                "probabilities": {name: round(float(share), 6) for name, share in zip(self.labels, row, strict=True)},
            }
            for row in shares_BC
        ]

    def save(self, folder: str | Path) -> None:
        """Write ``model/``, a model folder, and ``head/``, each whole or not at all."""
        folder = Path(folder)
        self.model.save(folder / "model")
        with sealed_folder(folder / "head", _SEAL, {"schema": _SCHEMA, "labels": list(self.labels)}) as staging:
            tensors = {"weight": torch.from_numpy(self.weight_CD), "bias": torch.from_numpy(self.bias_C)}
            save_file({name: tensor.contiguous() for name, tensor in tensors.items()}, staging / "head.safetensors")

    @classmethod
    def load(cls, folder: str | Path) -> FewShot:
        """Read what ``save`` wrote; CheckpointError for anything missing or damaged."""
        head = Path(folder) / "head"
        content = verify(head, _SEAL)
        if content.get("schema") != _SCHEMA:
            raise CheckpointError(f"{head / _SEAL}: schema {content.get('schema')!r}; this version reads {_SCHEMA}")
        tensors = load_file(head / "head.safetensors")
        return cls(
            load(Path(folder) / "model"), tuple(content["labels"]), tensors["weight"].numpy(), tensors["bias"].numpy()
        )


def few_rows(rows: Rows, each: int, *, seed: int = 0) -> Rows:
    """Return ``each`` rows of every label, drawn by the seed; InputError for a label that has fewer."""
    assert rows.labels is not None
    labels, order = np.array(rows.labels), Key(seed).stream("few.rows").order(len(rows))
    taken = []
    for label in sorted(set(rows.labels)):
        there = order[labels[order] == label]
        if len(there) < each:
            raise InputError(f"{rows.file}: the label {label!r} has {len(there)} rows, and {each} are asked for")
        taken += there[:each].tolist()
    return Rows(
        tuple(rows.texts[at] for at in taken),
        tuple(rows.labels[at] for at in taken),
        tuple(rows.lines[at] for at in taken),
        rows.file,
    )


def pairs_of(rows: Rows, rounds: int, *, seed: int = 0) -> Rows:
    """Return pairs with the label 1 (of one class) or 0: in each round one of either kind for each text.

    A text that is alone in its class is paired with itself.  InputError for fewer than two labels or for pairs of texts.
    """
    assert rows.labels is not None
    labels = np.array(rows.labels)
    if len(set(rows.labels)) < 2:
        raise InputError(f"{rows.file}: at least two labels are needed, and there is {sorted(set(rows.labels))}")
    if any(len(texts) != 1 for texts in rows.texts):
        raise InputError(f"{rows.file}: few-shot learning takes single texts, not pairs")
    texts, kinds, lines = [], [], []
    for at, label in enumerate(rows.labels):
        stream = Key(seed, sample=at).stream("few.pairs")
        same = np.setdiff1d(np.flatnonzero(labels == label), [at])
        groups = (("1", same if len(same) else np.array([at])), ("0", np.flatnonzero(labels != label)))
        for _ in range(rounds):
            for kind, group in groups:
                other = int(group[stream.below(len(group))])
                texts.append((rows.texts[at][0], rows.texts[other][0]))
                kinds.append(kind)
                lines.append(rows.lines[at])
    return Rows(tuple(texts), tuple(kinds), tuple(lines), rows.file)


def few_shot(
    model: Model, rows: Rows, out: str | Path, *, rounds: int = 20, strength: float = 1.0, **train: Any
) -> FewShot:
    """Return a classifier from a few labelled texts; the model is changed, and ``out`` receives the run and the result.

    rounds: pairs of either kind for each text.  strength: the logistic regression's inverse regularisation C.  train: options
    of the loop; by default one epoch over the pairs, 16 a step, at a rate of 2e-5.  The model's own pooling is kept.

    Raises InputError for rows that cannot be used and what ``train_similarity`` raises.
    """
    from sklearn.linear_model import LogisticRegression

    if rounds < 1 or strength <= 0:
        raise ConfigError(f"rounds {rounds} and strength {strength}: at least 1 and above 0 are expected")
    out = Path(out)
    options = {"epochs": 1, "examples": 16, "lr": 2e-5, **train}
    if {"steps", "minutes"} & set(train):
        del options["epochs"]
    config = SimilarityConfig.of(
        {
            "model": "given",
            "data": rows.file,
            "loss": "cosine",
            "pooling": model.card.task.get("pooling", "mean"),
            "length": min(128, model.longest),
            "out": out / "run",
            "train": options,
        }
    )
    pairs = pairs_of(rows, rounds, seed=config.train.seed)
    trained = train_similarity_rows(model, pairs, None, config).model
    assert rows.labels is not None
    labels = tuple(sorted(set(rows.labels)))
    numbers = [labels.index(label) for label in rows.labels]
    vectors = trained.encode([texts[0] for texts in rows.texts]).astype(np.float64)
    fitted = LogisticRegression(C=strength, max_iter=10_000).fit(vectors, numbers)
    weight_CD, bias_C = fitted.coef_, fitted.intercept_
    if len(labels) == 2:  # one line of weights, for the second class against the first
        weight_CD, bias_C = np.concatenate([0 * weight_CD, weight_CD]), np.concatenate([0 * bias_C, bias_C])
    found = FewShot(trained, labels, np.ascontiguousarray(weight_CD), np.ascontiguousarray(bias_C))
    found.save(out)
    return found
