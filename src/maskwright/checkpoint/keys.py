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
from maskwright.families.base import Family, Net, Spec, Theirs, written_out
from maskwright.nn.hollow import filled

__all__ = ["Tensors", "export", "fill", "heads_in", "match"]


class Tensors(Protocol):
    """Tensors by name, as a folder's files give them."""

    def __getitem__(self, name: str, /) -> Tensor: ...


def match(family: Family, spec: Spec, names: Iterable[str]) -> dict[str, str]:
    """Return their canonical name -> the name in the file; CheckpointError lists names that mean nothing here."""
    rows = chain(family.keys, *(head.keys for head in family.kinds.values()))
    # Row by row: heads of which a network carries one only may share names.
    known = {key for row in rows for theirs in row.written_out(spec).values() for key in theirs.names}
    ignorable = {
        name.format(**at) for name in family.ignorable for at in (spec.stack.places if "{layer}" in name else [{}])
    }
    allowed = known | set(family.tied) | ignorable
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


def heads_in(family: Family, spec: Spec, found: Mapping[str, str], claimed: Iterable[str] = ()) -> list[str]:
    """Return the heads whose tensors are there; CheckpointError for one that is there in part.

    claimed: Hugging Face's classes that the folder names; they decide between heads whose tensors have the same names.
    """
    keys = {
        name: [key for theirs in written_out(head.keys, spec).values() for key in theirs.names]
        for name, head in family.kinds.items()
    }
    known = [family.architectures[each] for each in claimed if each in family.architectures]
    named = known[0] if known else frozenset()
    present: list[str] = []
    for name in sorted(keys, key=lambda name: name not in named):
        if not keys[name]:  # a head that only reads what is shared: nothing in the files says whether it is there
            if name in named or not known:
                present.append(name)
            continue
        taken = {key for other in present for key in keys[other]}
        if all(key in found for key in keys[name]) and not taken.intersection(keys[name]):
            present.append(name)
    taken = {key for name in present for key in keys[name]}
    for name, wanted in keys.items():
        missing = [key for key in wanted if key not in found]
        if name not in present and missing and any(key in found and key not in taken for key in wanted):
            raise CheckpointError(f"the {name} head is there in part only; missing: {_some(missing)}")
    return [name for name in keys if name in present]


def _table(family: Family, net: Net) -> dict[str, Theirs]:
    return written_out(chain(family.keys, *(family.kinds[name].keys for name in net.heads)), net.spec)


def _parts(theirs: Theirs, ours: Tensor) -> list[tuple[str, Tensor]]:
    """Their names, each with the part of our tensor that it stands for, in their shape; the same memory."""
    parts = ours.chunk(len(theirs.names))
    return [(name, theirs.view(part)) for name, part in zip(theirs.names, parts, strict=True)]


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
    missing = [key for theirs in table.values() for key in theirs.names if key not in found]
    if missing:
        raise CheckpointError(f"{len(missing)} tensors are missing: {_some(missing)}")
    wrong = []
    for ours, theirs in table.items():
        wrong += [
            f"{found[key]} is {list(shapes[found[key]])}, the configuration says {list(part.shape)}"
            for key, part in _parts(theirs, parameters[ours])
            if tuple(shapes[found[key]]) != tuple(part.shape)
        ]
    if wrong:
        raise CheckpointError(f"{len(wrong)} tensors of another shape: {_some(wrong, '; ')}")
    filled(net)
    with torch.no_grad():
        for ours, theirs in table.items():
            for key, part in _parts(theirs, net.get_parameter(ours)):
                part.copy_(files[found[key]])
        named = {key for theirs in table.values() for key in theirs.names}
        for second, first in family.tied.items():
            if second in found and second not in named and first in found:
                _check_tied(files, found[second], found[first])


def _check_tied(files: Tensors, second: str, first: str) -> None:
    if not torch.equal(files[second], files[first]):
        raise CheckpointError(f"{second} differs from {first}; this architecture ties them, so one would be lost")


def export(family: Family, net: Net, bare: bool) -> dict[str, Tensor]:
    """Return their names -> tensors.  bare: names as the class without heads has them, with no prefix.

    CheckpointError where two heads have tensors of the same name.
    """
    tensors: dict[str, Tensor] = {}
    parameters = dict(net.named_parameters())
    for ours, theirs in _table(family, net).items():
        for key, part in _parts(theirs, parameters.pop(ours).detach()):
            name = key.removeprefix(family.prefix) if bare else key
            if name in tensors:
                raise CheckpointError(
                    f"the heads {', '.join(net.heads)} cannot be in one {family.name} folder: two of them call a tensor "
                    f"{name}; keep one of the two (Model.keep_heads)"
                )
            tensors[name] = part
    if parameters:
        raise AssertionError(f"key table of {family.name} lacks {sorted(parameters)}")
    return tensors


def _some(names: list[str], between: str = ", ") -> str:
    """The first few of a list, and how many more there are."""
    more = f" and {len(names) - 4} more" if len(names) > 4 else ""
    return between.join(names[:4]) + more
