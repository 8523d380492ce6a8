"""Tensor names, ours and theirs: one table, read in both directions, strictly.

Reading finds which heads a folder has from the names in it, checks every shape against what the configuration promises
before any memory is taken, and refuses what is missing, left over or half there, by name.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from itertools import chain
from typing import Protocol

import torch
from torch import Tensor

from maskwright.errors import CheckpointError
from maskwright.families.base import Family, KeyRow, Net, Spec

__all__ = ["Tensors", "export", "fill", "heads_in", "match"]


class Tensors(Protocol):
    """Tensors by name, as a folder's files give them."""

    def __getitem__(self, name: str, /) -> Tensor: ...


def _expand(rows: Iterable[KeyRow], layers: int) -> dict[str, tuple[str, ...]]:
    """Our name -> their names, with ``{layer}`` written out."""
    table: dict[str, tuple[str, ...]] = {}
    for row in rows:
        for layer in range(layers) if "{layer}" in row.ours else (0,):
            table[row.ours.format(layer=layer)] = tuple(name.format(layer=layer) for name in row.theirs)
    return table


def match(family: Family, spec: Spec, names: Iterable[str]) -> dict[str, str]:
    """Return their canonical name -> the name in the file; CheckpointError lists names that mean nothing here."""
    rows = chain(family.keys, *(head.keys for head in family.heads.values()))
    known = set(chain.from_iterable(_expand(rows, spec.stack.layers).values()))
    allowed = known | set(family.tied) | set(family.ignorable)
    found: dict[str, str] = {}
    left: list[str] = []
    for name in names:
        today = name
        for old, new in family.renames.items():
            today = today.removesuffix(old) + new if today.endswith(old) else today
        canonical = today if today in allowed else family.prefix + today
        if canonical not in allowed:
            left.append(name)
        elif canonical in found:
            raise CheckpointError(f"tensors {found[canonical]!r} and {name!r} are the same weight under two names")
        else:
            found[canonical] = name
    if left:
        raise CheckpointError(
            f"{len(left)} tensors that a {family.name} of this configuration does not have: {_some(left)}"
        )
    return found


def heads_in(family: Family, spec: Spec, found: Mapping[str, str]) -> list[str]:
    """Return the heads whose tensors are there; CheckpointError for one that is there in part."""
    present = []
    for name, head in family.heads.items():
        keys = list(chain.from_iterable(_expand(head.keys, spec.stack.layers).values()))
        missing = [key for key in keys if key not in found]
        if not missing:
            present.append(name)
        elif len(missing) < len(keys):
            raise CheckpointError(f"the {name} head is there in part only; missing: {_some(missing)}")
    return present


def _table(family: Family, net: Net) -> dict[str, tuple[str, ...]]:
    rows = chain(family.keys, *(family.heads[name].keys for name in net.heads))
    return _expand(rows, net.spec.stack.layers)


def fill(
    family: Family,
    net: Net,
    found: Mapping[str, str],
    files: Tensors,
    shapes: Mapping[str, tuple[int, ...]],
) -> None:
    """Copy the tensors of a folder into a network; it may be on the meta device, it leaves it on the CPU in fp32.

    CheckpointError lists missing tensors and wrong shapes before any memory is taken, and tied tensors that differ.
    """
    table, parameters = _table(family, net), dict(net.named_parameters())
    missing = [key for keys in table.values() for key in keys if key not in found]
    if missing:
        raise CheckpointError(f"{len(missing)} tensors are missing: {_some(missing)}")
    wrong = []
    for ours, theirs in table.items():
        shape = tuple(parameters[ours].shape)
        part = (shape[0] // len(theirs), *shape[1:])
        wrong += [
            f"{found[key]} is {list(shapes[found[key]])}, the configuration says {list(part)}"
            for key in theirs
            if tuple(shapes[found[key]]) != part
        ]
    if wrong:
        raise CheckpointError(f"{len(wrong)} tensors of another shape: {_some(wrong, '; ')}")
    net.to_empty(device="cpu")
    with torch.no_grad():
        for ours, theirs in table.items():
            for target, key in zip(net.get_parameter(ours).chunk(len(theirs)), theirs, strict=True):
                target.copy_(files[found[key]])
        for second, first in family.tied.items():
            if second in found and first in found:
                _check_tied(files, found[second], found[first])


def _check_tied(files: Tensors, second: str, first: str) -> None:
    if not torch.equal(files[second], files[first]):
        raise CheckpointError(f"{second} differs from {first}; this architecture ties them, so one would be lost")


def export(family: Family, net: Net, base_only: bool) -> dict[str, Tensor]:
    """Return their names -> tensors.  base_only: names as the class without heads has them, with no prefix."""
    tensors: dict[str, Tensor] = {}
    parameters = dict(net.named_parameters())
    for ours, theirs in _table(family, net).items():
        for key, part in zip(theirs, parameters.pop(ours).detach().chunk(len(theirs)), strict=True):
            tensors[key.removeprefix(family.prefix) if base_only else key] = part
    if parameters:
        raise AssertionError(f"key table of {family.name} lacks {sorted(parameters)}")
    return tensors


def _some(names: list[str], between: str = ", ") -> str:
    """The first few of a list, and how many more there are."""
    more = f" and {len(names) - 4} more" if len(names) > 4 else ""
    return between.join(names[:4]) + more
