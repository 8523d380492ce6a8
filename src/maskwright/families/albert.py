"""ALBERT: narrow embeddings, and layers that share their parameters in groups.

Paper: Lan et al. 2020, https://arxiv.org/abs/1909.11942.
Differs from BERT: token, position and segment tables of width E, widened to D by one matrix; layers run through few blocks
again and again; sentence-order prediction instead of next sentences; GELU in its tanh approximation; version 2 has no dropout
but in the classification heads.
Sharing makes the folder smaller, not the layers faster.  Layouts: ragged and grid.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import partial
from typing import Any

from maskwright.families.base import Family, KeyRow, Spec
from maskwright.families.config import BERT_FIELDS, Fields, encoder_spec
from maskwright.families.heads import both, head_rate, masked_tokens, pooler, scores
from maskwright.nn.stack import StackSpec

__all__ = ["ALBERT", "SharedStackSpec", "albert_spec"]


@dataclass(frozen=True, kw_only=True)
class SharedStackSpec(StackSpec):
    """Layers in groups: those of a group are the same blocks again."""

    groups: int = 1
    """Groups that the layers are divided into, one after the other."""
    inner: int = 1
    """Blocks in a group; each of its layers runs all of them."""

    @property
    def blocks(self) -> int:
        """How many blocks have weights of their own."""
        return self.groups * self.inner

    @property
    def places(self) -> Sequence[dict[str, int]]:
        """Where the blocks that have weights stand: group by group."""
        return [
            {"layer": group * self.inner + inner, "group": group, "inner": inner}
            for group in range(self.groups)
            for inner in range(self.inner)
        ]

    @property
    def order(self) -> Sequence[int]:
        """Which block computes each layer; a layer of several inner blocks counts as several."""
        # The reference divides in floating point, which decides where layers do not divide evenly.
        groups = [int(layer / (self.layers / self.groups)) for layer in range(self.layers)]
        return [group * self.inner + inner for group in groups for inner in range(self.inner)]


def albert_spec(*, width: int, narrow: int = 128, groups: int = 1, inner: int = 1, **sizes: Any) -> Spec:
    """Return the spec of an ALBERT: BERT's arguments, the tables' width E, groups and blocks in a group."""
    spec = encoder_spec("albert", width=width, narrow=narrow, **({"activation": "gelu_new"} | sizes))
    stack = SharedStackSpec(layers=spec.stack.layers, block=spec.stack.block, groups=groups, inner=inner)
    return replace(spec, stack=stack)


_NAMES = {name: ours for name, ours in BERT_FIELDS.items() if name != "classifier_dropout"} | {
    "embedding_size": "narrow",
    "num_hidden_groups": "groups",
    "inner_group_num": "inner",
    "classifier_dropout_prob": "head_dropout",
}
_FIELDS = Fields(
    title="ALBERT",
    names=_NAMES,
    defaults={
        "vocab_size": 30000,
        "hidden_size": 4096,
        "num_hidden_layers": 12,
        "num_attention_heads": 64,
        "intermediate_size": 16384,
        "hidden_dropout_prob": 0.0,
        "attention_probs_dropout_prob": 0.0,
        "classifier_dropout_prob": 0.1,
    },
    fixed={
        "position_embedding_type": "absolute",
        "net_structure_type": 0,
        "gap_size": 0,
        "num_memory_blocks": 0,
        "down_scale_factor": 1,
    },
)

_GROUP = "albert.encoder.albert_layer_groups.{group}.albert_layers.{inner}"
_EMBED = "albert.embeddings"
_V1: dict[str, Any] = {"vocabulary": 30000, "head_dropout": 0.1}
_V2: dict[str, Any] = _V1 | {"dropout": 0.0, "attention_dropout": 0.0}
_SIZES: dict[str, dict[str, Any]] = {
    "base": {"width": 768, "layers": 12, "heads": 12},
    "large": {"width": 1024, "layers": 24, "heads": 16},
    "xlarge": {"width": 2048, "layers": 24, "heads": 16},
    "xxlarge": {"width": 4096, "layers": 12, "heads": 64},
}
_head = partial(scores, rate=head_rate)

ALBERT = Family(
    name="albert",
    model_type="albert",
    paper="https://arxiv.org/abs/1909.11942",
    read_config=_FIELDS.reader(albert_spec),
    write_config=_FIELDS.write,
    new_spec=albert_spec,
    presets={
        f"albert-{size}-{version}": albert_spec(**given, **sizes)
        for version, given in (("v1", _V1), ("v2", _V2))
        for size, sizes in _SIZES.items()
    },
    published={
        f"albert-{size}-{version}": figure
        for size, figure in {
            "base": "12M",
            "large": "18M",
            "xlarge": "60M, rounded up",
            "xxlarge": "235M; no sum of the parts of the published weights is as much",
        }.items()
        for version in ("v1", "v2")
    },
    keys=(
        KeyRow("embed.token.weight", (f"{_EMBED}.word_embeddings.weight",)),
        KeyRow("embed.position.weight", (f"{_EMBED}.position_embeddings.weight",)),
        KeyRow("embed.segment.weight", (f"{_EMBED}.token_type_embeddings.weight",)),
        *both("embed.norm", f"{_EMBED}.LayerNorm"),
        *both("embed.widen", "albert.encoder.embedding_hidden_mapping_in"),
        *both("stack.blocks.{layer}.qkv", *(f"{_GROUP}.attention.{part}" for part in ("query", "key", "value"))),
        *both("stack.blocks.{layer}.out", f"{_GROUP}.attention.dense"),
        *both("stack.blocks.{layer}.attend_norm", f"{_GROUP}.attention.LayerNorm"),
        *both("stack.blocks.{layer}.up", f"{_GROUP}.ffn"),
        *both("stack.blocks.{layer}.down", f"{_GROUP}.ffn_output"),
        *both("stack.blocks.{layer}.feed_norm", f"{_GROUP}.full_layer_layer_norm"),
    ),
    heads={
        "pooler": pooler("albert.pooler"),
        "mlm": masked_tokens("predictions.dense", "predictions.LayerNorm", "predictions.bias"),
        "sop": _head("sop", "sop_classifier.classifier", what="sentence-order head", reads="pooled", fixed=2),
        "classify": _head("classify", "classifier", what="classification head", reads="pooled"),
        "tokens": _head("tokens", "classifier", what="token classification head", reads="tokens"),
        "answers": scores("answers", "qa_outputs", what="question answering head", reads="tokens", fixed=2),
        "choice": _head("choice", "classifier", what="multiple choice head", reads="pooled", fixed=1),
    },
    architectures={
        "AlbertModel": frozenset({"pooler"}),
        "AlbertForMaskedLM": frozenset({"mlm"}),
        "AlbertForPreTraining": frozenset({"pooler", "mlm", "sop"}),
        "AlbertForSequenceClassification": frozenset({"pooler", "classify"}),
        "AlbertForTokenClassification": frozenset({"tokens"}),
        "AlbertForQuestionAnswering": frozenset({"answers"}),
        "AlbertForMultipleChoice": frozenset({"pooler", "choice"}),
    },
    base="AlbertModel",
    prefix="albert.",
    tied={
        "predictions.decoder.weight": f"{_EMBED}.word_embeddings.weight",
        "predictions.decoder.bias": "predictions.bias",
    },
    ignorable=(f"{_EMBED}.position_ids",),
    known=frozenset(_FIELDS.fixed),
)
