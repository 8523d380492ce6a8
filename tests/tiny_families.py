"""Every family at a size for tests: config.json values, several configurations each."""

from typing import Any

from maskwright.families import Spec, family_of

_BERT: dict[str, Any] = {
    "vocab_size": 801, "hidden_size": 24, "num_hidden_layers": 2, "num_attention_heads": 3, "intermediate_size": 40,
    "max_position_embeddings": 40, "initializer_range": 0.3, "hidden_dropout_prob": 0.0, "attention_probs_dropout_prob": 0.0,
}  # fmt: skip
_ODD: dict[str, Any] = {"hidden_size": 21, "intermediate_size": 37, "hidden_act": "gelu_new", "layer_norm_eps": 1e-5}
_ROBERTA: dict[str, Any] = _BERT | {"type_vocab_size": 1, "layer_norm_eps": 1e-5}
_ALBERT: dict[str, Any] = _BERT | {"embedding_size": 10, "classifier_dropout_prob": 0.0}
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
}  # fmt: skip


def tiny_spec(name: str, **changes: Any) -> Spec:
    """The spec of a family's first configuration, with changes."""
    return family_of(name).read_config(next(iter(CONFIGS[name].values())) | changes)
