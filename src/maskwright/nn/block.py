"""One Transformer block: attention, then a feed-forward network, each with a residual and a LayerNorm.

Encoders, decoders and language models alike: a block may keep tokens from looking ahead, and may look at an encoder's output
between the two.  Post-norm, ``norm(x + f(x))``, as BERT and the original Transformer have it, or pre-norm,
``x + f(norm(x))``.  Sources:
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
from maskwright.nn.layout import Layout, Read
from maskwright.nn.past import Kept
from maskwright.nn.residual import add_norm

__all__ = ["ACTIVATIONS", "Beside", "Block", "BlockSpec"]

ACTIVATIONS: dict[str, Callable[[Tensor], Tensor]] = {
    "gelu": F.gelu,
    "gelu_new": partial(F.gelu, approximate="tanh"),
    "relu": F.relu,
    "silu": F.silu,
    "swish": F.silu,
    "tanh": torch.tanh,
}
"""By the names that Hugging Face's config.json uses; "gelu" is the exact one, x·Φ(x)."""


@dataclass(frozen=True)
class Beside:
    """What a decoder reads: the encoder's output and its layout, of as many sequences as its own."""

    states_TD: Tensor
    layout: Layout


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
    causal: bool = False
    """Whether a token looks at itself and those before it only."""
    cross: bool = False
    """Whether it looks at an encoder's output as well, between self-attention and feed-forward network."""
    dropout: float = 0.1
    """Of what a sub-layer adds to the residual."""
    attention_dropout: float = 0.1
    """Of the attention weights."""
    inner_dropout: float = 0.0
    """Of what comes out of the activation function."""

    def parameters(self) -> dict[str, tuple[str, int]]:
        """Part -> (closed form, count)."""
        d, f, ups, b = self.width, self.feed_forward, 1 + self.gated, self.bias
        feed = f"{1 + ups}·D·F" + (f" + {f'{ups}·' * self.gated}F + D" if b else "")
        looked = f"4·(D² + D), D = {d:,}" if b else f"4·D², D = {d:,}", 4 * (d * d + b * d)
        norms = 3 if self.cross else 2
        return {
            "attention: query, key, value, output": looked,
            **({"attention to the encoder": looked} if self.cross else {}),
            "feed-forward": (f"{feed}, F = {f:,}", (1 + ups) * d * f + b * (ups * f + d)),
            f"{'three' if self.cross else 'two'} LayerNorms": (
                f"{norms}·2·D" if b else f"{norms}·D",
                norms * (1 + b) * d,
            ),
        }

    def multiplications(self, keys: int) -> int:
        """Multiplications a token in the forward pass, where it attends to so many keys; additions are as many.

        Where the block looks at an encoder's output, that is as long as its own sequence.
        """
        d, looks = self.width, 1 + self.cross
        return looks * (4 * d**2 + 2 * keys * d) + (2 + self.gated) * d * self.feed_forward

    def spared(self, keys: int) -> int:
        """Multiplications of these that a token spares whose output nobody asks for: all but those of its key and value."""
        return self.multiplications(keys) - 2 * self.width**2

    def build(self) -> Block:
        """Return the module that this describes."""
        return Block(self)


class Block(nn.Module):
    """Self-attention, perhaps attention to an encoder's output, and feed-forward network."""

    def __init__(self, spec: BlockSpec) -> None:
        super().__init__()
        width, self.spec = spec.width, spec
        self.window: int | None = None
        self.scale: float | None = None
        # One matrix for the three projections: one large product runs faster than three small ones.
        self.qkv = nn.Linear(width, 3 * width, bias=spec.bias)
        self.out = nn.Linear(width, width, bias=spec.bias)
        self.attend_norm: nn.Module = nn.LayerNorm(width, eps=spec.norm_eps, bias=spec.bias)
        if spec.cross:
            self.cross_q = nn.Linear(width, width, bias=spec.bias)
            self.cross_kv = nn.Linear(width, 2 * width, bias=spec.bias)
            self.cross_out = nn.Linear(width, width, bias=spec.bias)
            self.cross_norm: nn.Module = nn.LayerNorm(width, eps=spec.norm_eps, bias=spec.bias)
        self.up = nn.Linear(width, (1 + spec.gated) * spec.feed_forward, bias=spec.bias)
        self.down = nn.Linear(spec.feed_forward, width, bias=spec.bias)
        self.feed_norm: nn.Module = nn.LayerNorm(width, eps=spec.norm_eps, bias=spec.bias)
        self.activation = ACTIVATIONS[spec.activation]
        self.dropout, self.inner_dropout = Dropout(spec.dropout), Dropout(spec.inner_dropout)

    def forward(
        self,
        x_TD: Tensor,
        positions_T: Tensor,
        layout: Layout,
        bias: Tensor | None = None,
        beside: Beside | None = None,
        kept: Kept | None = None,
        read: Read | None = None,
    ) -> Tensor:
        """(T, D) -> (T, D).

        positions_T: each token's place in its sequence, for blocks whose attention uses it; bias: added to the scores, as in
        ``attend``; beside: the encoder's output, for blocks that look at one; kept: what was kept of the tokens before these;
        read: the tokens that anybody asks for, where there is neither bias nor anything beside: a block that ``narrows``
        computes these alone, and gives zeros for the others.
        """
        if read is not None and self.narrows:
            return self._narrow(x_TD, layout, read)
        x_TD = self._add(x_TD, self.attend_norm, lambda x: self.look(x, positions_T, layout, bias, kept))
        if beside is not None:
            x_TD = self._add(x_TD, self.cross_norm, lambda x: self.look_beside(x, layout, beside, kept))
        return self._add(x_TD, self.feed_norm, self.feed)

    @property
    def narrows(self) -> bool:
        """Whether it can compute some tokens alone: post-norm, looking both ways, without use of positions."""
        plain = type(self).look is Block.look and type(self).project is Block.project
        return plain and self.spec.norm == "post" and not self.spec.causal and self.window is None

    def _narrow(self, x_TD: Tensor, layout: Layout, read: Read) -> Tensor:
        """Only tokens that are read ask, all of them answer: keys and values of (T, N, H), all else of (R, ...)."""
        x_RD, d, bias = x_TD.index_select(0, read.rows_R), self.spec.width, self.qkv.bias
        if isinstance(self.qkv, nn.Linear):
            b_q, b_kv = (None, None) if bias is None else (bias[:d], bias[d:])
            (q_RNH,) = self._parts(F.linear(x_RD, self.qkv.weight[:d], b_q), 1)
            k_TNH, v_TNH = self._parts(F.linear(x_TD, self.qkv.weight[d:], b_kv), 2)
        else:  # a matrix that is laid out for its kernel cannot be cut
            q_TNH, k_TNH, v_TNH = self._parts(self.qkv(x_TD), 3)
            q_RNH = q_TNH.index_select(0, read.rows_R)
        seen_RNH = attend(q_RNH, k_TNH, v_TNH, read.layout, layout, scale=self.scale, dropout=self._rate)
        x_RD = add_norm(x_RD, self.out(seen_RNH.flatten(1)), self.attend_norm, self.dropout)
        return read.spread(self._add(x_RD, self.feed_norm, self.feed), len(x_TD))

    def _add(self, x_TD: Tensor, norm: nn.Module, layer: Callable[[Tensor], Tensor]) -> Tensor:
        """A layer with its residual and its norm, on the one side or the other."""
        if self.spec.norm == "pre":
            out: Tensor = x_TD + self.dropout(layer(norm(x_TD)))
        else:
            out = add_norm(x_TD, layer(x_TD), norm, self.dropout)
        return out

    def _parts(self, x: Tensor, parts: int) -> tuple[Tensor, ...]:
        """(T, parts · N · H) -> so many tensors of (T, N, H)."""
        return x.view(len(x), parts, self.spec.heads, -1).unbind(1)

    @property
    def _rate(self) -> float:
        return self.spec.attention_dropout if self.training else 0.0

    def project(self, x_TD: Tensor, positions_T: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """(T, D) -> queries, keys and values of (T, N, H)."""
        q_TNH, k_TNH, v_TNH = self._parts(self.qkv(x_TD), 3)
        return q_TNH, k_TNH, v_TNH

    def look(
        self, x_TD: Tensor, positions_T: Tensor, layout: Layout, bias: Tensor | None = None, kept: Kept | None = None
    ) -> Tensor:
        """Self-attention: (T, D) -> (T, D)."""
        q_TNH, k_TNH, v_TNH = self.project(x_TD, positions_T)
        k_layout, causal = layout, self.spec.causal
        if kept is not None:
            k_TNH, v_TNH, k_layout, causal = kept.join(k_TNH, v_TNH, layout)
        seen_TNH = attend(
            q_TNH, k_TNH, v_TNH, layout, k_layout,
            causal=causal, window=self.window, bias=bias, scale=self.scale, dropout=self._rate,
        )  # fmt: skip
        out: Tensor = self.out(seen_TNH.flatten(1))
        return out

    def look_beside(self, x_TD: Tensor, layout: Layout, beside: Beside, kept: Kept | None = None) -> Tensor:
        """Attention to an encoder's output: (T, D) -> (T, D)."""

        def keys_and_values() -> tuple[Tensor, Tensor]:
            k_TNH, v_TNH = self._parts(self.cross_kv(beside.states_TD), 2)
            return k_TNH, v_TNH

        (q_TNH,) = self._parts(self.cross_q(x_TD), 1)
        k_TNH, v_TNH = keys_and_values() if kept is None else kept.beside(keys_and_values, beside.layout)
        seen_TNH = attend(
            q_TNH, k_TNH, v_TNH, layout, beside.layout, scale=self.scale, dropout=self._rate
        )  # fmt: skip
        out: Tensor = self.cross_out(seen_TNH.flatten(1))
        return out

    def feed(self, x_TD: Tensor) -> Tensor:
        """Feed-forward network: (T, D) -> (T, D)."""
        inner_TF: Tensor = self.up(x_TD)
        if self.spec.gated:
            inner_TF, gate_TF = inner_TF.chunk(2, -1)
            inner_TF = self.activation(inner_TF) * gate_TF
        else:
            inner_TF = self.activation(inner_TF)
        out: Tensor = self.down(self.inner_dropout(inner_TF))
        return out
