"""ELMo's original files: options.json beside weights in HDF5, as bilm-tf writes them and as they were published.

HDF5 can point into other files and name filters of its own; both are refused, and nothing is read before every name and
shape is known to be what the options promise.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from maskwright.checkpoint.keys import fill, match
from maskwright.checkpoint.seal import read_json
from maskwright.errors import CheckpointError, MissingExtra
from maskwright.families import Family, Net, family_of
from maskwright.nn.hollow import hollow

__all__ = ["OriginalElmo", "find_original", "read_original"]

_DEEPEST, _MOST = 8, 10_000
_FILTERS = {1: "deflate", 2: "shuffle", 3: "fletcher32", 32000: "lzf"}
"""Filters of HDF5 that it brings along, or h5py does."""

_LSTM = {
    "dim": "cell_size",
    "n_layers": "num_hidden_layers",
    "cell_clip": "cell_clip",
    "proj_clip": "proj_clip",
    "use_skip_connections": "use_skip_connections",
}
_CNN = {
    "filters": "filters",
    "n_highway": "n_highway",
    "activation": "activation",
    "max_characters_per_token": "max_characters_per_token",
}
_DEFAULTS = {"n_layers": 1, "cell_clip": None, "proj_clip": None, "use_skip_connections": False, "n_highway": 0}
"""What bilm-tf takes an absent option for."""
_OF_TRAINING = frozenset(
    {"all_clip_norm_val", "batch_size", "bidirectional", "dropout", "learning_rate", "n_epochs", "n_negative_samples_batch",
     "n_tokens_vocab", "n_train_tokens", "sample_softmax", "share_embedding_softmax", "unroll_steps"}
)  # fmt: skip
"""Options that change nothing in what the network computes (``bidirectional`` and ``dropout`` are looked at)."""


@dataclass(frozen=True)
class OriginalElmo:
    """The two files of a folder."""

    options: Path
    weights: Path


def find_original(folder: Path) -> OriginalElmo | None:
    """Return ELMo's files in a folder, ``*options.json`` and ``*weights.hdf5``; None where there are none.

    CheckpointError where there are several, for which belong together is not known.
    """
    options, weights = sorted(folder.glob("*options.json")), sorted(folder.glob("*weights.hdf5"))
    if not options or not weights:
        return None
    for each in (options, weights):
        if len(each) > 1:
            raise CheckpointError(
                f"{folder}: {each[0].name} and {each[1].name} are both there; put the two files of one model into a folder"
            )
    return OriginalElmo(options[0], weights[0])


def read_original(files: OriginalElmo) -> tuple[Family, Net]:
    """Build the network that the options describe and fill it.

    CheckpointError names what is missing, left over, of another shape, or not understood; MissingExtra without h5py.
    """
    try:
        import h5py
    except ImportError as error:
        raise MissingExtra("h5py", "elmo", "reading weights.hdf5") from error
    family = family_of("elmo")
    try:
        spec = family.read_config(_as_config(read_json(files.options)))
    except CheckpointError as error:
        raise CheckpointError(str(error).replace("config.json", str(files.options))) from None
    try:
        with h5py.File(files.weights, "r") as file:
            found = dict(_datasets(file, files.weights))
            shapes = {name: tuple(dataset.shape) for name, dataset in found.items()}
            with hollow():
                net = spec.build()
            fill(family, net, match(family, spec, shapes), _Read(found), shapes)
    except CheckpointError as error:
        text = str(error)
        where = str(files.weights)
        raise CheckpointError(text if text.startswith(where) else f"{where} (dots for slashes): {text}") from None
    except (OSError, RuntimeError, KeyError) as error:
        raise CheckpointError(f"{files.weights}: cannot be read ({error}); the file is damaged or no HDF5") from None
    return family, net.eval()


def _as_config(options: Mapping[str, Any]) -> dict[str, Any]:
    """The options as our config.json has them."""
    lstm, cnn = _part(options, "lstm"), _part(options, "char_cnn")
    known = {"lstm", "char_cnn"} | _OF_TRAINING
    unknown = sorted({*options} - known)
    unknown += [f"lstm.{name}" for name in sorted({*lstm} - {*_LSTM, "projection_dim"})]
    unknown += [f"char_cnn.{name}" for name in sorted({*cnn} - {*_CNN, "embedding", "n_characters"})]
    if unknown:
        raise CheckpointError(f"config.json: unknown options {', '.join(unknown)}: they may change what is computed")
    if not options.get("bidirectional", True):
        raise CheckpointError("config.json: bidirectional is false; Maskwright's elmo reads both ways")
    if cnn.get("n_characters") not in (261, 262):
        raise CheckpointError(
            f"config.json: char_cnn.n_characters is {cnn.get('n_characters')!r}; 261 or 262 is expected"
        )
    width = lstm.get("projection_dim")
    if type(width) is not int or width < 1:
        raise CheckpointError(f"config.json: lstm.projection_dim is {width!r}; a whole number from 1 is expected")
    read = {}
    for given, names, where in ((lstm, _LSTM, "lstm"), (cnn, _CNN, "char_cnn")):
        for name, ours in names.items():
            if name not in given and name not in _DEFAULTS:
                raise CheckpointError(f"config.json: no {where}.{name} in it")
            read[ours] = given.get(name, _DEFAULTS.get(name))
    return read | {
        "n_characters": 262,  # with the padding between sentences, which training did not need
        "hidden_size": 2 * width,
        "character_size": _part(cnn, "embedding").get("dim"),
        "dropout": options.get("dropout", 0.1),
        "head_dropout": 0.5,
        "initializer_range": 0.02,
    }


def _part(options: Mapping[str, Any], name: str) -> Mapping[str, Any]:
    found = options.get(name)
    if not isinstance(found, dict):
        raise CheckpointError(f"config.json: no object {name} in it; are these the options of an ELMo of characters?")
    return found


def _datasets(group: Any, path: Path, before: str = "", depth: int = 0) -> Iterator[tuple[str, Any]]:
    """Every dataset that lies in the file itself, with its name, dots for slashes."""
    import h5py

    if depth > _DEEPEST or len(group) > _MOST:
        raise CheckpointError(f"{path}: groups nested or filled as no ELMo's are, at {before or '/'}")
    for key in group:
        name = f"{before}{key}"
        if "." in key:
            raise CheckpointError(f"{path}: {name} has a dot in its name, as nothing of an ELMo's has")
        if not isinstance(group.get(key, getlink=True), h5py.HardLink):
            raise CheckpointError(f"{path}: {name} points elsewhere; only what lies in the file itself is read")
        item = group[key]
        if isinstance(item, h5py.Group):
            yield from _datasets(item, path, f"{name}.", depth + 1)
        elif isinstance(item, h5py.Dataset):
            _check(item, name, path)
            yield name, item


def _check(dataset: Any, name: str, path: Path) -> None:
    if dataset.is_virtual or dataset.external:
        raise CheckpointError(
            f"{path}: {name} has its values in other files; only what lies in the file itself is read"
        )
    if dataset.shape is None or dataset.dtype.kind != "f":
        raise CheckpointError(f"{path}: {name} holds {dataset.dtype}; floating-point numbers are expected")
    plan = dataset.id.get_create_plist()
    unknown = {plan.get_filter(n)[0] for n in range(plan.get_nfilters())} - _FILTERS.keys()
    if unknown:
        raise CheckpointError(
            f"{path}: {name} is packed with the filter {min(unknown)}, which HDF5 does not bring along"
        )
    if dataset.chunks and math.prod(dataset.chunks) > max(1, dataset.size):
        raise CheckpointError(f"{path}: {name} is stored in pieces larger than itself")


@dataclass(frozen=True)
class _Read:
    """Datasets as tensors."""

    found: Mapping[str, Any]

    def __getitem__(self, name: str) -> Tensor:
        return torch.from_numpy(self.found[name].astype("float32")[...])
