"""``maskwright convert``."""

from __future__ import annotations

from pathlib import Path

from maskwright.report.terminal import show

__all__ = ["convert"]


def convert(folder: Path, *, out: Path) -> None:
    """Turn a folder with a pickled pytorch_model.bin into one with safetensors, in a process of its own.

    Parameters
    ----------
    folder
        The model folder.
    out
        Folder for the converted model.
    """
    from maskwright.checkpoint.convert import convert_folder

    convert_folder(folder, out)
    from maskwright.model import load

    loaded = load(out)
    heads = ", ".join(loaded.net.heads) or "none"
    show(f"{out}: {loaded.family.name}, {sum(p.numel() for p in loaded.parameters()):,} parameters, heads: {heads}")
