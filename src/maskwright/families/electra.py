"""ELECTRA: an encoder that learns by telling which tokens a small generator has replaced.

Paper: Clark et al. 2020, https://arxiv.org/abs/2003.10555.
Differs from BERT: tables of width E widened to D by one matrix, where E and D differ; no pooler; the discriminator scores every
token, the generator is a masked language model of the same architecture.  Layouts: ragged and grid.
"""

from __future__ import annotations

from collections.abc import Mapping
from functools import partial
from typing import Any

from maskwright.families.base import Family, KeyRow, Spec
from maskwright.families.bert import bert_keys
from maskwright.families.config import BERT_FIELDS, Fields, encoder_spec
from maskwright.families.heads import both, dense_scores, head_rate, masked_tokens, scores

__all__ = ["ELECTRA", "electra_spec"]

electra_spec = partial(encoder_spec, "electra")

_FIELDS = Fields(
    title="ELECTRA",
    names=BERT_FIELDS | {"embedding_size": "narrow"},
    defaults={
        "vocab_size": 30522,
        "embedding_size": 128,
        "hidden_size": 256,
        "num_hidden_layers": 12,
        "num_attention_heads": 4,
        "intermediate_size": 1024,
    },
    fixed={
        "position_embedding_type": "absolute",
        "is_decoder": False,
        "add_cross_attention": False,
        "summary_type": "first",
        "summary_use_proj": True,
        "summary_activation": "gelu",
        "summary_last_dropout": 0.1,
    },
)


def _read(config: Mapping[str, Any]) -> Spec:
    values = _FIELDS.read(config)
    narrow = values.pop("narrow")
    return electra_spec(**values, narrow=None if narrow == values["width"] else narrow)


def _write(spec: Spec) -> dict[str, Any]:
    return _FIELDS.write(spec) | {"embedding_size": spec.embed.table_width}


_dense = partial(dense_scores, reads=lambda spec: "first", activation=lambda spec: "gelu")
_PROJECT = "electra.embeddings_project"

ELECTRA = Family(
    name="electra",
    model_type="electra",
    paper="https://arxiv.org/abs/2003.10555",
    read_config=_read,
    write_config=_write,
    new_spec=electra_spec,
    presets={
        "electra-small-discriminator": electra_spec(vocabulary=30522, width=256, layers=12, heads=4, narrow=128),
        "electra-small-generator": electra_spec(vocabulary=30522, width=256, layers=12, heads=4, narrow=128),
        "electra-base-discriminator": electra_spec(vocabulary=30522, width=768, layers=12, heads=12),
        "electra-base-generator": electra_spec(vocabulary=30522, width=256, layers=12, heads=4, narrow=768),
        "electra-large-discriminator": electra_spec(vocabulary=30522, width=1024, layers=24, heads=16),
        "electra-large-generator": electra_spec(vocabulary=30522, width=256, layers=24, heads=4, narrow=1024),
    },
    published={
        "electra-small-discriminator": "14M",
        "electra-base-discriminator": "110M",
        "electra-large-discriminator": "335M",
    },
    keys=(
        *bert_keys("electra"),
        *(
            KeyRow(row.ours, row.theirs, there=lambda spec: spec.embed.narrow is not None)
            for row in both("embed.widen", _PROJECT)
        ),
    ),
    heads={
        "mlm": masked_tokens(
            "generator_predictions.dense",
            "generator_predictions.LayerNorm",
            "generator_lm_head.bias",
            activation=lambda spec: "gelu",
        ),
        "rtd": dense_scores(
            "rtd",
            "discriminator_predictions.dense",
            "discriminator_predictions.dense_prediction",
            what="replaced-token head",
            reads=lambda spec: "tokens",
            activation=lambda spec: spec.stack.block.activation,
            fixed=1,
        ),
        "classify": _dense(
            "classify", "classifier.dense", "classifier.out_proj", what="classification head", rate=head_rate
        ),
        "tokens": scores("tokens", "classifier", what="token classification head", reads="tokens", rate=head_rate),
        "answers": scores("answers", "qa_outputs", what="question answering head", reads="tokens", fixed=2),
        "choice": _dense(
            "choice",
            "sequence_summary.summary",
            "classifier",
            what="multiple choice head",
            fixed=1,
            rate=lambda spec: 0.1,
        ),
    },
    architectures={
        "ElectraModel": frozenset(),
        "ElectraForMaskedLM": frozenset({"mlm"}),
        "ElectraForPreTraining": frozenset({"rtd"}),
        "ElectraForSequenceClassification": frozenset({"classify"}),
        "ElectraForTokenClassification": frozenset({"tokens"}),
        "ElectraForQuestionAnswering": frozenset({"answers"}),
        "ElectraForMultipleChoice": frozenset({"choice"}),
    },
    base="ElectraModel",
    prefix="electra.",
    tied={"generator_lm_head.weight": "electra.embeddings.word_embeddings.weight"},
    ignorable=("electra.embeddings.position_ids",),
    known=frozenset(_FIELDS.fixed),
)
