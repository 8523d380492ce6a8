"""``maskwright convert``."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

from maskwright.report.terminal import show

if TYPE_CHECKING:
    from maskwright.checkpoint.original import OriginalElmo

__all__ = ["convert", "convert_elmo"]


def convert(folder: Path, *, out: Path) -> None:
    """Turn a pickled pytorch_model.bin (in a process of its own) or ELMo's original files into a model folder, once.

    Parameters
    ----------
    folder
        A model folder with pytorch_model.bin; or one with ELMo's ...options.json and ...weights.hdf5.
    out
        Folder for the converted model.
    """
    from maskwright.checkpoint.convert import convert_folder
    from maskwright.checkpoint.original import find_original

    if files := find_original(folder):
        convert_elmo(files, out)
    else:
        convert_folder(folder, out)
    from maskwright.model import load

    loaded = load(out)
    heads = ", ".join(loaded.net.heads) or "none"
    show(f"{out}: {loaded.family.name}, {sum(p.numel() for p in loaded.parameters()):,} parameters, heads: {heads}")


def convert_elmo(files: OriginalElmo, out: Path) -> None:
    """Write ELMo's original files as a model folder, whose tokenizer takes raw text; see ``read_original`` for the errors.

    InputError where ``out`` is not empty.
    """
    from maskwright.checkpoint.original import read_original
    from maskwright.checkpoint.seal import sha256
    from maskwright.errors import InputError
    from maskwright.model import Model
    from maskwright.text.characters import CharacterTokenizer

    if out.exists() and any(out.iterdir()):
        raise InputError(f"{out} is not empty; choose another --out")
    family, net = read_original(files)
    tokenizer: Any = CharacterTokenizer()
    origin = {"converted from": files.weights.name, "sha256 of it": sha256(files.weights)}
    Model(family, net, tokenizer).save(out, provenance=origin)
