"""The state of a run on disk: everything a bitwise resume needs, whole or not there, newest sound one first.

    RUN/checkpoints/step-00000500/   net.safetensors  optimizer.safetensors  state.json (place, counters, hashes)
                                     average.safetensors, where an average of the weights is kept

Randomness needs no state: it is keyed by what it is for.
"""

from __future__ import annotations

import logging
import shutil
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError
from safetensors.torch import load_file, save_file
from torch import Tensor, nn

from maskwright.checkpoint.seal import sealed_folder, verify
from maskwright.errors import CheckpointError
from maskwright.train.average import Average

__all__ = ["load_state", "newest", "put_back", "retain", "save_state", "weights_of"]

SEAL = "state.json"
_log = logging.getLogger(__name__)


def save_state(
    folder: Path,
    step: int,
    module: nn.Module,
    optimizer: torch.optim.Optimizer,
    facts: Mapping[str, Any],
    average: Average | None = None,
) -> Path:
    """Write the state after ``step`` steps; returns its folder."""
    path = folder / f"step-{step:08}"
    if path.exists() and not (path / SEAL).exists():  # a damaged one, skipped when the run went on
        shutil.rmtree(path)
    with sealed_folder(path, SEAL, {**facts, "step": step}) as staging:
        save_file(weights_of(module), staging / "net.safetensors")
        moments = {
            f"{number}.{name}": value
            for number, state in optimizer.state_dict()["state"].items()
            for name, value in state.items()
            if value is not None
        }
        save_file(moments, staging / "optimizer.safetensors")
        if average is not None:
            save_file(average.state(), staging / "average.safetensors")
    return path


def weights_of(module: nn.Module) -> dict[str, Tensor]:
    """Return the tensors of a module's state; one that has several names, as a table that two networks share, by the first."""
    first: dict[int, str] = {}
    state = module.state_dict(keep_vars=True).items()
    return {name: value.detach().contiguous() for name, value in state if first.setdefault(id(value), name) == name}


def put_back(module: nn.Module, tensors: Mapping[str, Tensor]) -> None:
    """Put ``weights_of`` back; RuntimeError when they are of another module."""
    first: dict[int, str] = {}
    shared = {}
    for name, value in module.state_dict(keep_vars=True).items():
        if (owner := first.setdefault(id(value), name)) != name and owner in tensors:
            shared[name] = tensors[owner]
    module.load_state_dict({**tensors, **shared}, strict=True)


def load_state(
    path: Path, module: nn.Module, optimizer: torch.optim.Optimizer, average: Average | None = None
) -> dict[str, Any]:
    """Put a verified state back and return its facts.  CheckpointError when it is of another model."""
    facts = verify(path, SEAL)
    try:
        put_back(module, load_file(path / "net.safetensors"))
        moments: dict[int, dict[str, Tensor]] = {}
        for name, value in load_file(path / "optimizer.safetensors").items():
            number, _, field = name.partition(".")
            moments.setdefault(int(number), {})[field] = value
    except (RuntimeError, SafetensorError, ValueError) as error:
        raise CheckpointError(f"{path}: is of another model ({str(error).splitlines()[0]})") from None
    optimizer.load_state_dict({"state": moments, "param_groups": optimizer.state_dict()["param_groups"]})
    if average is not None:
        average.load(load_file(path / "average.safetensors"))
    return facts


def newest(folder: Path) -> Path | None:
    """Return the newest state that is whole, warning of each newer one that is not; None when there is none at all.

    CheckpointError when there are states and all are damaged.
    """
    found = sorted(folder.glob("step-*"), reverse=True)
    for path in found:
        try:
            verify(path, SEAL)
        except CheckpointError as error:
            _log.warning("skipped a damaged checkpoint: %s", error)
        else:
            return path
    if found:
        raise CheckpointError(
            f"{folder}: all {len(found)} checkpoints are damaged; start the run anew in another folder"
        )
    return None


def retain(folder: Path, keep: int, step: int, keep_every: int | None = None) -> None:
    """Remove all but the newest ``keep`` states up to ``step``, and what killed writers left behind.

    A state whose step is a multiple of ``keep_every`` stays for good.

    States beyond ``step`` are damaged ones that were skipped: they must not count, nor be met again.
    """
    found = sorted(folder.glob("step-*"))
    sound = [path for path in found if path.name <= f"step-{step:08}"]
    lasting = {path for path in sound if keep_every and int(path.name.removeprefix("step-")) % keep_every == 0}
    for path in folder.glob(".step-*"):
        shutil.rmtree(path, ignore_errors=True)
    for path in set(found) - set(sound[-keep:]) - lasting:
        # Out of sight first: a kill in the middle must not leave half a checkpoint where checkpoints are.
        shutil.rmtree(path.rename(path.with_name(f".{path.name}.gone")), ignore_errors=True)
