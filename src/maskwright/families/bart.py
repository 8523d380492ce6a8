"""BART: an encoder-decoder that was trained to mend damaged text.

Paper: Lewis et al. 2020, https://arxiv.org/abs/1910.13461
Differs from BERT: two stacks over one token table, the decoder looking back only and at the encoder's output; positions count
from 2; no segments, no pooler.  Classes are read from the decoder's last token, where it is given the text itself, one place
later.  Layouts: ragged and grid.
"""

from __future__ import annotations

from functools import partial
from typing import Any

from maskwright.families.base import Family, KeyRow
from maskwright.families.config import Fields
from maskwright.families.heads import dense_scores, head_rate, next_token, scores
from maskwright.families.seq2seq import projection_keys, seq2seq_spec, starting_with

__all__ = ["BART", "GENERATION", "SEQ2SEQ_DEFAULTS", "SEQ2SEQ_FIELDS", "SEQ2SEQ_TIED", "bart_spec"]

bart_spec = partial(seq2seq_spec, "bart", offset=2, norm_eps=1e-5, head_dropout=0.0)

SEQ2SEQ_FIELDS = {
    "vocab_size": "vocabulary",
    "d_model": "width",
    "encoder_layers": "layers",
    "decoder_layers": "decoder_layers",
    "encoder_attention_heads": "heads",
    "decoder_attention_heads": "decoder_heads",
    "encoder_ffn_dim": "feed_forward",
    "decoder_ffn_dim": "decoder_feed_forward",
    "max_position_embeddings": "positions",
    "activation_function": "activation",
    "dropout": "dropout",
    "attention_dropout": "attention_dropout",
    "activation_dropout": "inner_dropout",
    "init_std": "initializer_range",
    "scale_embedding": "scaled",
    "decoder_start_token_id": "start_id",
}
"""config.json of BART and Marian -> the arguments of ``seq2seq_spec``."""

SEQ2SEQ_DEFAULTS = {
    "d_model": 1024,
    "encoder_layers": 12,
    "decoder_layers": 12,
    "encoder_attention_heads": 16,
    "decoder_attention_heads": 16,
    "encoder_ffn_dim": 4096,
    "decoder_ffn_dim": 4096,
    "max_position_embeddings": 1024,
    "attention_dropout": 0.0,
}
"""What absent fields mean for both."""
SEQ2SEQ_TIED = {
    "lm_head.weight": "model.shared.weight",
    "model.encoder.embed_tokens.weight": "model.shared.weight",
    "model.decoder.embed_tokens.weight": "model.shared.weight",
}
"""Other names of the one token table."""

_FIELDS = Fields(
    title="BART",
    names=SEQ2SEQ_FIELDS | {"classifier_dropout": "head_dropout"},
    defaults=SEQ2SEQ_DEFAULTS | {"vocab_size": 50265, "decoder_start_token_id": 2, "classifier_dropout": 0.0},
    fixed={
        "normalize_before": False,
        "normalize_embedding": True,
        "add_final_layer_norm": False,
        "add_bias_logits": False,
        "static_position_embeddings": False,
        "extra_pos_embeddings": 2,
        "encoder_layerdrop": 0.0,
        "decoder_layerdrop": 0.0,
    },
)
GENERATION = frozenset(
    [
        "bad_words_ids", "classif_dropout", "early_stopping", "force_bos_token_to_be_generated", "forced_bos_token_id",
        "forced_eos_token_id", "length_penalty", "max_length", "min_length", "no_repeat_ngram_size", "num_beams",
        "num_hidden_layers", "output_past", "prefix",
    ]
)  # fmt: skip
"""Fields that say how an older file's model was made to write; Maskwright's own options do."""

_new: dict[str, Any] = {"vocabulary": 50265, "positions": 1024, "attention_dropout": 0.1, "start_id": 2}
_answers = partial(scores, "answers", "qa_outputs", what="question answering head", reads="tokens", fixed=2)

BART = Family(
    name="bart",
    model_type="bart",
    paper="https://arxiv.org/abs/1910.13461",
    read_config=_FIELDS.reader(bart_spec),
    write_config=_FIELDS.write,
    new_spec=partial(bart_spec, start_id=2),
    fit_roles=lambda spec, roles: starting_with(spec, roles, "eos", "sep"),
    presets={
        "bart-base": bart_spec(width=768, layers=6, heads=12, inner_dropout=0.1, **_new),
        "bart-large": bart_spec(width=1024, layers=12, heads=16, **_new),
    },
    published={"bart-base": "139M", "bart-large": "406M; 10 % more than BERT's 340M in the paper, by its count"},
    keys=(
        *projection_keys("model", embed_norm=True),
        KeyRow("embed.position.weight", ("model.encoder.embed_positions.weight",)),
        KeyRow("decoder_embed.position.weight", ("model.decoder.embed_positions.weight",)),
    ),
    heads={
        "lm": next_token("final_logits_bias"),
        "classify": dense_scores(
            "classify", "classification_head.dense", "classification_head.out_proj", what="classification head",
            reads=lambda spec: "last", activation=lambda spec: "tanh", rate=head_rate,
        ),
        "answers": _answers(),
    },
    architectures={
        "BartModel": frozenset(),
        "BartForConditionalGeneration": frozenset({"lm"}),
        "BartForSequenceClassification": frozenset({"classify"}),
        "BartForQuestionAnswering": frozenset({"answers"}),
    },
    base="BartModel",
    prefix="model.",
    tied=SEQ2SEQ_TIED,
    known=frozenset(_FIELDS.fixed) | GENERATION,
)  # fmt: skip
