"""DistilBERT: BERT with half the layers, taught by the whole one.

Paper: Sanh et al. 2019, https://arxiv.org/abs/1910.01108.
Differs from BERT: no segments, no pooler; a classification head with a dense layer of its own.  Distillation is an objective.
Deliberate difference: in training the reference has no dropout between attention and its residual; here it is as in BERT.
Layouts: ragged and grid.
"""

from __future__ import annotations

from functools import partial

from maskwright.families.base import Family, KeyRow
from maskwright.families.config import Fields, encoder_spec
from maskwright.families.heads import both, dense_scores, head_rate, masked_tokens, scores

__all__ = ["DISTILBERT", "distilbert_spec"]

distilbert_spec = partial(encoder_spec, "distilbert", segments=0, head_dropout=0.2)

_FIELDS = Fields(
    title="DistilBERT",
    names={
        "vocab_size": "vocabulary",
        "dim": "width",
        "n_layers": "layers",
        "n_heads": "heads",
        "hidden_dim": "feed_forward",
        "activation": "activation",
        "dropout": "dropout",
        "attention_dropout": "attention_dropout",
        "max_position_embeddings": "positions",
        "initializer_range": "initializer_range",
        "seq_classif_dropout": "head_dropout",
    },
    defaults={"vocab_size": 30522, "dim": 768, "n_layers": 6, "n_heads": 12, "hidden_dim": 3072},
    fixed={"qa_dropout": 0.1, "tie_weights_": True},
)

_LAYER = "distilbert.transformer.layer.{layer}"
_EMBED = "distilbert.embeddings"
_dense = partial(dense_scores, reads=lambda spec: "first", activation=lambda spec: "relu", rate=head_rate)

DISTILBERT = Family(
    name="distilbert",
    model_type="distilbert",
    paper="https://arxiv.org/abs/1910.01108",
    read_config=_FIELDS.reader(distilbert_spec),
    write_config=_FIELDS.write,
    new_spec=distilbert_spec,
    presets={
        "distilbert-base-uncased": distilbert_spec(vocabulary=30522, width=768, layers=6, heads=12),
        "distilbert-base-cased": distilbert_spec(vocabulary=28996, width=768, layers=6, heads=12),
        "distilbert-base-multilingual-cased": distilbert_spec(vocabulary=119547, width=768, layers=6, heads=12),
    },
    published={"distilbert-base-uncased": "66M"},
    keys=(
        KeyRow("embed.token.weight", (f"{_EMBED}.word_embeddings.weight",)),
        KeyRow("embed.position.weight", (f"{_EMBED}.position_embeddings.weight",)),
        *both("embed.norm", f"{_EMBED}.LayerNorm"),
        *both("stack.blocks.{layer}.qkv", *(f"{_LAYER}.attention.{part}_lin" for part in "qkv")),
        *both("stack.blocks.{layer}.out", f"{_LAYER}.attention.out_lin"),
        *both("stack.blocks.{layer}.attend_norm", f"{_LAYER}.sa_layer_norm"),
        *both("stack.blocks.{layer}.up", f"{_LAYER}.ffn.lin1"),
        *both("stack.blocks.{layer}.down", f"{_LAYER}.ffn.lin2"),
        *both("stack.blocks.{layer}.feed_norm", f"{_LAYER}.output_layer_norm"),
    ),
    heads={
        "mlm": masked_tokens("vocab_transform", "vocab_layer_norm", "vocab_projector.bias"),
        "classify": _dense("classify", "pre_classifier", "classifier", what="classification head"),
        "tokens": scores(
            "tokens",
            "classifier",
            what="token classification head",
            reads="tokens",
            rate=lambda spec: spec.stack.block.dropout,
        ),
        "answers": scores(
            "answers",
            "qa_outputs",
            what="question answering head",
            reads="tokens",
            fixed=2,
            rate=lambda spec: 0.1,
        ),
        "choice": _dense("choice", "pre_classifier", "classifier", what="multiple choice head", fixed=1),
    },
    architectures={
        "DistilBertModel": frozenset(),
        "DistilBertForMaskedLM": frozenset({"mlm"}),
        "DistilBertForSequenceClassification": frozenset({"classify"}),
        "DistilBertForTokenClassification": frozenset({"tokens"}),
        "DistilBertForQuestionAnswering": frozenset({"answers"}),
        "DistilBertForMultipleChoice": frozenset({"choice"}),
    },
    base="DistilBertModel",
    prefix="distilbert.",
    tied={"vocab_projector.weight": f"{_EMBED}.word_embeddings.weight"},
    ignorable=(f"{_EMBED}.position_ids",),
    known=frozenset({"sinusoidal_pos_embds", *_FIELDS.fixed}),
)
