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
