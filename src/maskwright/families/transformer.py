"""The Transformer: the encoder-decoder that all the others come from.

Paper: Vaswani et al. 2017, https://arxiv.org/abs/1706.03762
Differs from BERT: two stacks over one token table whose rows are multiplied by √D, the decoder looking back only and at the
encoder's output; places as fixed waves; no norm behind the embeddings; ReLU.  The folder is that of Marian, which computes the
same, so that published translation models can be read.  Layouts: ragged and grid.
Deliberate difference: as in the paper's code the waves' sines come before their cosines; its formula lets them take turns.
"""

from __future__ import annotations

from dataclasses import replace
from functools import partial
from typing import Any

from maskwright.families.bart import GENERATION, SEQ2SEQ_DEFAULTS, SEQ2SEQ_FIELDS, SEQ2SEQ_TIED
from maskwright.families.base import Family
from maskwright.families.config import Fields
from maskwright.families.heads import next_token
from maskwright.families.seq2seq import Seq2SeqSpec, projection_keys, seq2seq_spec, starting_with

__all__ = ["TRANSFORMER", "transformer_spec"]


def transformer_spec(**sizes: Any) -> Seq2SeqSpec:
    """Return the spec of a Transformer: the arguments of ``seq2seq_spec``."""
    given: dict[str, Any] = {"activation": "relu", "norm_eps": 1e-5, "scaled": True} | sizes
    spec = seq2seq_spec("transformer", embed_norm=False, **given)
    return replace(spec, embed=replace(spec.embed, position="sinusoid"))


_FIELDS = Fields(
    title="Transformer",
    names=SEQ2SEQ_FIELDS,
    defaults=SEQ2SEQ_DEFAULTS
    | {
        "vocab_size": 58101,
        "activation_function": "gelu",
        "decoder_start_token_id": 58100,
        "scale_embedding": False,
    },
    fixed={
        "share_encoder_decoder_embeddings": True,
        "normalize_before": False,
        "normalize_embedding": False,
        "add_final_layer_norm": False,
        "add_bias_logits": False,
        "static_position_embeddings": True,
        "extra_pos_embeddings": 0,
        "encoder_layerdrop": 0.0,
        "decoder_layerdrop": 0.0,
    },
)
_base = partial(transformer_spec, vocabulary=37000, positions=1024, layers=6, attention_dropout=0.0, start_id=0)

TRANSFORMER = Family(
    name="transformer",
    model_type="marian",
    paper="https://arxiv.org/abs/1706.03762",
    read_config=_FIELDS.reader(transformer_spec),
    write_config=_FIELDS.write,
    new_spec=partial(transformer_spec, start_id=0),
    fit_roles=lambda spec, roles: starting_with(spec, roles, "pad"),
    presets={
        "transformer-base": _base(width=512, heads=8),
        "transformer-big": _base(width=1024, heads=16, dropout=0.3),
    },
    published={
        "transformer-base": "65M in the paper's table 3, for a vocabulary of about 37,000",
        "transformer-big": "213M in the paper's table 3, for a vocabulary of about 37,000",
    },
    keys=projection_keys("model", embed_norm=False),
    heads={"lm": next_token("final_logits_bias")},
    architectures={"MarianModel": frozenset(), "MarianMTModel": frozenset({"lm"})},
    base="MarianModel",
    prefix="model.",
    tied=SEQ2SEQ_TIED,
    ignorable=("model.encoder.embed_positions.weight", "model.decoder.embed_positions.weight"),
    known=frozenset(_FIELDS.fixed) | GENERATION | {"decoder_vocab_size"},
)
