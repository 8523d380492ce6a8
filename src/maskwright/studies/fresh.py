"""Fresh heads that learn from states: the encoder that made them is not there any more, so it cannot change.

Pairs: a logistic regression on standardised states; its penalty is chosen on a fifth of what it learns from, then it is fitted
on all of that by L-BFGS until it converges.
Hidden tokens: the family's own masked-token head, tied to the encoder's token table, which stays as it is; AdamW at a constant
rate, 512 places a step, until a tenth of the places, set aside, gets no better.
Alain and Bengio 2017, https://arxiv.org/abs/1610.01644; Tenney et al. 2019, https://arxiv.org/abs/1905.06316.
"""

from __future__ import annotations

import copy
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from maskwright.evaluation.intervals import Interval, wilson
from maskwright.keys import Key
from maskwright.machine import autocast, precision, seeded
from maskwright.model import Model
from maskwright.nn.vocabulary import cross_entropy
from maskwright.studies.states import States

__all__ = ["Score", "fit_pairs", "fit_tokens"]

PENALTIES = (1e-4, 1e-3, 1e-2, 1e-1)
"""Inverse penalties C that are tried."""
ASIDE = 5
"""One in so many of the examples to learn from is set aside to choose the penalty by; then all of them are fitted."""
RATE, PLACES, PASSES, PATIENCE = 1e-3, 512, 20, 2
"""Of the masked-token head: rate, places a step, most passes, passes without a better loss before it stops."""


@dataclass(frozen=True)
class Score:
    """How one head answers on the scored documents."""

    accuracy: Interval
    loss: float
    """Mean cross-entropy in nats."""
    count: int


def fit_pairs(learn: States, scored: States, seed: int) -> Score:
    """Fit a logistic regression on one set of states and score it on another; both labels must be there to learn."""
    mean_D, sd_D = learn.x_ED.mean(0, dtype=np.float64), learn.x_ED.std(0, dtype=np.float64) + 1e-6
    order = Key(seed).stream("probe.aside").order(len(learn.y_E))
    x_ED, y_E = (learn.x_ED[order] - mean_D) / sd_D, learn.y_E[order]
    aside = len(y_E) // ASIDE
    losses = {c: _pair_score(_fitted(c, x_ED[aside:], y_E[aside:]), x_ED[:aside], y_E[:aside]).loss for c in PENALTIES}
    best = min(losses, key=losses.__getitem__)
    return _pair_score(_fitted(best, x_ED, y_E), (scored.x_ED - mean_D) / sd_D, scored.y_E)


def _fitted(strength: float, x_ED: NDArray[np.float64], y_E: NDArray[np.int64]) -> Any:
    from sklearn.linear_model import LogisticRegression

    return LogisticRegression(C=strength, max_iter=10_000).fit(x_ED, y_E)


def _pair_score(fitted: Any, x_ED: NDArray[np.float64], y_E: NDArray[np.int64]) -> Score:
    shares_E2 = fitted.predict_proba(x_ED)
    right_E = np.maximum(shares_E2[np.arange(len(y_E)), y_E], 1e-12)
    return Score(wilson(int((shares_E2.argmax(-1) == y_E).sum()), len(y_E)), float(-np.log(right_E).mean()), len(y_E))


def fit_tokens(model: Model, learn: States, scored: States, seed: int) -> Score:
    """Train a fresh masked-token head on the states at hidden tokens and score it; no tensor of the model changes."""
    with seeded(seed):
        head = model.family.kinds["mlm"].build(model.net, 0)
        model.net.initialise(head)
    head = head.to(model.device)
    order = Key(seed).stream("probe.aside").order(len(learn.y_E))
    aside, rest = order[: len(order) // 10], order[len(order) // 10 :]
    own = list(head.parameters())  # without the token table: that is the encoder's
    optimizer = torch.optim.AdamW(own, lr=RATE)
    best, kept, waited = np.inf, copy.deepcopy(head.state_dict()), 0
    for epoch in range(PASSES):
        shuffled = rest[Key(seed, epoch).stream("probe.order").order(len(rest))]
        for x_MD, y_M in _chunks(learn, shuffled, model.device):
            with autocast(model.device, precision("auto", model.device)):
                loss = cross_entropy(head(x_MD), y_M)[0].mean()
            for parameter, gradient in zip(own, torch.autograd.grad(loss, own), strict=True):
                parameter.grad = gradient
            optimizer.step()
        loss_now, _ = _score(head, learn, aside, model.device)
        if loss_now < best:
            best, kept, waited = loss_now, copy.deepcopy(head.state_dict()), 0
        elif (waited := waited + 1) >= PATIENCE:
            break
    head.load_state_dict(kept)
    loss_scored, hits = _score(head, scored, np.arange(len(scored.y_E)), model.device)
    return Score(wilson(hits, len(scored.y_E)), loss_scored, len(scored.y_E))


def _chunks(states: States, places: NDArray[np.int64], where: torch.device) -> Iterator[tuple[Tensor, Tensor]]:
    for at in range(0, len(places), PLACES):
        chosen = places[at : at + PLACES]
        yield torch.from_numpy(states.x_ED[chosen]).to(where), torch.from_numpy(states.y_E[chosen]).to(where)


@torch.no_grad()
def _score(head: nn.Module, states: States, places: NDArray[np.int64], where: torch.device) -> tuple[float, int]:
    """Mean loss and hits."""
    loss, hits = 0.0, 0
    for x_MD, y_M in _chunks(states, places, where):
        with autocast(where, precision("auto", where)):
            losses_M, best_M = cross_entropy(head(x_MD), y_M)
        loss += float(losses_M.sum())
        hits += int((best_M == y_M).sum())
    return loss / max(1, len(places)), hits
