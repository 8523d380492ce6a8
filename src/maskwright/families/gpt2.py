"""GPT-2: a causal language model of pre-norm blocks.

Paper: Radford et al. 2019, https://cdn.openai.com/better-language-models/language_models_are_unsupervised_multitask_learners.pdf
Differs from BERT: tokens look back only; LayerNorms before attention and feed-forward network and one at the end, none behind
the embeddings; no segments, no pooler; GELU in its tanh approximation; matrices stored turned.  Classes are read from the last
token.  Layouts: ragged and grid.
"""

from __future__ import annotations

from functools import partial
from typing import Any

from torch import Tensor

from maskwright.families.base import Family, HeadKind, KeyRow, Spec
from maskwright.families.config import Fields, encoder_spec
from maskwright.families.heads import both, head_rate, next_token, scores

__all__ = ["GPT2", "gpt2_spec", "gpt_heads", "gpt_keys"]


def gpt2_spec(**sizes: Any) -> Spec:
    """Return the spec of a GPT-2: the arguments of ``encoder_spec``."""
    given: dict[str, Any] = {"activation": "gelu_new", "norm_eps": 1e-5, "positions": 1024} | sizes | {"segments": 0}
    return encoder_spec("gpt2", norm="pre", causal=True, embed_norm=False, **given)


def _turned(spec: Spec, part: Tensor) -> Tensor:
    """(out, in) as it is stored: (in, out)."""
    return part.T


def gpt_keys(token: str, position: str) -> tuple[KeyRow, ...]:
    """Return the key table that GPT and GPT-2 share; the arguments are what the two tables are called."""

    def turned(ours: str, theirs: str) -> tuple[KeyRow, KeyRow]:
        weight, bias = both(f"stack.blocks.{{layer}}.{ours}", f"transformer.h.{{layer}}.{theirs}")
        return KeyRow(weight.ours, weight.theirs, view=_turned), bias

    return (
        KeyRow("embed.token.weight", (f"transformer.{token}.weight",)),
        KeyRow("embed.position.weight", (f"transformer.{position}.weight",)),
        *turned("qkv", "attn.c_attn"),
        *turned("out", "attn.c_proj"),
        *both("stack.blocks.{layer}.attend_norm", "transformer.h.{layer}.ln_1"),
        *turned("up", "mlp.c_fc"),
        *turned("down", "mlp.c_proj"),
        *both("stack.blocks.{layer}.feed_norm", "transformer.h.{layer}.ln_2"),
    )


def gpt_heads() -> dict[str, HeadKind]:
    """Return the heads of GPT and GPT-2."""
    return {
        "lm": next_token(),
        "classify": scores("classify", "score", what="classification head", reads="last", bias=False),
    }


_FIELDS = Fields(
    title="GPT-2",
    names={
        "vocab_size": "vocabulary",
        "n_embd": "width",
        "n_layer": "layers",
        "n_head": "heads",
        "n_inner": "feed_forward",
        "n_positions": "positions",
        "activation_function": "activation",
        "resid_pdrop": "dropout",
        "embd_pdrop": "embed_dropout",
        "attn_pdrop": "attention_dropout",
        "layer_norm_epsilon": "norm_eps",
        "initializer_range": "initializer_range",
        "classifier_dropout": "head_dropout",
    },
    defaults={"vocab_size": 50257, "n_embd": 768, "n_layer": 12, "n_head": 12},
    fixed={"scale_attn_weights": True, "scale_attn_by_inverse_layer_idx": False, "add_cross_attention": False},
)
CAUSAL_MASKS = ("transformer.h.{layer}.attn.bias", "transformer.h.{layer}.attn.masked_bias")
"""Who may look at whom, which older files hold for each layer."""
SUMMARY = frozenset(
    f"summary_{name}" for name in ("type", "use_proj", "activation", "proj_to_labels", "first_dropout", "hidden_size")
)
"""Fields of a head for multiple choice that is not read."""
_SIZES = {"gpt2": (768, 12, 12), "gpt2-medium": (1024, 24, 16), "gpt2-large": (1280, 36, 20), "gpt2-xl": (1600, 48, 25)}
_tokens = partial(scores, reads="tokens")

GPT2 = Family(
    name="gpt2",
    model_type="gpt2",
    paper="https://cdn.openai.com/better-language-models/language_models_are_unsupervised_multitask_learners.pdf",
    read_config=_FIELDS.reader(gpt2_spec),
    write_config=_FIELDS.write,
    new_spec=gpt2_spec,
    presets={
        name: gpt2_spec(vocabulary=50257, width=width, layers=layers, heads=heads)
        for name, (width, layers, heads) in _SIZES.items()
    },
    published={
        "gpt2": "117M in the paper's table; its published weights hold 124M",
        "gpt2-medium": "345M in the paper's table; its published weights hold 355M",
        "gpt2-large": "762M in the paper's table; its published weights hold 774M",
        "gpt2-xl": "1542M in the paper's table; its published weights hold 1558M",
    },
    keys=(*gpt_keys("wte", "wpe"), *both("stack.norm", "transformer.ln_f")),
    heads=gpt_heads()
    | {
        "tokens": _tokens("tokens", "classifier", what="token classification head", rate=head_rate),
        "answers": _tokens("answers", "qa_outputs", what="question answering head", fixed=2),
    },
    architectures={
        "GPT2Model": frozenset(),
        "GPT2LMHeadModel": frozenset({"lm"}),
        "GPT2ForSequenceClassification": frozenset({"classify"}),
        "GPT2ForTokenClassification": frozenset({"tokens"}),
        "GPT2ForQuestionAnswering": frozenset({"answers"}),
    },
    base="GPT2Model",
    prefix="transformer.",
    tied={"lm_head.weight": "transformer.wte.weight"},
    ignorable=CAUSAL_MASKS,
    known=frozenset(_FIELDS.fixed) | SUMMARY | {"n_ctx", "reorder_and_upcast_attn"},
)
