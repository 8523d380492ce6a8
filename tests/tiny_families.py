"""Every family at a size for tests: config.json values, several configurations each."""

from typing import Any

from maskwright.families import Spec, family_of
from maskwright.text.characters import CharacterTokenizer
from maskwright.text.tokenizer import Tokenizer

_BERT: dict[str, Any] = {
    "vocab_size": 801, "hidden_size": 24, "num_hidden_layers": 2, "num_attention_heads": 3, "intermediate_size": 40,
    "max_position_embeddings": 40, "initializer_range": 0.3, "hidden_dropout_prob": 0.0, "attention_probs_dropout_prob": 0.0,
}  # fmt: skip
_ODD: dict[str, Any] = {"hidden_size": 21, "intermediate_size": 37, "hidden_act": "gelu_new", "layer_norm_eps": 1e-5}
_ROBERTA: dict[str, Any] = _BERT | {"type_vocab_size": 1, "layer_norm_eps": 1e-5}
_ALBERT: dict[str, Any] = _BERT | {"embedding_size": 10, "classifier_dropout_prob": 0.0, "initializer_range": 0.2}
_DISTILBERT: dict[str, Any] = {
    "vocab_size": 801, "dim": 24, "n_layers": 2, "n_heads": 3, "hidden_dim": 40, "max_position_embeddings": 40,
    "initializer_range": 0.3, "dropout": 0.0, "attention_dropout": 0.0, "seq_classif_dropout": 0.0,
}  # fmt: skip
_MODERNBERT: dict[str, Any] = {
    "vocab_size": 801, "hidden_size": 24, "num_hidden_layers": 3, "num_attention_heads": 3, "intermediate_size": 40,
    "max_position_embeddings": 40, "initializer_range": 0.3, "local_attention": 6, "pad_token_id": 0, "bos_token_id": 2,
    "eos_token_id": 3, "cls_token_id": 2, "sep_token_id": 3,
}  # fmt: skip
_XLNET: dict[str, Any] = {
    "vocab_size": 801, "d_model": 24, "n_layer": 2, "n_head": 3, "d_inner": 40, "initializer_range": 0.3, "dropout": 0.0,
    "summary_last_dropout": 0.0,
}  # fmt: skip
_GPT2: dict[str, Any] = {
    "vocab_size": 801, "n_embd": 24, "n_layer": 2, "n_head": 3, "n_inner": 40, "n_positions": 40, "initializer_range": 0.3,
    "resid_pdrop": 0.0, "embd_pdrop": 0.0, "attn_pdrop": 0.0, "pad_token_id": 0, "bos_token_id": 2, "eos_token_id": 3,
}  # fmt: skip
_GPT = {name: value for name, value in _GPT2.items() if name != "n_inner"}
_BART: dict[str, Any] = {
    "vocab_size": 801, "d_model": 24, "encoder_layers": 2, "decoder_layers": 3, "encoder_attention_heads": 3,
    "decoder_attention_heads": 2, "encoder_ffn_dim": 40, "decoder_ffn_dim": 36, "max_position_embeddings": 40,
    "init_std": 0.3, "dropout": 0.0, "attention_dropout": 0.0, "activation_dropout": 0.0, "pad_token_id": 0,
    "bos_token_id": 2, "eos_token_id": 3, "decoder_start_token_id": 3, "forced_eos_token_id": 3, "num_labels": 2,
}  # fmt: skip
_MARIAN = _BART | {
    "activation_function": "relu",
    "scale_embedding": True,
    "decoder_start_token_id": 0,
    "decoder_vocab_size": 801,
}
_T5: dict[str, Any] = {
    "vocab_size": 801, "d_model": 24, "d_kv": 6, "d_ff": 40, "num_layers": 2, "num_decoder_layers": 3, "num_heads": 3,
    "relative_attention_num_buckets": 8, "relative_attention_max_distance": 12, "dropout_rate": 0.0, "pad_token_id": 0,
    "eos_token_id": 3, "decoder_start_token_id": 0, "n_positions": 40, "num_labels": 2,
}  # fmt: skip
_ELMO: dict[str, Any] = {
    "n_characters": 262, "max_characters_per_token": 50, "hidden_size": 24, "num_hidden_layers": 2, "cell_size": 40,
    "character_size": 4, "filters": [[1, 4], [2, 6], [3, 9]], "n_highway": 2, "activation": "relu", "cell_clip": 0.5,
    "proj_clip": 0.5, "use_skip_connections": True, "dropout": 0.0, "head_dropout": 0.0, "initializer_range": 0.3,
}  # fmt: skip

CONFIGS: dict[str, dict[str, dict[str, Any]]] = {
    "bert": {
        "plain": _BERT,
        "odd sizes, tanh gelu": _BERT | _ODD,
        "one head, relu, three segments": _BERT | {"hidden_size": 16, "num_attention_heads": 1, "hidden_act": "relu", "num_hidden_layers": 3, "type_vocab_size": 3},
    },
    "ernie": {"tasks": _BERT | {"use_task_id": True}, "no tasks": _BERT | _ODD | {"use_task_id": False}},
    "roberta": {"plain": _ROBERTA, "another padding id, two segments": _BERT | _ODD | {"pad_token_id": 3}},
    "albert": {
        "two groups of two": _ALBERT | {"num_hidden_groups": 2, "inner_group_num": 2, "num_hidden_layers": 4},
        "one group": _ALBERT | {"embedding_size": 24, "hidden_act": "gelu"},
        "groups that do not divide the layers": _ALBERT | {"num_hidden_groups": 3, "num_hidden_layers": 5},
    },
    "electra": {"narrow": _BERT | {"embedding_size": 10}, "wide": _BERT | _ODD | {"embedding_size": 21}},
    "distilbert": {"plain": _DISTILBERT, "tanh gelu": _DISTILBERT | {"activation": "gelu_new", "n_layers": 3}},
    "xlnet": {
        "plain": _XLNET,
        "both ways, far ones alike, tanh gelu": _XLNET | {
            "bi_data": True, "clamp_len": 5, "ff_activation": "gelu_new", "layer_norm_eps": 1e-5, "n_layer": 3, "n_head": 4,
        },
    },
    "modernbert": {
        "plain": _MODERNBERT,
        "means, other wavelengths": _MODERNBERT | {
            "classifier_pooling": "mean", "local_attention": 10, "norm_eps": 1e-4,
            "layer_types": ["sliding_attention", "full_attention", "sliding_attention"],
            "rope_parameters": {
                "full_attention": {"rope_type": "default", "rope_theta": 700.0},
                "sliding_attention": {"rope_type": "default", "rope_theta": 50.0},
            },
        },
    },
    "gpt": {"plain": _GPT, "relu, one head": _GPT | {"afn": "relu", "n_head": 1, "n_layer": 3}},
    "gpt2": {"plain": _GPT2, "exact gelu, narrow": _GPT2 | {"activation_function": "gelu", "n_inner": 17, "n_head": 2}},
    "transformer": {"plain": _MARIAN, "silu, not scaled": _MARIAN | {"activation_function": "swish", "scale_embedding": False}},
    "bart": {"plain": _BART, "scaled, tanh gelu": _BART | {"scale_embedding": True, "activation_function": "gelu_new", "encoder_layers": 1}},
    "t5": {
        "plain": _T5,
        "gated": _T5 | {"feed_forward_proj": "gated-gelu", "relative_attention_num_buckets": 32, "relative_attention_max_distance": 20},
    },
    "elmo": {
        "plain": _ELMO,
        "tanh, no clips, no skips, one highway": _ELMO | {
            "activation": "tanh", "cell_clip": None, "proj_clip": None, "use_skip_connections": False, "n_highway": 1,
            "num_hidden_layers": 3,
        },
    },
}  # fmt: skip


def tiny_spec(name: str, **changes: Any) -> Spec:
    """The spec of a family's first configuration, with changes."""
    return family_of(name).read_config(next(iter(CONFIGS[name].values())) | changes)


def tokenizer_for(name: str, pieces: Tokenizer) -> Any:
    """A tokenizer that a family can read from: the given one, or one of characters."""
    return CharacterTokenizer() if family_of(name).tokens == "characters" else pieces
