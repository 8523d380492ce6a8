"""Small networks on top of an encoder: pooler, masked-token scores, scores of classes, of tokens, of answers.

Each says what it reads of a sequence's hidden states (``READS``), so that whoever runs it need not know the architecture.
Devlin et al. 2019, sections 3.1 and 4, https://arxiv.org/abs/1810.04805
"""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from maskwright.nn.block import ACTIVATIONS
from maskwright.nn.dropout import Dropout

__all__ = ["READS", "DenseScores", "MaskedTokens", "NextToken", "Pooler", "Scores"]

READS = ("tokens", "first", "last", "mean", "pooled", "max", "last4-mean", "last4-concat", "layers")
"""Every token's state; each sequence's first; its last; the mean of its tokens' states; what the pooler makes of the first; the
greatest of its tokens' values; the first token's states of the last four layers, averaged or end to end; all layers' states, of
which the network itself then makes one more."""


class Pooler(nn.Module):
    """tanh of a dense layer on the first token: (B, D) -> (B, D)."""

    reads = "first"

    def __init__(self, width: int) -> None:
        super().__init__()
        self.dense = nn.Linear(width, width)

    def forward(self, first_BD: Tensor) -> Tensor:
        """first_BD: hidden states of each sequence's first token."""
        return torch.tanh(self.dense(first_BD))


class MaskedTokens(nn.Module):
    """Scores of every vocabulary entry: dense, activation, LayerNorm, then the token table itself plus a bias."""

    reads = "tokens"

    def __init__(
        self, token_table: nn.Embedding, width: int, *, activation: str, norm_eps: float, bias: bool = True
    ) -> None:
        super().__init__()
        vocabulary, table_width = token_table.weight.shape
        self.dense = nn.Linear(width, table_width, bias=bias)
        self.norm = nn.LayerNorm(table_width, eps=norm_eps, bias=bias)
        self.bias = nn.Parameter(torch.zeros(vocabulary))
        self.activation = ACTIVATIONS[activation]
        # In a tuple, so that the table is tied and not registered a second time.
        self._table = (token_table,)

    def forward(self, hidden_MD: Tensor) -> Tensor:
        """hidden_MD: only the rows that are scored, (M, D) -> (M, V)."""
        return F.linear(self.norm(self.activation(self.dense(hidden_MD))), self._table[0].weight, self.bias)


class NextToken(nn.Module):
    """Scores of every vocabulary entry: the token table itself, perhaps plus a bias; ``factor`` scales what it reads."""

    reads = "tokens"

    def __init__(self, token_table: nn.Embedding, *, bias: bool = False, factor: float = 1.0) -> None:
        super().__init__()
        self.bias = nn.Parameter(torch.zeros(token_table.num_embeddings)) if bias else None
        self.factor = factor
        self._table = (token_table,)

    def forward(self, hidden_MD: Tensor) -> Tensor:
        """hidden_MD: only the rows that are scored, (M, D) -> (M, V)."""
        return F.linear(hidden_MD * self.factor, self._table[0].weight, self.bias)


class Scores(nn.Module):
    """Dropout and a linear layer: C scores, or one value for a regression."""

    def __init__(self, width: int, outputs: int, *, reads: str, dropout: float = 0.0, bias: bool = True) -> None:
        super().__init__()
        self.reads = reads
        self.dropout = Dropout(dropout)
        self.score = nn.Linear(width, outputs, bias=bias)

    def forward(self, x: Tensor) -> Tensor:
        """(..., D) -> (..., C)."""
        out: Tensor = self.score(self.dropout(x))
        return out


class DenseScores(nn.Module):
    """A dense layer and its activation before the scores, for families whose classes read no pooler.

    norm_eps: epsilon of a LayerNorm behind the activation; None where there is none.  bias: of the dense layer and the norm.
    """

    def __init__(
        self,
        width: int,
        outputs: int,
        *,
        reads: str,
        activation: str,
        dropout: float = 0.0,
        norm_eps: float | None = None,
        bias: bool = True,
    ) -> None:
        super().__init__()
        self.reads = reads
        self.dense = nn.Linear(width, width, bias=bias)
        self.norm = nn.Identity() if norm_eps is None else nn.LayerNorm(width, eps=norm_eps, bias=bias)
        self.dropout = Dropout(dropout)
        self.score = nn.Linear(width, outputs)
        self.activation = ACTIVATIONS[activation]

    def forward(self, x: Tensor) -> Tensor:
        """(..., D) -> (..., C)."""
        out: Tensor = self.score(self.dropout(self.norm(self.activation(self.dense(x)))))
        return out
