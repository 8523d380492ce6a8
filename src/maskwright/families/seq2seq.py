"""What encoder-decoders have in common: two stacks over one token table, the second reading the first's output.

Vaswani et al. 2017, section 3.1, https://arxiv.org/abs/1706.03762
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import chain
from typing import Any

import torch
from torch import Tensor

from maskwright.families.base import KeyRow, Net, Spec
from maskwright.families.config import encoder_spec
from maskwright.families.heads import plain
from maskwright.nn.block import Beside
from maskwright.nn.layout import Layout
from maskwright.nn.past import Past
from maskwright.nn.stack import StackSpec

__all__ = ["Seq2SeqNet", "Seq2SeqSpec", "projection_keys", "seq2seq_spec", "starting_with"]


@dataclass(frozen=True, kw_only=True)
class Seq2SeqSpec(Spec):
    """An encoder and a decoder over the same token table."""

    decoder: StackSpec
    start_id: int
    """The piece that every output begins behind."""

    def parameters(self) -> dict[str, tuple[str, int]]:
        """Part -> (closed form, count), without heads."""
        embed = self.embed.parameters()
        token = {"token embeddings (one table for both)": embed.pop("token embeddings")}
        parts = {"encoder": embed | self.stack.parameters(), "decoder": embed | self.decoder.parameters()}
        return token | {f"{side}: {part}": each for side in parts for part, each in parts[side].items()}

    def flops(self, length: int) -> int:
        """Floating-point operations of a token read and a token written, in sequences of so many tokens."""
        return super().flops(length) + 2 * self.decoder.multiplications(length)

    def places(self, name: str) -> Sequence[dict[str, int]]:
        """One mapping a block that a tensor of that name is in."""
        return self.decoder.places if name.startswith("decoder.") else self.stack.places

    def build(self) -> Seq2SeqNet:
        """Return the network that this describes."""
        return Seq2SeqNet(self)


class Seq2SeqNet(Net):
    """The encoder, ``forward``, and the decoder, ``decode``."""

    def __init__(self, spec: Seq2SeqSpec) -> None:
        super().__init__(spec)
        self.start_id = spec.start_id
        self.decoder_embed = spec.embed.build()
        self.decoder_embed.token = self.embed.token
        self.decoder = spec.decoder.build()

    def decode(
        self, ids_T: Tensor, positions_T: Tensor, layout: Layout, beside: Beside, past: Past | None = None
    ) -> list[Tensor]:
        """Two (T,) int64 tensors, their layout and the encoder's output -> layers + 1 states of (T, D), the last the output.

        past: what was kept of the tokens before these; it is added to.
        """
        x_TD = self.decoder_embed(ids_T, positions_T, torch.zeros_like(ids_T))
        states: list[Tensor] = self.decoder(x_TD, positions_T, layout, beside, past)
        if past is not None:
            past.read(layout)
        return states

    def shifted(self, ids_T: Tensor, layout: Layout) -> Tensor:
        """(T,) int64: each sequence one place later, behind the piece that outputs begin with."""
        shifted = torch.cat([ids_T[:1], ids_T[:-1]])
        return shifted.index_fill(0, layout.first_B.to(ids_T.device), self.start_id)


def seq2seq_spec(
    family: str,
    *,
    layers: int,
    decoder_layers: int | None = None,
    heads: int,
    decoder_heads: int | None = None,
    decoder_feed_forward: int | None = None,
    scaled: bool = False,
    start_id: int,
    **sizes: Any,
) -> Seq2SeqSpec:
    """Return the spec of an encoder-decoder; the decoder is as large as the encoder where nothing else is said.

    scaled: whether token rows are multiplied by √D; sizes: the other arguments of ``encoder_spec``.
    """
    base = encoder_spec(family, layers=layers, heads=heads, segments=0, **sizes)
    block = replace(
        base.stack.block,
        heads=decoder_heads or heads,
        feed_forward=decoder_feed_forward or base.stack.block.feed_forward,
        causal=True,
        cross=True,
    )
    return Seq2SeqSpec(
        family=family,
        embed=replace(base.embed, scaled=scaled),
        stack=base.stack,
        decoder=replace(base.stack, layers=decoder_layers or layers, block=block),
        start_id=start_id,
        initializer_range=base.initializer_range,
        head_dropout=base.head_dropout,
    )


def starting_with(spec: Spec, roles: Mapping[str, int], *wanted: str) -> Spec:
    """Return the spec of a new model whose outputs begin behind the first of these special pieces that its tokenizer has."""
    found = next((roles[role] for role in wanted if role in roles), None)
    return spec if found is None or not isinstance(spec, Seq2SeqSpec) else replace(spec, start_id=found)


def projection_keys(theirs: str, *, embed_norm: bool) -> tuple[KeyRow, ...]:
    """Return the key table of both stacks as BART and Marian call them; ``theirs`` stands before all names."""

    def stack(side: str, ours: str, norm: str) -> tuple[KeyRow, ...]:
        layer = f"{theirs}.{side}.layers.{{layer}}"
        rows = [
            *plain(f"{ours}.blocks.{{layer}}.qkv", *(f"{layer}.self_attn.{x}_proj" for x in "qkv")),
            *plain(f"{ours}.blocks.{{layer}}.out", f"{layer}.self_attn.out_proj"),
            *plain(f"{ours}.blocks.{{layer}}.attend_norm", f"{layer}.self_attn_layer_norm"),
            *plain(f"{ours}.blocks.{{layer}}.up", f"{layer}.fc1"),
            *plain(f"{ours}.blocks.{{layer}}.down", f"{layer}.fc2"),
            *plain(f"{ours}.blocks.{{layer}}.feed_norm", f"{layer}.final_layer_norm"),
        ]
        return (*rows, *(plain(norm, f"{theirs}.{side}.layernorm_embedding") if embed_norm else ()))

    cross = f"{theirs}.decoder.layers.{{layer}}.encoder_attn"
    beside = (
        plain("decoder.blocks.{layer}.cross_q", f"{cross}.q_proj"),
        plain("decoder.blocks.{layer}.cross_kv", f"{cross}.k_proj", f"{cross}.v_proj"),
        plain("decoder.blocks.{layer}.cross_out", f"{cross}.out_proj"),
        plain("decoder.blocks.{layer}.cross_norm", f"{cross}_layer_norm"),
    )
    return (
        KeyRow("embed.token.weight", (f"{theirs}.shared.weight",)),
        *stack("encoder", "stack", "embed.norm"),
        *stack("decoder", "decoder", "decoder_embed.norm"),
        *chain.from_iterable(beside),
    )
