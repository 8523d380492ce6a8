"""GPT: the first causal language model of Transformer blocks that was fine-tuned.

Paper: Radford et al. 2018, https://cdn.openai.com/research-covers/language-unsupervised/language_understanding_paper.pdf
Differs from GPT-2: post-norm blocks with no norm at the end, 512 places, a smaller vocabulary.  Its config.json says "gelu" and
means the tanh approximation.  Layouts: ragged and grid.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from maskwright.errors import CheckpointError, ConfigError
from maskwright.families.base import Family, Spec
from maskwright.families.config import Fields, encoder_spec
from maskwright.families.gpt2 import CAUSAL_MASKS, SUMMARY, gpt_heads, gpt_keys

__all__ = ["GPT", "gpt_spec"]


def gpt_spec(**sizes: Any) -> Spec:
    """Return the spec of a GPT: the arguments of ``encoder_spec``; ConfigError for another feed-forward width than 4·D."""
    if sizes.get("feed_forward") not in (None, 4 * sizes["width"]):
        raise ConfigError(
            f"gpt: feed_forward {sizes['feed_forward']}; its folders can say {4 * sizes['width']} only, 4·D"
        )
    given: dict[str, Any] = {"activation": "gelu_new", "norm_eps": 1e-5} | sizes | {"segments": 0}
    return encoder_spec("gpt", causal=True, embed_norm=False, **given)


_FIELDS = Fields(
    title="GPT",
    names={
        "vocab_size": "vocabulary",
        "n_embd": "width",
        "n_layer": "layers",
        "n_head": "heads",
        "n_positions": "positions",
        "resid_pdrop": "dropout",
        "embd_pdrop": "embed_dropout",
        "attn_pdrop": "attention_dropout",
        "layer_norm_epsilon": "norm_eps",
        "initializer_range": "initializer_range",
    },
    defaults={"vocab_size": 40478, "n_embd": 768, "n_layer": 12, "n_head": 12},
)
_ACTIVATIONS = {"gelu": "gelu_new", "relu": "relu", "silu": "silu", "swish": "silu"}
"""What config.json says -> what it means."""


def _read(config: Mapping[str, Any]) -> Spec:
    name = config.get("afn", "gelu")
    if name not in _ACTIVATIONS:
        raise CheckpointError(f"config.json: afn is {name!r}; known: {', '.join(_ACTIVATIONS)}")
    return gpt_spec(activation=_ACTIVATIONS[name], **_FIELDS.read(config))


def _write(spec: Spec) -> dict[str, Any]:
    said = next(name for name, meant in _ACTIVATIONS.items() if meant == spec.stack.block.activation)
    return _FIELDS.write(spec) | {"afn": said}


GPT = Family(
    name="gpt",
    model_type="openai-gpt",
    paper="https://cdn.openai.com/research-covers/language-unsupervised/language_understanding_paper.pdf",
    read_config=_read,
    write_config=_write,
    new_spec=gpt_spec,
    presets={"openai-gpt": gpt_spec(vocabulary=40478, width=768, layers=12, heads=12)},
    published={"openai-gpt": "117M, rounded up"},
    keys=gpt_keys("tokens_embed", "positions_embed"),
    heads=gpt_heads(),
    architectures={
        "OpenAIGPTModel": frozenset(),
        "OpenAIGPTLMHeadModel": frozenset({"lm"}),
        "OpenAIGPTForSequenceClassification": frozenset({"classify"}),
    },
    base="OpenAIGPTModel",
    prefix="transformer.",
    tied={"lm_head.weight": "transformer.tokens_embed.weight"},
    ignorable=CAUSAL_MASKS,
    known=SUMMARY | {"n_ctx", "n_special", "predict_special_tokens"},
)
