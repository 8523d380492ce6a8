"""Model folders: ``config.json``, ``model.safetensors`` and the tokenizer as Hugging Face has them, plus ``maskwright.json``.

Everything of ours (task, label names, provenance, SHA-256 of each file) is in ``maskwright.json``; the rest is pure.
``architectures`` names a Hugging Face class only where that class computes the same.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from maskwright.checkpoint.keys import export, fill, heads_in, match
from maskwright.checkpoint.seal import read_json, sealed_folder, verify, write_json
from maskwright.checkpoint.tensors import TensorFiles, write_tensors
from maskwright.errors import CheckpointError
from maskwright.families import FAMILIES, Family, Net, Spec, family_of
from maskwright.families.base import written_out
from maskwright.nn.hollow import hollow

__all__ = ["CARD", "Card", "read_folder", "read_spec", "write_folder"]

CARD = "maskwright.json"
_SCHEMA = 1
_SHARD_BYTES = 5_000_000_000

_GENERIC = frozenset(
    [
        "_name_or_path",
        "_num_labels",
        "architectures",
        "bos_token_id",
        "classifier_dropout",
        "chunk_size_feed_forward",
        "directionality",
        "dtype",
        "eos_token_id",
        "finetuning_task",
        "gradient_checkpointing",
        "id2label",
        "label2id",
        "model_type",
        "name_or_path",
        "num_labels",
        "output_attentions",
        "output_hidden_states",
        "output_past",
        "pad_token_id",
        "pooler_fc_size",
        "pooler_num_attention_heads",
        "pooler_num_fc_layers",
        "pooler_size_per_head",
        "pooler_type",
        "problem_type",
        "return_dict",
        "sbert_ce_default_activation_function",
        "sentence_transformers",
        "sep_token_id",
        "task_specific_params",
        "tie_word_embeddings",
        "tokenizer_class",
        "torch_dtype",
        "torchscript",
        "transformers_version",
        "use_cache",
        "add_cross_attention",
        "is_decoder",
        "is_encoder_decoder",
        "cross_attention_hidden_size",
        "cls_token_id",
    ]
)
"""Fields of config.json that describe no tensor, or that the family checks itself."""

_AS_IT_IS = {"activation_fn": "torch.nn.modules.linear.Identity"}
"""What sentence-transformers' CrossEncoder does to the scores; a single one it would else put through a sigmoid."""

_MOST_PARAMETERS = 20_000_000_000
_MOST_LAYERS = 10_000


@dataclass(frozen=True)
class Card:
    """What is ours in a model folder."""

    task: Mapping[str, Any] = field(default_factory=dict)
    """What the classification head was trained for; empty for a pre-trained encoder."""
    labels: tuple[str, ...] = ()
    """Label names in the order of the classification head's outputs."""
    provenance: Mapping[str, Any] = field(default_factory=dict)
    """Command, data, steps, versions: where the weights come from."""


def read_spec(folder: Path) -> tuple[Family, Spec, dict[str, Any]]:
    """Read config.json: the family, its spec and the raw fields.  CheckpointError for anything not understood."""
    path = folder / "config.json"
    if not path.exists() and (folder / "model" / "config.json").exists():
        raise CheckpointError(f"{folder}: the folder of a run, and no model; give the model in it, {folder / 'model'}")
    config = read_json(path)
    if "auto_map" in config:
        raise CheckpointError(f"{path}: auto_map asks for code from the folder to be run; Maskwright never does that")
    kind = config.get("model_type")
    names = {entry.load().model_type: entry.name for entry in FAMILIES}
    if not isinstance(kind, str) or kind not in names:
        raise CheckpointError(f"{path}: model_type is {kind!r}; this version reads {', '.join(map(repr, names))}")
    family = family_of(names[kind])
    try:
        spec = family.read_config(config)
        known = _GENERIC | family.known | set(family.write_config(spec))
        if unknown := sorted(set(config) - known):
            raise CheckpointError(
                f"{path}: unknown fields {', '.join(map(repr, unknown))}: they may change what is computed"
            )
        count = sum(number for _, number in spec.parameters().values())
    except (TypeError, ValueError, ArithmeticError) as error:
        raise CheckpointError(f"{path}: a field has an impossible value ({error})") from None
    if not 0 < count <= _MOST_PARAMETERS:
        raise CheckpointError(f"{path}: these sizes make {count:,} parameters; the limit is {_MOST_PARAMETERS:,}")
    if spec.stack.layers > _MOST_LAYERS:
        raise CheckpointError(f"{path}: {spec.stack.layers:,} layers; the limit is {_MOST_LAYERS:,}")
    return family, spec, config


def read_folder(folder: Path) -> tuple[Family, Net, Card]:
    """Build the network that a folder holds, with the heads whose weights are in it.

    Hashes are checked where ``maskwright.json`` has them.  CheckpointError says what is missing, left over or damaged.
    """
    content = verify(folder, CARD) if (folder / CARD).exists() else {}
    if content.get("schema", _SCHEMA) != _SCHEMA:
        raise CheckpointError(f"{folder / CARD}: schema {content['schema']!r}; this version reads {_SCHEMA}")
    family, spec, config = read_spec(folder)
    try:
        with TensorFiles(folder) as files:
            found = match(family, spec, files.shapes)
            with hollow():
                net = spec.build()
                for name in heads_in(family, spec, found, config.get("architectures") or ()):
                    net.heads[name] = family.kinds[name].build(net, _outputs(family, spec, name, found, files.shapes))
            fill(family, net, found, files, files.shapes)
    except CheckpointError as error:
        text = str(error)
        raise CheckpointError(text if text.startswith(str(folder)) else f"{folder}: {text}") from None
    labels = content.get("labels") or _labels(config, net)
    return family, net.eval(), Card(content.get("task", {}), tuple(labels), content.get("provenance", {}))


def _outputs(
    family: Family, spec: Spec, head: str, found: Mapping[str, str], shapes: Mapping[str, tuple[int, ...]]
) -> int:
    """How wide a head's output is by the shape of its last tensor."""
    names = [key for theirs in written_out(family.kinds[head].keys, spec).values() for key in theirs.names]
    return (shapes[found[names[-1]]] or (1,))[0] if names else 1


_LABELLED = ("classify", "tokens")
"""Heads whose scores have label names."""


def _labels(config: Mapping[str, Any], net: Net) -> list[str]:
    """Label names of a classification head to which we gave none."""
    head = next((name for name in _LABELLED if name in net.heads), None)
    if head is None:
        return []
    named = {int(k): str(v) for k, v in (config.get("id2label") or {}).items()}
    outputs = net.head_outputs()[head]
    return [named.get(i, f"LABEL_{i}") for i in range(outputs)]


def write_folder(
    folder: Path,
    family: Family,
    net: Net,
    card: Card,
    add_files: Callable[[Path], None],
    *,
    pad_id: int | None,
    shard_bytes: int = _SHARD_BYTES,
) -> None:
    """Write a model folder, whole or not at all.  add_files: puts the tokenizer's files beside the weights."""
    heads = frozenset(net.heads)
    classes = [name for name, carried in family.architectures.items() if carried == heads]
    written = family.write_config(net.spec)
    config: dict[str, Any] = {
        "architectures": classes or [f"Maskwright{family.name.title()}"],
        "model_type": family.model_type,
        **written,
        "pad_token_id": written.get("pad_token_id", pad_id),
        "dtype": "float32",
    }
    labels = card.labels or tuple(_labels({}, net))
    if heads.intersection(_LABELLED):
        config["id2label"] = {str(i): name for i, name in enumerate(labels)}
        config["label2id"] = {name: i for i, name in enumerate(labels)}
    if "classify" in heads:
        # A head that no task has trained yet: transformers opens no folder with one label and classes.
        usual = "regression" if len(labels) == 1 else "single_label_classification"
        config["problem_type"] = card.task.get("problem_type", usual)
        if config["problem_type"] == "regression":
            config["sentence_transformers"] = _AS_IT_IS
    content = {
        "schema": _SCHEMA,
        "family": family.name,
        "task": dict(card.task),
        "labels": list(labels),
        "provenance": dict(card.provenance),
    }
    with sealed_folder(folder, CARD, content) as staging:
        write_json(staging / "config.json", config)
        write_tensors(
            staging, export(family, net, bare=bool(classes) and classes[0] in {family.base, *family.bare}), shard_bytes
        )
        add_files(staging)
