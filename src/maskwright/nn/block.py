"""One Transformer block: attention, then a feed-forward network, each with a residual and a LayerNorm.

Post-norm, as BERT and the original Transformer have it: ``norm(x + f(x))``.
Vaswani et al. 2017, section 3, https://arxiv.org/abs/1706.03762; Devlin et al. 2019, https://arxiv.org/abs/1810.04805
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial

import torch.nn.functional as F
from torch import Tensor, nn

from maskwright.nn.attend import attend
from maskwright.nn.dropout import Dropout
from maskwright.nn.layout import Layout

__all__ = ["ACTIVATIONS", "Block", "BlockSpec"]

ACTIVATIONS: dict[str, Callable[[Tensor], Tensor]] = {
    "gelu": F.gelu,
    "gelu_new": partial(F.gelu, approximate="tanh"),
    "relu": F.relu,
}
"""By the names that Hugging Face's config.json uses; "gelu" is the exact one, x·Φ(x)."""


@dataclass(frozen=True, kw_only=True)
class BlockSpec:
    """Sizes of one block."""

    width: int
    """D."""
    heads: int
    """N; the head width H is D / N."""
    feed_forward: int
    """F."""
    activation: str = "gelu"
    norm_eps: float = 1e-12
    dropout: float = 0.1
    """Of what a sub-layer adds to the residual."""
    attention_dropout: float = 0.1
    """Of the attention weights."""

    def parameters(self) -> dict[str, tuple[str, int]]:
        """Part -> (closed form, count)."""
        d, f = self.width, self.feed_forward
        return {
            "attention: query, key, value, output": (f"4·(D² + D), D = {d:,}", 4 * (d * d + d)),
            "feed-forward": (f"2·D·F + F + D, F = {f:,}", 2 * d * f + f + d),
            "two LayerNorms": ("2·2·D", 4 * d),
        }


class Block(nn.Module):
    """Self-attention and feed-forward, post-norm."""

    def __init__(self, spec: BlockSpec) -> None:
        super().__init__()
        self.heads, self.attention_dropout = spec.heads, spec.attention_dropout
        # One matrix for the three projections: one large product runs faster than three small ones.
        self.qkv = nn.Linear(spec.width, 3 * spec.width)
        self.out = nn.Linear(spec.width, spec.width)
        self.attend_norm = nn.LayerNorm(spec.width, eps=spec.norm_eps)
        self.up = nn.Linear(spec.width, spec.feed_forward)
        self.down = nn.Linear(spec.feed_forward, spec.width)
        self.feed_norm = nn.LayerNorm(spec.width, eps=spec.norm_eps)
        self.activation = ACTIVATIONS[spec.activation]
        self.dropout = Dropout(spec.dropout)

    def forward(self, x_TD: Tensor, layout: Layout) -> Tensor:
        """(T, D) -> (T, D)."""
        q_TNH, k_TNH, v_TNH = self.qkv(x_TD).view(len(x_TD), 3, self.heads, -1).unbind(1)
        seen_TNH = attend(q_TNH, k_TNH, v_TNH, layout, layout, dropout=self.attention_dropout if self.training else 0.0)
        x_TD = self.attend_norm(x_TD + self.dropout(self.out(seen_TNH.flatten(1))))
        out: Tensor = self.feed_norm(x_TD + self.dropout(self.down(self.activation(self.up(x_TD)))))
        return out
