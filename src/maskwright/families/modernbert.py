"""ModernBERT: an encoder of today's parts.

Paper: Warner et al. 2024, https://arxiv.org/abs/2412.13663; rotary positions: Su et al. 2021, https://arxiv.org/abs/2104.09864.
Differs from BERT: no position table, no segments, no pooler, no biases; pre-norm, the first block's attention without a norm
since the embeddings have just had theirs; queries and keys are rotated by their places; of every three blocks two look at near
tokens only and rotate faster; gated feed-forward network.
Deliberate differences: dropout, where it is asked for, stands as in BERT (the published models have none); new weights start
from one normal distribution.  Layouts: ragged and grid.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from functools import partial
from typing import Any

import torch
from torch import Tensor, nn

from maskwright.errors import CheckpointError
from maskwright.families.base import Family, KeyRow, Spec
from maskwright.families.config import Fields, check
from maskwright.families.heads import dense_scores, head_rate, masked_tokens
from maskwright.nn.block import Block, BlockSpec
from maskwright.nn.embed import EmbedSpec
from maskwright.nn.stack import StackSpec

__all__ = ["MODERNBERT", "MixedStackSpec", "ModernSpec", "RotaryBlock", "RotaryBlockSpec", "modernbert_spec", "rotate"]


def rotate(x_TNH: Tensor, positions_T: Tensor, theta: float) -> Tensor:
    """Turn each pair of values (i, i + H/2) of a query or key by its place times theta^(-2i/H)."""
    half = x_TNH.shape[-1] // 2
    steps = torch.arange(half, device=x_TNH.device, dtype=torch.float32) / half
    angles_T1H = (positions_T[:, None].float() * (1.0 / theta**steps))[:, None]
    cos, sin = angles_T1H.cos(), angles_T1H.sin()
    one, two = x_TNH.float().chunk(2, -1)
    return torch.cat([one * cos - two * sin, two * cos + one * sin], -1).to(x_TNH.dtype)


@dataclass(frozen=True, kw_only=True)
class RotaryBlockSpec(BlockSpec):
    """A block with rotary positions, and perhaps a window."""

    theta: float
    """Base of the wavelengths."""
    window: int | None = None
    """A token looks at those at most so many places away; None: at all."""
    first: bool = False
    """Whether the embeddings' LayerNorm serves as that of the attention."""

    def multiplications(self, keys: int) -> int:
        """Multiplications a token in the forward pass, where its sequence has so many tokens."""
        return super().multiplications(keys if self.window is None else min(keys, 2 * self.window + 1))

    def build(self) -> RotaryBlock:
        """Return the module that this describes."""
        return RotaryBlock(self)


class RotaryBlock(Block):
    """Self-attention over rotated queries and keys, and a feed-forward network."""

    def __init__(self, spec: RotaryBlockSpec) -> None:
        super().__init__(spec)
        self.theta, self.window = spec.theta, spec.window
        if spec.first:
            self.attend_norm = nn.Identity()

    def project(self, x_TD: Tensor, positions_T: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """(T, D) -> queries, keys and values of (T, N, H)."""
        q_TNH, k_TNH, v_TNH = super().project(x_TD, positions_T)
        return rotate(q_TNH, positions_T, self.theta), rotate(k_TNH, positions_T, self.theta), v_TNH


@dataclass(frozen=True, kw_only=True)
class MixedStackSpec(StackSpec):
    """Blocks that look at all tokens, and between them some that look at near ones.  ``block`` is the former kind."""

    block: RotaryBlockSpec
    whole: tuple[int, ...]
    """Numbers of the blocks that look at all tokens."""
    window: int
    """Of the others: how many places away they look."""
    local_theta: float
    """Of the others."""

    def block_at(self, layer: int) -> BlockSpec:
        """Return what the block of that number is."""
        block = replace(self.block, first=layer == 0)
        return block if layer in self.whole else replace(block, window=self.window, theta=self.local_theta)

    def parameters(self) -> dict[str, tuple[str, int]]:
        """Part -> (closed form, count), over all layers."""
        parts, d = super().parameters(), self.block.width
        form, count = parts["two LayerNorms"]
        return parts | {"two LayerNorms": (f"{form} - D", count - d)}


@dataclass(frozen=True, kw_only=True)
class ModernSpec(Spec):
    """A ModernBERT, with what its classification heads read."""

    pooling: str = "first"
    """``first``: the first token; ``mean``: the mean over all."""


def modernbert_spec(
    *,
    vocabulary: int,
    width: int,
    layers: int,
    heads: int,
    feed_forward: int | None = None,
    positions: int = 8192,
    activation: str = "gelu",
    norm_eps: float = 1e-5,
    dropout: float = 0.0,
    attention_dropout: float = 0.0,
    head_dropout: float = 0.0,
    initializer_range: float = 0.02,
    whole: tuple[int, ...] | None = None,
    window: int = 64,
    theta: float = 160_000.0,
    local_theta: float = 10_000.0,
    pooling: str = "first",
) -> Spec:
    """Return the spec of a ModernBERT; unless given, the feed-forward width is one and a half times the width.

    whole: the blocks that look at all tokens, by default the first of every three; window: of the others, on either side.
    """
    block = RotaryBlockSpec(
        width=width,
        heads=heads,
        feed_forward=feed_forward or width * 3 // 2,
        activation=activation,
        gated=True,
        norm="pre",
        norm_eps=norm_eps,
        bias=False,
        dropout=dropout,
        attention_dropout=attention_dropout,
        theta=theta,
    )
    embed = EmbedSpec(
        vocabulary=vocabulary,
        width=width,
        positions=positions,
        position="none",
        segments=0,
        norm_eps=norm_eps,
        bias=False,
        dropout=dropout,
    )
    stack = MixedStackSpec(
        layers=layers,
        block=block,
        whole=tuple(range(0, layers, 3)) if whole is None else whole,
        window=window,
        local_theta=local_theta,
    )
    return ModernSpec(
        family="modernbert",
        embed=embed,
        stack=stack,
        initializer_range=initializer_range,
        head_dropout=head_dropout,
        pooling=pooling,
    )


_FIELDS = Fields(
    title="ModernBERT",
    names={
        "vocab_size": "vocabulary",
        "hidden_size": "width",
        "num_hidden_layers": "layers",
        "num_attention_heads": "heads",
        "intermediate_size": "feed_forward",
        "hidden_activation": "activation",
        "max_position_embeddings": "positions",
        "norm_eps": "norm_eps",
        "mlp_dropout": "dropout",
        "attention_dropout": "attention_dropout",
        "classifier_dropout": "head_dropout",
        "initializer_range": "initializer_range",
    },
    defaults={
        "vocab_size": 50368,
        "hidden_size": 768,
        "num_hidden_layers": 22,
        "num_attention_heads": 12,
        "intermediate_size": 1152,
    },
    fixed={
        "attention_bias": False,
        "mlp_bias": False,
        "norm_bias": False,
        "classifier_bias": False,
        "decoder_bias": True,
        "position_embedding_type": "absolute",
        "tie_word_embeddings": True,
    },
)
_WHOLE, _LOCAL = "full_attention", "sliding_attention"
_POOLING = {"cls": "first", "mean": "mean"}
_EFFECTLESS = {
    "deterministic_flash_attn", "global_attn_every_n_layers", "global_rope_theta", "initializer_cutoff_factor",
    "layer_norm_eps", "local_rope_theta", "reference_compile", "repad_logits_with_grad",
    "sparse_pred_ignore_index", "sparse_prediction",
}  # fmt: skip
"""Fields without effect on what is computed, or read under ``_whole`` and ``_theta``."""


def _read(config: Mapping[str, Any]) -> Spec:
    values = _FIELDS.read(config)
    for name, ours, usual in (("embedding_dropout", "dropout", 0.0), ("classifier_activation", "activation", "gelu")):
        expected = values.get(ours, usual)
        if (given := config.get(name, expected)) != expected:
            raise CheckpointError(
                f"config.json: {name} is {given!r}; Maskwright's ModernBERT has {expected!r} there too"
            )
    pooling = config.get("classifier_pooling", "cls")
    if pooling not in _POOLING:
        raise CheckpointError(f"config.json: classifier_pooling is {pooling!r}; known: {', '.join(_POOLING)}")
    local = config.get("local_attention", 128)
    check("local_attention", local, "window", least=2)
    if values["width"] // values["heads"] % 2:
        raise CheckpointError(
            f"config.json: hidden_size {values['width']} over num_attention_heads {values['heads']} is odd; "
            "rotation needs pairs"
        )
    return modernbert_spec(
        **values,
        whole=_whole(config, values["layers"]),
        window=local // 2,
        theta=_theta(config, _WHOLE, "global_rope_theta", 160_000.0),
        local_theta=_theta(config, _LOCAL, "local_rope_theta", 10_000.0),
        pooling=_POOLING[pooling],
    )


def _whole(config: Mapping[str, Any], layers: int) -> tuple[int, ...]:
    """Which blocks look at all tokens: from ``layer_types``, or from older folders' ``global_attn_every_n_layers``."""
    if layers > 10_000:
        raise CheckpointError(f"config.json: num_hidden_layers is {layers:,}; no more than 10,000 are read")
    kinds = config.get("layer_types")
    if kinds is None:
        every = config.get("global_attn_every_n_layers", 3)
        check("global_attn_every_n_layers", every, "whole")
        return tuple(range(0, layers, every))
    if not isinstance(kinds, list) or len(kinds) != layers or set(kinds) - {_WHOLE, _LOCAL}:
        raise CheckpointError(
            f"config.json: layer_types must name {_WHOLE} or {_LOCAL} for each of {layers} layers, not {kinds!r}"
        )
    return tuple(layer for layer, kind in enumerate(kinds) if kind == _WHOLE)


def _theta(config: Mapping[str, Any], kind: str, older: str, usual: float) -> float:
    """The base of the wavelengths: from ``rope_parameters``, or from an older folder's field of its own."""
    kinds = config.get("rope_parameters") or {}
    given = (kinds.get(kind) or {}) if isinstance(kinds, Mapping) else None
    if not isinstance(given, Mapping):
        raise CheckpointError(
            f"config.json: rope_parameters is {kinds!r}; a mapping of layer types to theirs is expected"
        )
    if given.get("rope_type", "default") != "default":
        raise CheckpointError(
            f"config.json: rope_type of {kind} is {given['rope_type']!r}; Maskwright's ModernBERT has 'default' only"
        )
    theta = given.get("rope_theta", config.get(older, usual))
    if not isinstance(theta, int | float) or not 1 < theta < 1e12:
        raise CheckpointError(f"config.json: the rope_theta of {kind} is {theta!r}; a number above 1 is expected")
    return float(theta)


def _write(spec: Spec) -> dict[str, Any]:
    stack = spec.stack
    assert isinstance(stack, MixedStackSpec) and isinstance(spec, ModernSpec)
    return _FIELDS.write(spec) | {
        "embedding_dropout": spec.embed.dropout,
        "classifier_activation": stack.block.activation,
        "classifier_pooling": {ours: theirs for theirs, ours in _POOLING.items()}[spec.pooling],
        "local_attention": 2 * stack.window,
        "layer_types": [_WHOLE if layer in stack.whole else _LOCAL for layer in range(stack.layers)],
        "rope_parameters": {
            _WHOLE: {"rope_type": "default", "rope_theta": stack.block.theta},
            _LOCAL: {"rope_type": "default", "rope_theta": stack.local_theta},
        },
    }


def _pooling(spec: Spec) -> str:
    assert isinstance(spec, ModernSpec)
    return spec.pooling


def _weights(ours: str, theirs: str, first: int = 0) -> KeyRow:
    return KeyRow(f"{ours}.weight", (f"{theirs}.weight",), first=first)


_LAYER = "model.layers.{layer}"
_scores = partial(
    dense_scores,
    dense="head.dense",
    theirs="classifier",
    norm="head.norm",
    reads=_pooling,
    activation=lambda spec: spec.stack.block.activation,
    rate=head_rate,
)
_published = partial(modernbert_spec, vocabulary=50368, pooling="mean")

MODERNBERT = Family(
    name="modernbert",
    model_type="modernbert",
    paper="https://arxiv.org/abs/2412.13663",
    read_config=_read,
    write_config=_write,
    new_spec=modernbert_spec,
    presets={
        "modernbert-base": _published(width=768, layers=22, heads=12, feed_forward=1152),
        "modernbert-large": _published(width=1024, layers=28, heads=16, feed_forward=2624),
    },
    published={"modernbert-base": "149M", "modernbert-large": "395M"},
    keys=(
        _weights("embed.token", "model.embeddings.tok_embeddings"),
        _weights("embed.norm", "model.embeddings.norm"),
        _weights("stack.blocks.{layer}.attend_norm", f"{_LAYER}.attn_norm", first=1),
        _weights("stack.blocks.{layer}.qkv", f"{_LAYER}.attn.Wqkv"),
        _weights("stack.blocks.{layer}.out", f"{_LAYER}.attn.Wo"),
        _weights("stack.blocks.{layer}.feed_norm", f"{_LAYER}.mlp_norm"),
        _weights("stack.blocks.{layer}.up", f"{_LAYER}.mlp.Wi"),
        _weights("stack.blocks.{layer}.down", f"{_LAYER}.mlp.Wo"),
        _weights("stack.norm", "model.final_norm"),
    ),
    heads={
        "mlm": masked_tokens("head.dense", "head.norm", "decoder.bias"),
        "classify": _scores("classify", what="classification head"),
        "tokens": _scores("tokens", what="token classification head", reads=lambda spec: "tokens"),
        "answers": _scores("answers", what="question answering head", reads=lambda spec: "tokens", fixed=2),
        "choice": _scores("choice", what="multiple choice head", fixed=1),
    },
    architectures={
        "ModernBertModel": frozenset(),
        "ModernBertForMaskedLM": frozenset({"mlm"}),
        "ModernBertForSequenceClassification": frozenset({"classify"}),
        "ModernBertForTokenClassification": frozenset({"tokens"}),
        "ModernBertForQuestionAnswering": frozenset({"answers"}),
        "ModernBertForMultipleChoice": frozenset({"choice"}),
    },
    base="ModernBertModel",
    prefix="model.",
    tied={"decoder.weight": "model.embeddings.tok_embeddings.weight"},
    known=frozenset({*_EFFECTLESS, *_FIELDS.fixed}),
)
