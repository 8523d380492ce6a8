"""Small networks on top of an encoder: pooler, masked-token scores, next-sentence scores, classes.

Devlin et al. 2019, sections 3.1 and 4, https://arxiv.org/abs/1810.04805
"""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from maskwright.nn.block import ACTIVATIONS
from maskwright.nn.dropout import Dropout

__all__ = ["Classify", "MaskedTokens", "NextSentence", "Pooler"]


class Pooler(nn.Module):
    """tanh of a dense layer on the first token: (B, D) -> (B, D)."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.dense = nn.Linear(width, width)

    def forward(self, first_BD: Tensor) -> Tensor:
        """first_BD: hidden states of each sequence's first token."""
        return torch.tanh(self.dense(first_BD))


class MaskedTokens(nn.Module):
    """Scores of every vocabulary entry: dense, activation, LayerNorm, then the token table itself plus a bias."""

    def __init__(self, token_table: nn.Embedding, activation: str, norm_eps: float) -> None:
        super().__init__()
        vocabulary, width = token_table.weight.shape
        self.dense = nn.Linear(width, width)
        self.norm = nn.LayerNorm(width, eps=norm_eps)
        self.bias = nn.Parameter(torch.zeros(vocabulary))
        self.activation = ACTIVATIONS[activation]
        # In a tuple, so that the table is tied and not registered a second time.
        self._table = (token_table,)

    def forward(self, hidden_MD: Tensor) -> Tensor:
        """hidden_MD: only the rows that are scored, (M, D) -> (M, V)."""
        return F.linear(self.norm(self.activation(self.dense(hidden_MD))), self._table[0].weight, self.bias)


class NextSentence(nn.Module):
    """Two scores from the pooled first token: 0 the second segment follows the first, 1 it does not."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.score = nn.Linear(width, 2)

    def forward(self, pooled_BD: Tensor) -> Tensor:
        """(B, D) -> (B, 2)."""
        out: Tensor = self.score(pooled_BD)
        return out


class Classify(nn.Module):
    """Dropout and a linear layer on the pooled first token: classes, or one value for a regression."""

    def __init__(self, width: int, outputs: int, dropout: float) -> None:
        super().__init__()
        self.dropout = Dropout(dropout)
        self.score = nn.Linear(width, outputs)

    def forward(self, pooled_BD: Tensor) -> Tensor:
        """(B, D) -> (B, C)."""
        out: Tensor = self.score(self.dropout(pooled_BD))
        return out
