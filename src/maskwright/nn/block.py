"""One Transformer block: attention, then a feed-forward network, each with a residual and a LayerNorm.

Post-norm, ``norm(x + f(x))``, as BERT and the original Transformer have it, or pre-norm, ``x + f(norm(x))``.
Vaswani et al. 2017, section 3, https://arxiv.org/abs/1706.03762; Devlin et al. 2019, https://arxiv.org/abs/1810.04805;
gated feed-forward: Shazeer 2020, https://arxiv.org/abs/2002.05202
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from typing import Literal

import torch
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
    "tanh": torch.tanh,
}
"""By the names that Hugging Face's config.json uses; "gelu" is the exact one, x·Φ(x)."""


@dataclass(frozen=True, kw_only=True)
class BlockSpec:
    """Sizes and kind of one block."""

    width: int
    """D."""
    heads: int
    """N; the head width H is D / N."""
    feed_forward: int
    """F."""
    activation: str = "gelu"
    gated: bool = False
    """Whether the activation's output is multiplied by a second projection of the same input."""
    norm: Literal["post", "pre"] = "post"
    """Where the LayerNorms stand: behind the residual sums, or before attention and feed-forward network."""
    norm_eps: float = 1e-12
    bias: bool = True
    """Whether matrices and LayerNorms add one."""
    dropout: float = 0.1
    """Of what a sub-layer adds to the residual."""
    attention_dropout: float = 0.1
    """Of the attention weights."""

    def parameters(self) -> dict[str, tuple[str, int]]:
        """Part -> (closed form, count)."""
        d, f, ups, b = self.width, self.feed_forward, 1 + self.gated, self.bias
        feed = f"{1 + ups}·D·F" + (f" + {f'{ups}·' * self.gated}F + D" if b else "")
        return {
            "attention: query, key, value, output": (
                f"4·(D² + D), D = {d:,}" if b else f"4·D², D = {d:,}",
                4 * (d * d + b * d),
            ),
            "feed-forward": (f"{feed}, F = {f:,}", (1 + ups) * d * f + b * (ups * f + d)),
            "two LayerNorms": ("2·2·D" if b else "2·D", 2 * (1 + b) * d),
        }

    def multiplications(self, keys: int) -> int:
        """Multiplications a token in the forward pass, where it attends to so many keys; additions are as many."""
        return 4 * self.width**2 + (2 + self.gated) * self.width * self.feed_forward + 2 * keys * self.width

    def build(self) -> Block:
        """Return the module that this describes."""
        return Block(self)


class Block(nn.Module):
    """Self-attention and feed-forward network."""

    def __init__(self, spec: BlockSpec) -> None:
        super().__init__()
        self.pre, self.gated = spec.norm == "pre", spec.gated
        self.heads, self.attention_dropout = spec.heads, spec.attention_dropout
        self.window: int | None = None
        # One matrix for the three projections: one large product runs faster than three small ones.
        self.qkv = nn.Linear(spec.width, 3 * spec.width, bias=spec.bias)
        self.out = nn.Linear(spec.width, spec.width, bias=spec.bias)
        self.attend_norm: nn.Module = nn.LayerNorm(spec.width, eps=spec.norm_eps, bias=spec.bias)
        self.up = nn.Linear(spec.width, (1 + spec.gated) * spec.feed_forward, bias=spec.bias)
        self.down = nn.Linear(spec.feed_forward, spec.width, bias=spec.bias)
        self.feed_norm = nn.LayerNorm(spec.width, eps=spec.norm_eps, bias=spec.bias)
        self.activation = ACTIVATIONS[spec.activation]
        self.dropout = Dropout(spec.dropout)

    def forward(self, x_TD: Tensor, positions_T: Tensor, layout: Layout) -> Tensor:
        """(T, D) -> (T, D).  positions_T: each token's place in its sequence, for blocks whose attention uses it."""
        if self.pre:
            x_TD = x_TD + self.dropout(self.look(self.attend_norm(x_TD), positions_T, layout))
            x_TD = x_TD + self.dropout(self.feed(self.feed_norm(x_TD)))
        else:
            x_TD = self.attend_norm(x_TD + self.dropout(self.look(x_TD, positions_T, layout)))
            x_TD = self.feed_norm(x_TD + self.dropout(self.feed(x_TD)))
        return x_TD

    def project(self, x_TD: Tensor, positions_T: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """(T, D) -> queries, keys and values of (T, N, H)."""
        qkv_T3NH: Tensor = self.qkv(x_TD).view(len(x_TD), 3, self.heads, -1)
        q_TNH, k_TNH, v_TNH = qkv_T3NH.unbind(1)
        return q_TNH, k_TNH, v_TNH

    def look(self, x_TD: Tensor, positions_T: Tensor, layout: Layout) -> Tensor:
        """Self-attention: (T, D) -> (T, D)."""
        rate = self.attention_dropout if self.training else 0.0
        q_TNH, k_TNH, v_TNH = self.project(x_TD, positions_T)
        seen_TNH = attend(q_TNH, k_TNH, v_TNH, layout, layout, window=self.window, dropout=rate)
        out: Tensor = self.out(seen_TNH.flatten(1))
        return out

    def feed(self, x_TD: Tensor) -> Tensor:
        """Feed-forward network: (T, D) -> (T, D)."""
        inner_TF: Tensor = self.up(x_TD)
        if self.gated:
            inner_TF, gate_TF = inner_TF.chunk(2, -1)
            inner_TF = self.activation(inner_TF) * gate_TF
        else:
            inner_TF = self.activation(inner_TF)
        out: Tensor = self.down(inner_TF)
        return out
