"""config.json as data: which of its fields is which argument of a spec, in a table that is read in both directions."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from operator import attrgetter
from typing import Any, Literal

from maskwright.errors import CheckpointError
from maskwright.families.base import Spec
from maskwright.nn.block import ACTIVATIONS, BlockSpec
from maskwright.nn.embed import EmbedSpec
from maskwright.nn.stack import StackSpec

__all__ = ["BERT_FIELDS", "Fields", "check", "encoder_spec"]


def encoder_spec(
    family: str,
    *,
    vocabulary: int,
    width: int,
    layers: int,
    heads: int,
    feed_forward: int | None = None,
    positions: int = 512,
    offset: int = 0,
    segments: int = 2,
    narrow: int | None = None,
    activation: str = "gelu",
    norm: Literal["post", "pre"] = "post",
    embed_norm: bool = True,
    norm_eps: float = 1e-12,
    causal: bool = False,
    dropout: float = 0.1,
    embed_dropout: float | None = None,
    attention_dropout: float = 0.1,
    inner_dropout: float = 0.0,
    head_dropout: float | None = None,
    initializer_range: float = 0.02,
) -> Spec:
    """Return the spec of one stack of BERT's kind; the feed-forward width is four times the width unless given.

    embed_dropout: that of the blocks unless given.
    """
    embed = EmbedSpec(
        vocabulary=vocabulary,
        width=width,
        narrow=narrow,
        positions=positions,
        offset=offset,
        segments=segments,
        norm=embed_norm,
        norm_eps=norm_eps,
        dropout=dropout if embed_dropout is None else embed_dropout,
    )
    block = BlockSpec(
        width=width,
        heads=heads,
        feed_forward=feed_forward or 4 * width,
        activation=activation,
        norm=norm,
        norm_eps=norm_eps,
        causal=causal,
        dropout=dropout,
        attention_dropout=attention_dropout,
        inner_dropout=inner_dropout,
    )
    return Spec(
        family=family,
        embed=embed,
        stack=StackSpec(layers=layers, block=block),
        initializer_range=initializer_range,
        head_dropout=head_dropout,
    )


_WHERE = {
    "vocabulary": "embed.vocabulary",
    "width": "embed.width",
    "narrow": "embed.narrow",
    "positions": "embed.positions",
    "segments": "embed.segments",
    "layers": "stack.layers",
    "groups": "stack.groups",
    "inner": "stack.inner",
    "heads": "stack.block.heads",
    "feed_forward": "stack.block.feed_forward",
    "activation": "stack.block.activation",
    "norm_eps": "stack.block.norm_eps",
    "dropout": "stack.block.dropout",
    "embed_dropout": "embed.dropout",
    "attention_dropout": "stack.block.attention_dropout",
    "inner_dropout": "stack.block.inner_dropout",
    "scaled": "embed.scaled",
    "start_id": "start_id",
    "decoder_layers": "decoder.layers",
    "decoder_heads": "decoder.block.heads",
    "decoder_feed_forward": "decoder.block.feed_forward",
    "head_dropout": "head_dropout",
    "initializer_range": "initializer_range",
    "factor": "initializer_range",
    "head_width": "stack.block.head_width",
    "buckets": "stack.buckets",
    "farthest": "stack.farthest",
}
"""Argument of a spec function -> where it stands in the spec."""

_RATES = {
    "norm_eps", "dropout", "embed_dropout", "attention_dropout", "inner_dropout", "head_dropout", "initializer_range",
}  # fmt: skip

BERT_FIELDS = {
    "vocab_size": "vocabulary",
    "hidden_size": "width",
    "num_hidden_layers": "layers",
    "num_attention_heads": "heads",
    "intermediate_size": "feed_forward",
    "hidden_act": "activation",
    "hidden_dropout_prob": "dropout",
    "attention_probs_dropout_prob": "attention_dropout",
    "max_position_embeddings": "positions",
    "type_vocab_size": "segments",
    "layer_norm_eps": "norm_eps",
    "initializer_range": "initializer_range",
    "classifier_dropout": "head_dropout",
}
"""config.json of BERT and most of its children -> the arguments of ``encoder_spec``."""


@dataclass(frozen=True)
class Fields:
    """A family's config.json."""

    title: str
    """The family's name in messages."""
    names: Mapping[str, str]
    """Field -> argument of the spec function."""
    defaults: Mapping[str, Any] = field(default_factory=dict)
    """What an absent field means in Hugging Face's configuration class; for the others the spec function's default."""
    fixed: Mapping[str, Any] = field(default_factory=dict)
    """Fields of which other values would be another architecture."""

    def read(self, config: Mapping[str, Any]) -> dict[str, Any]:
        """Return the arguments of the spec function; CheckpointError names the field that cannot be."""
        for name, value in self.fixed.items():
            if config.get(name, value) != value:
                raise CheckpointError(
                    f"config.json: {name} is {config[name]!r}; Maskwright's {self.title} has {value!r} only"
                )
        given = {name: config.get(name, self.defaults.get(name)) for name in self.names}
        for name, value in given.items():
            check(name, value, self.names[name])
        values = {self.names[name]: value for name, value in given.items() if value is not None}
        theirs = {ours: name for name, ours in self.names.items()}
        for heads in {"heads", "decoder_heads"}.intersection(values):
            if "head_width" not in values and values["width"] % values[heads]:
                raise CheckpointError(
                    f"config.json: {theirs['width']} {values['width']} is not a multiple of {theirs[heads]} {values[heads]}"
                )
        return values

    def write(self, spec: Spec) -> dict[str, Any]:
        """Return the fields of a spec, without those that say nothing."""
        given = {name: attrgetter(_WHERE[ours])(spec) for name, ours in self.names.items()}
        return {name: value for name, value in given.items() if value is not None}

    def reader(self, make: Callable[..., Spec]) -> Callable[[Mapping[str, Any]], Spec]:
        """Return a function config.json -> spec, for a family in which the table says everything."""
        return lambda config: make(**self.read(config))


def check(name: str, value: object, ours: str, least: int = 1) -> None:
    """Refuse what would be another number, or none, in Python."""
    if value is None:
        return
    if ours == "activation":
        if value not in ACTIVATIONS:
            raise CheckpointError(f"config.json: {name} is {value!r}; known: {', '.join(ACTIVATIONS)}")
        return
    if ours == "scaled":
        sound, expected = isinstance(value, bool), "true or false"
    elif ours == "factor":
        sound, expected = isinstance(value, int | float) and value > 0, "a number above 0"
    elif ours in _RATES:
        sound, expected = isinstance(value, int | float) and 0 <= value < 1, "a number from 0 to below 1"
    else:
        least = 0 if ours == "start_id" else least
        sound, expected = type(value) is int and value >= least, f"a whole number from {least}"
    if not sound:
        raise CheckpointError(f"config.json: {name} is {value!r}; {expected} is expected")
