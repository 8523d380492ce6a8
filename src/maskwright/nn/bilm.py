"""What stands on a bidirectional language model: a learnt mixture of its layers, and the words before and after each token.

Peters et al. 2018, equation 1 and section 3.1, https://arxiv.org/abs/1802.05365
"""

from __future__ import annotations

from collections.abc import Sequence

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from maskwright.nn.dropout import Dropout
from maskwright.nn.layout import Ragged

__all__ = ["NeighbourWords", "NormedMix", "ScalarMix", "links"]

_EPS = 1e-13
"""Of the normed mixture; AllenNLP's scalar_mix.py."""


class ScalarMix(nn.Module):
    """γ · Σ softmax(w)_l · layer l: as many weights as layers, all shared by all tokens and dimensions."""

    reads = "layers"

    def __init__(self, layers: int) -> None:
        super().__init__()
        self.weights = nn.Parameter(torch.zeros(layers))
        self.gamma = nn.Parameter(torch.ones(1))

    def forward(self, states: Sequence[Tensor], layout: Ragged) -> Tensor:
        """L tensors of (T, D) and their layout -> (T, D)."""
        shares = self.weights.softmax(0)
        mixed = torch.zeros_like(states[0])
        for share, state in zip(shares, states, strict=True):
            mixed = mixed + share * state
        return self.gamma * mixed

    def initialise(self) -> None:
        """Begin with the mean of the layers."""
        nn.init.zeros_(self.weights)
        nn.init.ones_(self.gamma)


class NormedMix(ScalarMix):
    """The mixture of layers each less its mean, over its standard deviation: both over every value in the batch.

    So a token's vector depends on what else is in the batch; section 3.2 says where that has helped all the same.
    """

    def forward(self, states: Sequence[Tensor], layout: Ragged) -> Tensor:
        """L tensors of (T, D) and their layout -> (T, D); tokens of no sequence do not count."""
        total = layout.tokens
        normed = []
        for state in states:
            variance, mean = torch.var_mean(state[:total], correction=0)
            normed.append((state - mean) / (variance + _EPS).sqrt())
        return super().forward(normed, layout)


class NeighbourWords(nn.Module):
    """Scores of the word after each token by the forward half of its state, and of the word before by the backward half.

    One matrix and one bias for both.  Attributes ``weight`` (V, P) and ``bias`` (V,) are there for objectives that
    compute some of the scores only.
    """

    reads = "tokens"

    def __init__(self, width: int, words: int, dropout: float = 0.0) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.empty(words, width // 2))
        self.bias = nn.Parameter(torch.empty(words))
        self.dropout = Dropout(dropout)

    def after(self, hidden_MD: Tensor) -> Tensor:
        """(M, D) of the biLSTM's last layer -> (M, V): what comes next."""
        return F.linear(self.dropout(hidden_MD.chunk(2, -1)[0]), self.weight, self.bias)

    def before(self, hidden_MD: Tensor) -> Tensor:
        """(M, D) of the biLSTM's last layer -> (M, V): what came before."""
        return F.linear(self.dropout(hidden_MD.chunk(2, -1)[1]), self.weight, self.bias)

    def forward(self, hidden_MD: Tensor) -> Tensor:
        """(M, D) -> (M, 2, V): ``after`` and ``before``; what stands at a sequence's end has no meaning on that side."""
        return torch.stack([self.after(hidden_MD), self.before(hidden_MD)], 1)

    def initialise(self) -> None:
        """Give the weights that bilm-tf's softmax begins with: N(0, 1 / P), bias 0."""
        nn.init.normal_(self.weight, std=self.weight.shape[1] ** -0.5)
        nn.init.zeros_(self.bias)


def links(layout: Ragged) -> Tensor:
    """(M,) int64: tokens with a next one in their sequence.

    With ``t = links(layout)``, ``after`` of the rows t predicts the words at t + 1, and ``before`` of t + 1 those at t.
    """
    row_T = layout.row
    return ((row_T[1:] == row_T[:-1]) & (row_T[1:] < layout.batch)).nonzero()[:, 0]
