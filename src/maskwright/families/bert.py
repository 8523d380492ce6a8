"""BERT: a bidirectional post-norm Transformer encoder with learned positions and two segments.

Paper: Devlin et al. 2019, https://arxiv.org/abs/1810.04805.  Tensor names as in Hugging Face's folders.
Layouts: ragged and grid.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from maskwright.errors import CheckpointError
from maskwright.families.base import Family, HeadKind, KeyRow, Spec
from maskwright.nn.block import ACTIVATIONS, BlockSpec
from maskwright.nn.embed import EmbedSpec
from maskwright.nn.heads import Classify, MaskedTokens, NextSentence, Pooler
from maskwright.nn.stack import StackSpec

__all__ = ["BERT", "bert_spec"]


def bert_spec(
    *,
    vocabulary: int,
    width: int,
    layers: int,
    heads: int,
    feed_forward: int | None = None,
    positions: int = 512,
    segments: int = 2,
    activation: str = "gelu",
    norm_eps: float = 1e-12,
    dropout: float = 0.1,
    attention_dropout: float = 0.1,
    initializer_range: float = 0.02,
) -> Spec:
    """Return the spec of a BERT; the feed-forward width is four times the width unless given."""
    return Spec(
        family="bert",
        embed=EmbedSpec(
            vocabulary=vocabulary,
            width=width,
            positions=positions,
            segments=segments,
            norm_eps=norm_eps,
            dropout=dropout,
        ),
        stack=StackSpec(
            layers=layers,
            block=BlockSpec(
                width=width,
                heads=heads,
                feed_forward=feed_forward or 4 * width,
                activation=activation,
                norm_eps=norm_eps,
                dropout=dropout,
                attention_dropout=attention_dropout,
            ),
        ),
        initializer_range=initializer_range,
    )


_FIELDS = {
    "vocab_size": "vocabulary",
    "hidden_size": "width",
    "num_hidden_layers": "layers",
    "num_attention_heads": "heads",
    "intermediate_size": "feed_forward",
    "max_position_embeddings": "positions",
    "type_vocab_size": "segments",
    "hidden_act": "activation",
    "layer_norm_eps": "norm_eps",
    "hidden_dropout_prob": "dropout",
    "attention_probs_dropout_prob": "attention_dropout",
    "initializer_range": "initializer_range",
}
"""config.json -> the arguments of ``bert_spec``."""

_DEFAULTS = {
    "vocab_size": 30522,
    "hidden_size": 768,
    "num_hidden_layers": 12,
    "num_attention_heads": 12,
    "intermediate_size": 3072,
}
"""What an absent field means in Hugging Face's BertConfig, where it differs from ``bert_spec``'s own defaults."""

_FIXED = {"position_embedding_type": "absolute", "is_decoder": False, "add_cross_attention": False}
"""Fields that other values of would be another architecture."""


def _check_number(name: str, value: object) -> None:
    """Refuse what would be another number, or none, in Python."""
    if value is None or name == "hidden_act":
        return
    if name in ("layer_norm_eps", "hidden_dropout_prob", "attention_probs_dropout_prob", "initializer_range"):
        sound, expected = isinstance(value, int | float) and 0 <= value < 1, "a number from 0 to below 1"
    else:
        sound, expected = type(value) is int and value >= 1, "a whole number from 1"
    if not sound:
        raise CheckpointError(f"config.json: {name} is {value!r}; {expected} is expected")


def _read_config(config: Mapping[str, Any]) -> Spec:
    for name, value in _FIXED.items():
        if config.get(name, value) != value:
            raise CheckpointError(f"config.json: {name} is {config[name]!r}; Maskwright's BERT has {value!r} only")
    head_dropout, dropout = config.get("classifier_dropout"), config.get("hidden_dropout_prob", 0.1)
    if head_dropout not in (None, dropout):
        raise CheckpointError(
            f"config.json: classifier_dropout is {head_dropout!r} but hidden_dropout_prob {dropout!r}; "
            "Maskwright's BERT uses one rate: make them equal (it matters in training only)"
        )
    given = {ours: config.get(theirs, _DEFAULTS.get(theirs)) for theirs, ours in _FIELDS.items()}
    values = {name: value for name, value in given.items() if value is not None}
    for theirs, ours in _FIELDS.items():
        _check_number(theirs, values.get(ours))
    if values.get("activation", "gelu") not in ACTIVATIONS:
        known = ", ".join(ACTIVATIONS)
        raise CheckpointError(f"config.json: hidden_act is {values['activation']!r}; known: {known}")
    if values["width"] % values["heads"]:
        raise CheckpointError(
            f"config.json: hidden_size {values['width']} is not a multiple of num_attention_heads {values['heads']}"
        )
    return bert_spec(**values)


def _write_config(spec: Spec) -> dict[str, Any]:
    block = spec.stack.block
    return {
        "vocab_size": spec.vocabulary,
        "hidden_size": spec.width,
        "num_hidden_layers": spec.stack.layers,
        "num_attention_heads": block.heads,
        "intermediate_size": block.feed_forward,
        "hidden_act": block.activation,
        "hidden_dropout_prob": block.dropout,
        "attention_probs_dropout_prob": block.attention_dropout,
        "max_position_embeddings": spec.embed.positions,
        "type_vocab_size": spec.embed.segments,
        "layer_norm_eps": block.norm_eps,
        "initializer_range": spec.initializer_range,
        "position_embedding_type": "absolute",
    }


def _both(ours: str, *theirs: str) -> tuple[KeyRow, KeyRow]:
    """A weight and its bias."""
    return tuple(KeyRow(f"{ours}.{x}", tuple(f"{t}.{x}" for t in theirs)) for x in ("weight", "bias"))  # type: ignore[return-value]


_LAYER = "bert.encoder.layer.{layer}"
_ATTENTION = f"{_LAYER}.attention.self"

_KEYS = (
    KeyRow("embed.token.weight", ("bert.embeddings.word_embeddings.weight",)),
    KeyRow("embed.position.weight", ("bert.embeddings.position_embeddings.weight",)),
    KeyRow("embed.segment.weight", ("bert.embeddings.token_type_embeddings.weight",)),
    *_both("embed.norm", "bert.embeddings.LayerNorm"),
    *_both("stack.blocks.{layer}.qkv", f"{_ATTENTION}.query", f"{_ATTENTION}.key", f"{_ATTENTION}.value"),
    *_both("stack.blocks.{layer}.out", f"{_LAYER}.attention.output.dense"),
    *_both("stack.blocks.{layer}.attend_norm", f"{_LAYER}.attention.output.LayerNorm"),
    *_both("stack.blocks.{layer}.up", f"{_LAYER}.intermediate.dense"),
    *_both("stack.blocks.{layer}.down", f"{_LAYER}.output.dense"),
    *_both("stack.blocks.{layer}.feed_norm", f"{_LAYER}.output.LayerNorm"),
)

_HEADS = {
    "pooler": HeadKind(
        build=lambda net, outputs: Pooler(net.spec.width),
        parameters=lambda spec, outputs: {"pooler": ("D² + D", spec.width**2 + spec.width)},
        keys=_both("heads.pooler.dense", "bert.pooler.dense"),
    ),
    "mlm": HeadKind(
        build=lambda net, outputs: MaskedTokens(
            net.embed.token, net.spec.stack.block.activation, net.spec.stack.block.norm_eps
        ),
        parameters=lambda spec, outputs: {
            "masked LM head: dense": ("D² + D", spec.width**2 + spec.width),
            "masked LM head: LayerNorm": ("2·D", 2 * spec.width),
            "masked LM head: bias (weights tied to the token embeddings)": ("V", spec.vocabulary),
        },
        keys=(
            *_both("heads.mlm.dense", "cls.predictions.transform.dense"),
            *_both("heads.mlm.norm", "cls.predictions.transform.LayerNorm"),
            KeyRow("heads.mlm.bias", ("cls.predictions.bias",)),
        ),
    ),
    "nsp": HeadKind(
        build=lambda net, outputs: NextSentence(net.spec.width),
        parameters=lambda spec, outputs: {"next-sentence head": ("2·D + 2", 2 * spec.width + 2)},
        keys=_both("heads.nsp.score", "cls.seq_relationship"),
    ),
    "classify": HeadKind(
        build=lambda net, outputs: Classify(net.spec.width, outputs, net.spec.stack.block.dropout),
        parameters=lambda spec, outputs: {
            "classification head": (f"C·D + C, C = {outputs}", outputs * spec.width + outputs)
        },
        keys=_both("heads.classify.score", "classifier"),
    ),
}

_UNCASED = 30522
_BASE: dict[str, Any] = {"width": 768, "layers": 12, "heads": 12}
_LARGE: dict[str, Any] = {"width": 1024, "layers": 24, "heads": 16}

BERT = Family(
    name="bert",
    model_type="bert",
    paper="https://arxiv.org/abs/1810.04805",
    read_config=_read_config,
    write_config=_write_config,
    new_spec=bert_spec,
    presets={
        "bert-tiny": bert_spec(vocabulary=_UNCASED, width=128, layers=2, heads=2),
        "bert-mini": bert_spec(vocabulary=_UNCASED, width=256, layers=4, heads=4),
        "bert-small": bert_spec(vocabulary=_UNCASED, width=512, layers=4, heads=8),
        "bert-medium": bert_spec(vocabulary=_UNCASED, width=512, layers=8, heads=8),
        "bert-base-uncased": bert_spec(vocabulary=_UNCASED, **_BASE),
        "bert-base-cased": bert_spec(vocabulary=28996, **_BASE),
        "bert-base-chinese": bert_spec(vocabulary=21128, **_BASE),
        "bert-base-multilingual-cased": bert_spec(vocabulary=119547, **_BASE),
        "bert-large-uncased": bert_spec(vocabulary=_UNCASED, **_LARGE),
        "bert-large-cased": bert_spec(vocabulary=28996, **_LARGE),
    },
    keys=_KEYS,
    heads=_HEADS,
    architectures={
        "BertModel": frozenset({"pooler"}),
        "BertForMaskedLM": frozenset({"mlm"}),
        "BertForNextSentencePrediction": frozenset({"pooler", "nsp"}),
        "BertForPreTraining": frozenset({"pooler", "mlm", "nsp"}),
        "BertForSequenceClassification": frozenset({"pooler", "classify"}),
    },
    base="BertModel",
    prefix="bert.",
    tied={
        "cls.predictions.decoder.weight": "bert.embeddings.word_embeddings.weight",
        "cls.predictions.decoder.bias": "cls.predictions.bias",
    },
    ignorable=("bert.embeddings.position_ids",),
    renames={".LayerNorm.gamma": ".LayerNorm.weight", ".LayerNorm.beta": ".LayerNorm.bias"},
)
