"""BERT: a bidirectional post-norm Transformer encoder with learned positions and two segments.

Paper: Devlin et al. 2019, https://arxiv.org/abs/1810.04805.  Tensor names as in Hugging Face's folders.
Layouts: ragged and grid.
"""

from __future__ import annotations

from functools import partial
from typing import Any

from maskwright.families.base import Family, HeadKind, KeyRow
from maskwright.families.config import BERT_FIELDS, Fields, encoder_spec
from maskwright.families.heads import both, head_rate, masked_tokens, pooler, scores

__all__ = ["BERT", "bert_architectures", "bert_heads", "bert_keys", "bert_spec"]

bert_spec = partial(encoder_spec, "bert")

_FIELDS = Fields(
    title="BERT",
    names=BERT_FIELDS,
    defaults={
        "vocab_size": 30522,
        "hidden_size": 768,
        "num_hidden_layers": 12,
        "num_attention_heads": 12,
        "intermediate_size": 3072,
    },
    fixed={"position_embedding_type": "absolute", "is_decoder": False, "add_cross_attention": False},
)


def bert_keys(prefix: str) -> tuple[KeyRow, ...]:
    """Return the key table of an encoder whose tensors are called as BERT's, behind another prefix."""
    layer = f"{prefix}.encoder.layer.{{layer}}"
    attention = f"{layer}.attention.self"
    return (
        KeyRow("embed.token.weight", (f"{prefix}.embeddings.word_embeddings.weight",)),
        KeyRow("embed.position.weight", (f"{prefix}.embeddings.position_embeddings.weight",)),
        KeyRow("embed.segment.weight", (f"{prefix}.embeddings.token_type_embeddings.weight",)),
        *both("embed.norm", f"{prefix}.embeddings.LayerNorm"),
        *both("stack.blocks.{layer}.qkv", f"{attention}.query", f"{attention}.key", f"{attention}.value"),
        *both("stack.blocks.{layer}.out", f"{layer}.attention.output.dense"),
        *both("stack.blocks.{layer}.attend_norm", f"{layer}.attention.output.LayerNorm"),
        *both("stack.blocks.{layer}.up", f"{layer}.intermediate.dense"),
        *both("stack.blocks.{layer}.down", f"{layer}.output.dense"),
        *both("stack.blocks.{layer}.feed_norm", f"{layer}.output.LayerNorm"),
    )


def bert_heads(prefix: str) -> dict[str, HeadKind]:
    """Return BERT's heads for an encoder with that prefix; ``sop`` is ALBERT's, and no class of Hugging Face's has it here."""
    transform = "cls.predictions.transform"
    return {
        "pooler": pooler(f"{prefix}.pooler.dense"),
        "mlm": masked_tokens(f"{transform}.dense", f"{transform}.LayerNorm", "cls.predictions.bias"),
        "nsp": scores("nsp", "cls.seq_relationship", what="next-sentence head", reads="pooled", fixed=2),
        "sop": scores("sop", "cls.sentence_order", what="sentence-order head", reads="pooled", fixed=2),
        "classify": scores("classify", "classifier", what="classification head", reads="pooled", rate=head_rate),
        "tokens": scores("tokens", "classifier", what="token classification head", reads="tokens", rate=head_rate),
        "answers": scores("answers", "qa_outputs", what="question answering head", reads="tokens", fixed=2),
        "choice": scores(
            "choice", "classifier", what="multiple choice head", reads="pooled", fixed=1, rate=head_rate
        ),
    }  # fmt: skip


def bert_architectures(name: str) -> dict[str, frozenset[str]]:
    """Return Hugging Face's classes of a family that has BERT's heads."""
    heads = {
        "Model": {"pooler"},
        "ForMaskedLM": {"mlm"},
        "ForNextSentencePrediction": {"pooler", "nsp"},
        "ForPreTraining": {"pooler", "mlm", "nsp"},
        "ForSequenceClassification": {"pooler", "classify"},
        "ForTokenClassification": {"tokens"},
        "ForQuestionAnswering": {"answers"},
        "ForMultipleChoice": {"pooler", "choice"},
    }
    return {name + kind: frozenset(carried) for kind, carried in heads.items()}


_UNCASED = 30522
_BASE: dict[str, Any] = {"width": 768, "layers": 12, "heads": 12}
_LARGE: dict[str, Any] = {"width": 1024, "layers": 24, "heads": 16}

BERT = Family(
    name="bert",
    model_type="bert",
    paper="https://arxiv.org/abs/1810.04805",
    read_config=_FIELDS.reader(bert_spec),
    write_config=lambda spec: _FIELDS.write(spec) | {"position_embedding_type": "absolute"},
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
    published={
        "bert-base-uncased": "110M in its README, with both pre-training heads; 108M in ALBERT's table, without the pooler",
        "bert-large-uncased": "340M in its README, rounded up; 334M in ALBERT's table, without the pooler",
    },
    keys=bert_keys("bert"),
    heads=bert_heads("bert"),
    architectures=bert_architectures("Bert"),
    base="BertModel",
    prefix="bert.",
    tied={
        "cls.predictions.decoder.weight": "bert.embeddings.word_embeddings.weight",
        "cls.predictions.decoder.bias": "cls.predictions.bias",
    },
    ignorable=("bert.embeddings.position_ids",),
    renames={".LayerNorm.gamma": ".LayerNorm.weight", ".LayerNorm.beta": ".LayerNorm.bias"},
)
