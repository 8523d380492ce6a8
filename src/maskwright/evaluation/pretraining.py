"""How good a pre-trained encoder is on text it never saw, beside what knows nothing.

Tokens beside a model that knows only how frequent tokens are; sentence pairs beside the majority and beside a rule that sees
nothing but the two lengths (pairs cut short differ in length, so lengths alone tell something); replaced tokens beside the
answer that none was.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from maskwright.corpus.show import piece_counts
from maskwright.corpus.store import TokenColumn
from maskwright.data.batch import Batch
from maskwright.evaluation.intervals import Interval, wilson
from maskwright.evaluation.runner import forward_only
from maskwright.model import Model
from maskwright.objective import Objective
from maskwright.text.rules import END_ID
from maskwright.text.tokenizer import Tokenizer

__all__ = [
    "PAIR_TITLES",
    "TOKEN_TITLES",
    "Heldout",
    "Reference",
    "evaluate_pretraining",
    "length_rule",
    "pair_rules",
    "token_reference",
    "unigram_reference",
]

TOKEN_TITLES = {
    "mlm": "masked-token",
    "sbo": "span-boundary token",
    "plm": "any-order token",
    "blank": "blank",
    "causal": "next-token",
    "forward": "next-word",
    "backward": "previous-word",
    "spans": "span",
    "denoise": "mended-text",
}
PAIR_TITLES = {"nsp": "next-sentence", "sop": "sentence-order"}
"""Part -> what its scores are called."""


@dataclass(frozen=True)
class Reference:
    """What can be reached without looking at the context."""

    entropy: float
    """Of the corpus's token frequencies, in nats: the loss of a model that knows only these."""
    most_frequent: float
    """Share of the most frequent token: the accuracy of always naming it."""
    piece: str
    """That token."""

    def with_marks(self, share: float) -> Reference:
        """Return what can be reached where this share of the targets are an objective's own marks, such as sentinels.

        A model that knows how frequent they are, and which one comes next, but neither where it comes nor any context.
        """
        text = 1 - share
        entropy = text * (self.entropy - math.log(text)) - share * math.log(share)
        if text * self.most_frequent > share:
            return Reference(entropy, text * self.most_frequent, self.piece)
        return Reference(entropy, share, "the next mark")


@dataclass(frozen=True)
class Heldout:
    """Scores on held-out documents."""

    reference: Reference
    loss: dict[str, float]
    """Mean loss of each objective."""
    accuracy: dict[str, Interval]
    """Of each objective: the share predicted right."""
    counts: dict[str, int]
    """Predictions scored, of each objective."""
    pair_majority: Interval | None
    """Accuracy of always giving the more frequent answer about a pair."""
    pair_lengths: Interval | None
    """Accuracy of the best rule found that sees lengths only."""
    usual: dict[str, float]
    """Accuracy of the part's usual answer, where the part says it: never replaced; for tokens, the objective's own marks."""

    def as_dict(self) -> dict[str, Any]:
        """Return plain values."""
        return asdict(self)

    def scores(self) -> dict[str, Any]:
        """Return each score with what to hold it against, as a run log's ``result`` record has them."""
        found: dict[str, Any] = {}
        for part, title in TOKEN_TITLES.items():
            if part not in self.loss:
                continue
            reference = token_reference(self.reference, part, self.usual)
            beside = {"unigram entropy" + " with marks" * (part in self.usual): reference.entropy}
            found[f"{title} loss"] = {"value": self.loss[part], "unit": "nats", "beside": beside}
            always = {f"always {reference.piece!r}": reference.most_frequent}
            found[f"{title} accuracy"] = self._accuracy(part) | {"beside": always}
        for part, title in PAIR_TITLES.items():
            if part in self.accuracy:
                rules = {"majority": self.pair_majority, "lengths only": self.pair_lengths}
                known = {name: _share(rule) for name, rule in rules.items() if rule is not None}
                found[f"{title} accuracy"] = self._accuracy(part) | {"beside": known}
        if "rtd" in self.accuracy:
            found["replaced-token accuracy"] = self._accuracy("rtd") | {"beside": {"never replaced": self.usual["rtd"]}}
        return found

    def _accuracy(self, part: str) -> dict[str, Any]:
        return _share(self.accuracy[part]) | {"count": self.counts[part]}


def token_reference(reference: Reference, part: str, usual: Mapping[str, float]) -> Reference:
    """Return what a part about tokens is held against; usual: part -> share of its targets that are marks."""
    share = usual.get(part, 0.0)
    return reference.with_marks(share) if 0 < share < 1 else reference


def _share(found: Interval) -> dict[str, Any]:
    return {"value": found.value, "low": found.low, "high": found.high, "unit": "share"}


def unigram_reference(column: TokenColumn, tokenizer: Tokenizer) -> Reference:
    """Count the tokens of a corpus; of a vocabulary of words the words, and the border that is predicted once a sentence."""
    counts = piece_counts(column, tokenizer.vocab_size)
    if tokenizer.words:
        counts = counts[: tokenizer.words]
        counts[END_ID] = column.sentences
    shares = counts[counts > 0] / counts.sum()
    top = int(counts.argmax())
    (piece,) = tokenizer.pieces([top])
    if tokenizer.words and top != END_ID:
        piece = tokenizer.decode([top]).strip() or "<UNK>"
    return Reference(float(-(shares * np.log(shares)).sum()), float(shares.max()), piece)


def length_rule(train_columns: NDArray[np.int64], test_columns: NDArray[np.int64]) -> NDArray[np.int64]:
    """Learn to tell pairs from their two lengths and the sum, on training pairs; return the answers for the test pairs.

    A gradient-boosted tree ensemble: strong enough that nothing in the lengths is left to find.  Columns as in a plan of
    pairs.
    """
    from sklearn.ensemble import HistGradientBoostingClassifier

    def lengths(columns: NDArray[np.int64]) -> NDArray[np.int64]:
        a, b = columns[:, 1] - columns[:, 0], columns[:, 3] - columns[:, 2]
        return np.stack([a, b, a + b], axis=1)

    rule = HistGradientBoostingClassifier(max_iter=60, random_state=0)
    rule.fit(lengths(train_columns[:50_000]), train_columns[:50_000, 4])
    answers: NDArray[np.int64] = rule.predict(lengths(test_columns))
    return answers


def pair_rules(train_columns: NDArray[np.int64], test_columns: NDArray[np.int64]) -> tuple[Interval, Interval | None]:
    """Return what two rules score on the test pairs: the more frequent label; the lengths, if there are two labels to learn."""
    labels = test_columns[:, 4]
    usual = round(float(train_columns[:, 4].mean()))
    majority = wilson(int((labels == usual).sum()), len(labels))
    if len(set(train_columns[:, 4].tolist())) < 2:
        return majority, None
    return majority, wilson(int((length_rule(train_columns, test_columns) == labels).sum()), len(labels))


def evaluate_pretraining(
    model: Model,
    objective: Objective,
    batches: Sequence[Batch],
    dtype: torch.dtype,
    reference: Reference,
    train_columns: NDArray[np.int64],
    test_columns: NDArray[np.int64],
) -> Heldout:
    """Score a model on held-out batches; the columns are those of the training and the held-out plan."""
    taken = forward_only(model, objective, batches, dtype)
    accuracy = {
        name: wilson(round(share * taken.counts[name]), taken.counts[name]) for name, share in taken.accuracy.items()
    }
    majority = lengths = None
    if PAIR_TITLES.keys() & accuracy.keys():
        majority, lengths = pair_rules(train_columns, test_columns)
    return Heldout(reference, taken.parts, accuracy, taken.counts, majority, lengths, taken.usual)
