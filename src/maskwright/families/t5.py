"""T5: an encoder-decoder that reads every task as text.

Paper: Raffel et al. 2020, https://arxiv.org/abs/1910.10683; version 1.1: gated feed-forward network, untied output.
Differs from BERT: two stacks over one token table, the decoder looking back only and at the encoder's output; pre-norm with
root mean squares instead of LayerNorms; no biases; scores are not scaled, and a learned bias of each head, one table a stack,
tells places apart: one row for each small distance, and rows that share ever larger ones.  Layouts: ragged and grid.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any

import torch
from torch import Tensor, nn

from maskwright.errors import CheckpointError
from maskwright.families.base import Family, HeadKind, KeyRow, Net, Spec
from maskwright.families.config import Fields
from maskwright.families.heads import dense_scores, head_rate, scores
from maskwright.families.seq2seq import Seq2SeqNet, Seq2SeqSpec, seq2seq_spec, starting_with
from maskwright.nn.block import ACTIVATIONS, Block, BlockSpec
from maskwright.nn.heads import NextToken, Scores
from maskwright.nn.layout import Grid, Layout
from maskwright.nn.past import Past
from maskwright.nn.stack import Stack, StackSpec

__all__ = ["T5", "RelativeStack", "RelativeStackSpec", "T5Block", "T5BlockSpec", "T5Net", "T5Spec", "bucket", "t5_spec"]


@dataclass(frozen=True, kw_only=True)
class T5BlockSpec(BlockSpec):
    """A block without biases, with heads of any width."""

    head_width: int
    """H; N times H need not be D."""

    def parameters(self) -> dict[str, tuple[str, int]]:
        """Part -> (closed form, count)."""
        d, inner = self.width, self.heads * self.head_width
        looked = f"4·D·{self.heads}·{self.head_width}, D = {d:,}", 4 * d * inner
        return {part: looked if part.startswith("attention") else each for part, each in super().parameters().items()}

    def multiplications(self, keys: int) -> int:
        """Multiplications a token in the forward pass, where it attends to so many keys."""
        more = self.heads * self.head_width - self.width
        return super().multiplications(keys) + (1 + self.cross) * more * (4 * self.width + 2 * keys)

    def build(self) -> T5Block:
        """Return the module that this describes."""
        return T5Block(self)


class T5Block(Block):
    """The block with root mean squares as norms and heads of their own width."""

    def __init__(self, spec: T5BlockSpec) -> None:
        super().__init__(spec)
        width, inner = spec.width, spec.heads * spec.head_width
        self.scale = 1.0
        self.qkv, self.out = nn.Linear(width, 3 * inner, bias=False), nn.Linear(inner, width, bias=False)
        self.attend_norm, self.feed_norm = (nn.RMSNorm(width, eps=spec.norm_eps) for _ in range(2))
        if spec.cross:
            self.cross_q, self.cross_kv = nn.Linear(width, inner, bias=False), nn.Linear(width, 2 * inner, bias=False)
            self.cross_out = nn.Linear(inner, width, bias=False)
            self.cross_norm = nn.RMSNorm(width, eps=spec.norm_eps)


def bucket(distance: Tensor, buckets: int, farthest: int, both: bool) -> Tensor:
    """Row of the table for distances (key's place minus query's), as in the paper's code, section 2.1.

    Half of the rows are for one place each, the others for ever larger ranges up to ``farthest``, where the last begins.
    both: half of all rows are for keys behind the query; otherwise these count as distance 0.
    """
    row = torch.zeros_like(distance)
    if both:
        buckets //= 2
        row = (distance > 0) * buckets
        distance = distance.abs()
    else:
        distance = (-distance).clamp(min=0)
    exact = buckets // 2
    share = torch.log(distance.clamp(min=1).float() / exact) / math.log(farthest / exact)
    far = (exact + (share * (buckets - exact)).long()).clamp(max=buckets - 1)
    return row + torch.where(distance < exact, distance, far)


@dataclass(frozen=True, kw_only=True)
class RelativeStackSpec(StackSpec):
    """Blocks with one table of biases by distance."""

    buckets: int = 32
    farthest: int = 128
    """Distance from which on all share the last row."""

    def parameters(self) -> dict[str, tuple[str, int]]:
        """Part -> (closed form, count), over all layers."""
        heads = self.block.heads
        return {"biases by distance": (f"{self.buckets}·N, N = {heads}", self.buckets * heads)} | super().parameters()

    def build(self) -> RelativeStack:
        """Return the module that this describes."""
        return RelativeStack(self)


class RelativeStack(Stack):
    """The stack whose blocks add the table's values to their scores."""

    def __init__(self, spec: RelativeStackSpec) -> None:
        super().__init__(spec)
        self.distance = nn.Embedding(spec.buckets, spec.block.heads)
        self.farthest, self.both = spec.farthest, not spec.block.causal
        self.norm = nn.RMSNorm(spec.block.width, eps=spec.block.norm_eps)

    def bias(self, positions_T: Tensor, layout: Layout, past: Past | None) -> Tensor:
        """(N, S, S), or behind what was read before (B, N, 1, keys)."""
        size = layout.length if isinstance(layout, Grid) else layout.longest
        queries_BS = torch.arange(size, device=positions_T.device)[None]
        keys = size
        if past is not None and len(past.lengths_B):
            queries_BS, keys = past.lengths_B[:, None], past.room
        apart_BSS = torch.arange(keys, device=positions_T.device) - queries_BS[..., None]
        row_BSS = bucket(apart_BSS, self.distance.num_embeddings, self.farthest, self.both)
        bias_BNSS: Tensor = self.distance(row_BSS).permute(0, 3, 1, 2)
        return bias_BNSS if len(bias_BNSS) > 1 else bias_BNSS[0]


@dataclass(frozen=True, kw_only=True)
class T5Spec(Seq2SeqSpec):
    """A T5, with whether its scores are made of the token table; ``initializer_range`` is a factor of what it starts from."""

    tied: bool = True

    def build(self) -> T5Net:
        """Return the network that this describes."""
        return T5Net(self)


class T5Net(Seq2SeqNet):
    """The network with the reference's fresh weights: deviations by what goes into a matrix, as scores are not scaled."""

    def initialise(self, module: nn.Module | None = None) -> None:
        """Give fresh weights to one part, or to the whole."""
        super().initialise(module)
        factor = self.spec.initializer_range
        for part in (self if module is None else module).modules():
            if isinstance(part, nn.Linear):
                nn.init.normal_(part.weight, std=factor * part.in_features**-0.5)
            if isinstance(part, RelativeStack):
                nn.init.normal_(part.distance.weight, std=factor * self.spec.width**-0.5)
            if isinstance(part, nn.RMSNorm):
                nn.init.ones_(part.weight)
        for part in (self if module is None else module).modules():
            if isinstance(part, T5Block):
                inner = part.out.in_features
                with torch.no_grad():
                    for query in (part.qkv.weight[:inner], *([part.cross_q.weight] if part.spec.cross else [])):
                        query.mul_((inner // part.spec.heads) ** -0.5)


def t5_spec(
    *,
    width: int,
    heads: int,
    head_width: int | None = None,
    gated: bool = False,
    tied: bool = True,
    buckets: int = 32,
    farthest: int = 128,
    dropout: float = 0.1,
    start_id: int = 0,
    factor: float = 1.0,
    **sizes: Any,
) -> T5Spec:
    """Return the spec of a T5: the arguments of ``seq2seq_spec``; one dropout rate for all, ``attention_dropout`` too.

    head_width: D / N unless given; gated: version 1.1's feed-forward network; tied: whether scores are made of the token
    table; factor: of the fresh weights' deviations.
    """
    sizes.pop("attention_dropout", None)
    defaults = {"activation": "gelu_new" if gated else "relu", "norm_eps": 1e-6, "head_dropout": 0.0}
    sizes = defaults | {"initializer_range": factor} | sizes
    base = seq2seq_spec(
        "t5", width=width, heads=heads, norm="pre", embed_norm=False, dropout=dropout, attention_dropout=dropout,
        inner_dropout=dropout, start_id=start_id, **sizes,
    )  # fmt: skip

    def relative(stack: StackSpec) -> RelativeStackSpec:
        given = vars(stack.block) | {"bias": False, "gated": gated}
        block = T5BlockSpec(**given, head_width=head_width or width // heads)
        return RelativeStackSpec(layers=stack.layers, block=block, buckets=buckets, farthest=farthest)

    return T5Spec(
        family="t5",
        embed=replace(base.embed, position="none", bias=False),
        stack=relative(base.stack),
        decoder=relative(base.decoder),
        start_id=start_id,
        initializer_range=base.initializer_range,
        head_dropout=base.head_dropout,
        tied=tied,
    )


_FIELDS = Fields(
    title="T5",
    names={
        "vocab_size": "vocabulary",
        "d_model": "width",
        "d_kv": "head_width",
        "d_ff": "feed_forward",
        "num_layers": "layers",
        "num_decoder_layers": "decoder_layers",
        "num_heads": "heads",
        "relative_attention_num_buckets": "buckets",
        "relative_attention_max_distance": "farthest",
        "dropout_rate": "dropout",
        "layer_norm_epsilon": "norm_eps",
        "initializer_factor": "factor",
        "classifier_dropout": "head_dropout",
        "decoder_start_token_id": "start_id",
    },
    defaults={
        "vocab_size": 32128,
        "d_model": 512,
        "d_kv": 64,
        "d_ff": 2048,
        "num_layers": 6,
        "num_heads": 8,
        "classifier_dropout": 0.0,
        "decoder_start_token_id": 0,
    },
)


def _read(config: Mapping[str, Any]) -> T5Spec:
    given = config.get("feed_forward_proj", "relu")
    kind, _, activation = str(given).rpartition("-")
    if kind not in ("", "gated"):
        raise CheckpointError(
            f"config.json: feed_forward_proj is {given!r}; an activation or gated-ACTIVATION is expected"
        )
    values = _FIELDS.read(config) | {"activation": "gelu_new" if given == "gated-gelu" else activation}
    if values["activation"] not in ACTIVATIONS:
        raise CheckpointError(f"config.json: feed_forward_proj is {given!r}; known: {', '.join(ACTIVATIONS)}")
    return t5_spec(gated=kind == "gated", tied=config.get("tie_word_embeddings", True) is not False, **values)


def _write(spec: Spec) -> dict[str, Any]:
    assert isinstance(spec, T5Spec)
    block = spec.stack.block
    activation = "gelu" if block.gated and block.activation == "gelu_new" else block.activation
    return _FIELDS.write(spec) | {
        "feed_forward_proj": f"gated-{activation}" if block.gated else activation,
        "is_encoder_decoder": True,
        "tie_word_embeddings": spec.tied,
    }


def _stack_keys(side: str, ours: str) -> tuple[KeyRow, ...]:
    """The key table of one stack; a decoder's feed-forward network is its third layer, not its second."""
    at = f"transformer.{side}.block.{{layer}}.layer"
    block, feed = f"{ours}.blocks.{{layer}}", f"{at}.{1 if side == 'encoder' else 2}"
    table = f"transformer.{side}.block.0.layer.0.SelfAttention.relative_attention_bias.weight"
    wide = f"{feed}.DenseReluDense"
    return (
        KeyRow(f"{ours}.distance.weight", (table,)),
        KeyRow(f"{block}.qkv.weight", tuple(f"{at}.0.SelfAttention.{x}.weight" for x in "qkv")),
        KeyRow(f"{block}.out.weight", (f"{at}.0.SelfAttention.o.weight",)),
        KeyRow(f"{block}.attend_norm.weight", (f"{at}.0.layer_norm.weight",)),
        KeyRow(f"{block}.up.weight", (f"{wide}.wi.weight",), there=lambda spec: not spec.stack.block.gated),
        KeyRow(
            f"{block}.up.weight",
            (f"{wide}.wi_0.weight", f"{wide}.wi_1.weight"),
            there=lambda spec: spec.stack.block.gated,
        ),
        KeyRow(f"{block}.down.weight", (f"{wide}.wo.weight",)),
        KeyRow(f"{block}.feed_norm.weight", (f"{feed}.layer_norm.weight",)),
        KeyRow(f"{ours}.norm.weight", (f"transformer.{side}.final_layer_norm.weight",)),
    )


_BESIDE = "transformer.decoder.block.{layer}.layer.1"
_CROSS = f"{_BESIDE}.EncDecAttention"


def _untied(spec: Spec) -> bool:
    return isinstance(spec, T5Spec) and not spec.tied


def _next_token(net: Net, outputs: int) -> nn.Module:
    if _untied(net.spec):
        return Scores(net.spec.width, net.spec.vocabulary, reads="tokens", bias=False)
    return NextToken(net.embed.token, factor=net.spec.width**-0.5)


def _sizes(width: int, layers: int, heads: int, feed_forward: int, head_width: int = 64) -> dict[str, Any]:
    return {
        "width": width, "layers": layers, "heads": heads, "feed_forward": feed_forward, "head_width": head_width,
        "vocabulary": 32128,
    }  # fmt: skip


_PRESETS = {
    "t5-small": _sizes(512, 6, 8, 2048),
    "t5-base": _sizes(768, 12, 12, 3072),
    "t5-large": _sizes(1024, 24, 16, 4096),
    "t5-3b": _sizes(1024, 24, 32, 16384, 128),
    "t5-11b": _sizes(1024, 24, 128, 65536, 128),
}
_V1_1 = {
    "t5-v1_1-small": _sizes(512, 8, 6, 1024),
    "t5-v1_1-base": _sizes(768, 12, 12, 2048),
    "t5-v1_1-large": _sizes(1024, 24, 16, 2816),
}

T5 = Family(
    name="t5",
    model_type="t5",
    paper="https://arxiv.org/abs/1910.10683",
    read_config=_read,
    write_config=_write,
    new_spec=t5_spec,
    fit_roles=lambda spec, roles: starting_with(spec, roles, "pad"),
    presets={name: t5_spec(**sizes) for name, sizes in _PRESETS.items()}
    | {name: t5_spec(**sizes, gated=True, tied=False) for name, sizes in _V1_1.items()},
    published={
        "t5-small": "60M, rounded",
        "t5-base": "220M, rounded",
        "t5-large": "770M, rounded",
        "t5-3b": "3B, rounded; 2.8B in the paper",
        "t5-11b": "11B, rounded",
    },
    keys=(
        KeyRow("embed.token.weight", ("transformer.shared.weight",)),
        *_stack_keys("encoder", "stack"),
        *_stack_keys("decoder", "decoder"),
        KeyRow("decoder.blocks.{layer}.cross_q.weight", (f"{_CROSS}.q.weight",)),
        KeyRow("decoder.blocks.{layer}.cross_kv.weight", (f"{_CROSS}.k.weight", f"{_CROSS}.v.weight")),
        KeyRow("decoder.blocks.{layer}.cross_out.weight", (f"{_CROSS}.o.weight",)),
        KeyRow("decoder.blocks.{layer}.cross_norm.weight", (f"{_BESIDE}.layer_norm.weight",)),
    ),
    heads={
        "lm": HeadKind(
            build=_next_token,
            parameters=lambda spec, outputs: (
                {"language model head": ("V·D", spec.vocabulary * spec.width)} if _untied(spec) else {}
            ),
            keys=(KeyRow("heads.lm.score.weight", ("lm_head.weight",), there=_untied),),
        ),
        "classify": dense_scores(
            "classify", "classification_head.dense", "classification_head.out_proj", what="classification head",
            reads=lambda spec: "last", activation=lambda spec: "tanh", rate=head_rate,
            bias=lambda spec: True,
        ),
        "answers": scores("answers", "qa_outputs", what="question answering head", reads="tokens", fixed=2),
    },
    architectures={
        "T5Model": frozenset(),
        "T5ForConditionalGeneration": frozenset({"lm"}),
        "T5ForSequenceClassification": frozenset({"classify"}),
        "T5ForQuestionAnswering": frozenset({"answers"}),
    },
    base="T5Model",
    prefix="transformer.",
    bare=frozenset({"T5ForConditionalGeneration", "T5ForQuestionAnswering"}),
    tied={
        "lm_head.weight": "transformer.shared.weight",
        "transformer.encoder.embed_tokens.weight": "transformer.shared.weight",
        "transformer.decoder.embed_tokens.weight": "transformer.shared.weight",
    },
    ignorable=("transformer.decoder.block.0.layer.1.EncDecAttention.relative_attention_bias.weight",),
    known=frozenset({"n_positions", "is_gated_act", "dense_act_fn", "scale_decoder_outputs", "output_past"}),
)  # fmt: skip
