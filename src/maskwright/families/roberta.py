"""RoBERTa: BERT trained longer, on more text, without next-sentence prediction, over bytes.

Paper: Liu et al. 2019, https://arxiv.org/abs/1907.11692.
Differs from BERT: positions count from the row behind the padding id; one segment; epsilon 1e-5; a classification head of its
own on the first token, <s>.  Layouts: ragged and grid.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from functools import partial
from typing import Any

from maskwright.errors import CheckpointError
from maskwright.families.base import Family, Spec
from maskwright.families.bert import bert_keys
from maskwright.families.config import BERT_FIELDS, Fields, check, encoder_spec
from maskwright.families.heads import dense_scores, head_rate, masked_tokens, pooler, scores

__all__ = ["ROBERTA", "roberta_spec"]

roberta_spec = partial(encoder_spec, "roberta", offset=2, segments=1, norm_eps=1e-5)

_FIELDS = Fields(
    title="RoBERTa",
    names=BERT_FIELDS,
    defaults={
        "vocab_size": 50265,
        "hidden_size": 768,
        "num_hidden_layers": 12,
        "num_attention_heads": 12,
        "intermediate_size": 3072,
        "max_position_embeddings": 512,
        "type_vocab_size": 2,
        "layer_norm_eps": 1e-12,
    },
    fixed={"position_embedding_type": "absolute", "is_decoder": False, "add_cross_attention": False},
)


def _read(config: Mapping[str, Any]) -> Spec:
    padding = config.get("pad_token_id", 1)
    check("pad_token_id", padding, "offset", least=0)
    values = _FIELDS.read(config)
    rows = values.pop("positions")
    if rows <= padding + 1:
        raise CheckpointError(
            f"config.json: max_position_embeddings is {rows}; positions count from pad_token_id + 1 = {padding + 1}, "
            "so none is left"
        )
    return roberta_spec(**values, positions=rows - padding - 1, offset=padding + 1)


def _write(spec: Spec) -> dict[str, Any]:
    return _FIELDS.write(spec) | {
        "max_position_embeddings": spec.embed.positions + spec.embed.offset,
        "pad_token_id": spec.embed.offset - 1,
    }


def _fit_roles(spec: Spec, roles: Mapping[str, int]) -> Spec:
    return replace(spec, embed=replace(spec.embed, offset=roles.get("pad", 0) + 1))


ROBERTA = Family(
    name="roberta",
    model_type="roberta",
    paper="https://arxiv.org/abs/1907.11692",
    read_config=_read,
    write_config=_write,
    new_spec=roberta_spec,
    presets={
        "distilroberta-base": roberta_spec(vocabulary=50265, width=768, layers=6, heads=12),
        "roberta-base": roberta_spec(vocabulary=50265, width=768, layers=12, heads=12),
        "roberta-large": roberta_spec(vocabulary=50265, width=1024, layers=24, heads=16),
    },
    published={
        "roberta-base": "125M, with the pooler",
        "roberta-large": "355M, with the pooler",
        "distilroberta-base": "82M",
    },
    keys=bert_keys("roberta"),
    heads={
        "pooler": pooler("roberta.pooler.dense"),
        "mlm": masked_tokens("lm_head.dense", "lm_head.layer_norm", "lm_head.bias", activation=lambda spec: "gelu"),
        "classify": dense_scores(
            "classify",
            "classifier.dense",
            "classifier.out_proj",
            what="classification head",
            reads=lambda spec: "first",
            activation=lambda spec: "tanh",
            rate=head_rate,
        ),
        "tokens": scores("tokens", "classifier", what="token classification head", reads="tokens", rate=head_rate),
        "answers": scores("answers", "qa_outputs", what="question answering head", reads="tokens", fixed=2),
        "choice": scores("choice", "classifier", what="multiple choice head", reads="pooled", fixed=1, rate=head_rate),
    },
    architectures={
        "RobertaModel": frozenset({"pooler"}),
        "RobertaForMaskedLM": frozenset({"mlm"}),
        "RobertaForSequenceClassification": frozenset({"classify"}),
        "RobertaForTokenClassification": frozenset({"tokens"}),
        "RobertaForQuestionAnswering": frozenset({"answers"}),
        "RobertaForMultipleChoice": frozenset({"pooler", "choice"}),
    },
    base="RobertaModel",
    prefix="roberta.",
    tied={
        "lm_head.decoder.weight": "roberta.embeddings.word_embeddings.weight",
        "lm_head.decoder.bias": "lm_head.bias",
    },
    ignorable=("roberta.embeddings.position_ids",),
    known=frozenset({"position_embedding_type"}),
    fit_roles=_fit_roles,
)
