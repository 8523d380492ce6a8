"""Weights of a folder as names and shapes first, values later: one safetensors file, or shards and their index."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import ExitStack
from pathlib import Path
from typing import Any, NoReturn

from safetensors import SafetensorError, safe_open
from safetensors.torch import save_file
from torch import Tensor

from maskwright.checkpoint.seal import read_json, write_json
from maskwright.errors import CheckpointError

__all__ = ["TensorFiles", "write_tensors"]

_FILE, _INDEX = "model.safetensors", "model.safetensors.index.json"


class TensorFiles:
    """The tensors of a folder.  A context manager: the files are open (memory-mapped) inside it."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        if (folder / _FILE).is_file():
            self._names = {_FILE: None}
        elif (folder / _INDEX).is_file():
            self._names = dict.fromkeys(_shards(folder))
        else:
            _refuse(folder)
        self._open: dict[str, Any] = {}
        self.shapes: dict[str, tuple[int, ...]] = {}
        """Tensor name -> shape, from the headers alone."""

    def __enter__(self) -> TensorFiles:
        self._stack = ExitStack()
        for name in self._names:
            try:
                file = self._stack.enter_context(safe_open(self.folder / name, framework="pt"))
            except (SafetensorError, OSError) as error:
                self._stack.close()
                raise CheckpointError(f"{self.folder / name}: cannot be read ({error}); the file is damaged") from None
            for key in file.keys():  # noqa: SIM118  (not a mapping)
                if key in self._open:
                    raise CheckpointError(f"{self.folder / name}: tensor {key!r} stands in two shards")
                self._open[key] = file
                self.shapes[key] = tuple(file.get_slice(key).get_shape())
        return self

    def __exit__(self, *error: object) -> None:
        self._open.clear()
        self._stack.close()

    def __getitem__(self, name: str) -> Tensor:
        tensor: Tensor = self._open[name].get_tensor(name)
        return tensor


def _shards(folder: Path) -> Iterator[str]:
    places = read_json(folder / _INDEX).get("weight_map")
    if not isinstance(places, dict) or not all(isinstance(name, str) for name in places.values()):
        raise CheckpointError(f"{folder / _INDEX}: no weight_map of tensor -> file in it")
    for name in sorted(set(places.values())):
        if Path(name).name != name or not (folder / name).is_file():
            raise CheckpointError(f"{folder / _INDEX}: shard {name!r} is not in the folder")
        yield name


def _refuse(folder: Path) -> NoReturn:
    pickles = sorted(f.name for f in folder.iterdir() if f.suffix in (".bin", ".pt", ".pth", ".ckpt"))
    if pickles:
        raise CheckpointError(
            f"{folder}: only {pickles[0]}, a pickle, which can run code and is never opened here. "
            f"Convert it once: maskwright convert {folder} --out NEWDIR"
        )
    raise CheckpointError(f"{folder}: no model.safetensors in it; is this a model folder?")


def write_tensors(folder: Path, tensors: Mapping[str, Tensor], shard_bytes: int) -> None:
    """Write tensors into ``model.safetensors``, or into shards of at most ``shard_bytes`` with their index."""
    shards: list[dict[str, Tensor]] = [{}]
    filled = 0
    for name, tensor in tensors.items():
        size = tensor.numel() * tensor.element_size()
        if shards[-1] and filled + size > shard_bytes:
            shards.append({})
            filled = 0
        shards[-1][name] = tensor.detach().to("cpu").contiguous()
        filled += size
    if len(shards) == 1:
        save_file(shards[0], folder / _FILE, metadata={"format": "pt"})
        return
    places: dict[str, str] = {}
    for number, shard in enumerate(shards, 1):
        name = f"model-{number:05}-of-{len(shards):05}.safetensors"
        save_file(shard, folder / name, metadata={"format": "pt"})
        places |= dict.fromkeys(shard, name)
    total = sum(t.numel() * t.element_size() for shard in shards for t in shard.values())
    write_json(folder / _INDEX, {"metadata": {"total_size": total}, "weight_map": dict(sorted(places.items()))})
