"""What ``maskwright.load`` opens: a model folder, or a folder of static vectors, which encodes texts in the same way."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from maskwright.model import Model
    from maskwright.static.sparse import SparseVectors
    from maskwright.static.vectors import WordVectors

__all__ = ["load"]

_STATIC = "static.json"
"""What makes a folder one of static vectors: ``static.folder.SEAL``, which is not imported for a model."""


def load(name: str | Path) -> Model | WordVectors | SparseVectors:
    """Load a folder or a hub repository ``org/name``; see ``maskwright.model.load`` and ``maskwright.static.load``.

    torch is imported only for a model, and what reads static vectors only for these.

    Raises CheckpointError for anything missing, left over, damaged or not known here.
    """
    if (Path(name) / _STATIC).is_file():
        from maskwright.static.foreign import load as load_static

        return load_static(name)
    from maskwright.model import load as load_model

    return load_model(name)
