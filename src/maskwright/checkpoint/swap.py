"""Put a finished folder at its place, so that a kill at any moment leaves the old one or the new one there.

Where nothing is to be replaced that is one rename.  Over a folder that is there, Linux exchanges the two in one step
(``renameat2`` with ``RENAME_EXCHANGE``, man 2 rename: ext4, XFS, Btrfs, tmpfs).  Other systems, and network file systems, need
two renames, between which nothing is at the place: a kill just then leaves the old folder whole under a hidden name, and the
next writer puts it back.

    .model.4711.part    what process 4711 is writing; after an exchange, what was there before
    .model.4711.old     what was there before, while two renames are under way
"""

from __future__ import annotations

import ctypes
import os
import re
import shutil
from collections.abc import Callable
from pathlib import Path

import psutil

__all__ = ["aside", "clear", "put", "recover", "staging_of"]

_HERE, _EXCHANGE = -100, 2
"""AT_FDCWD and RENAME_EXCHANGE of Linux."""


def staging_of(path: Path) -> Path:
    """Return the hidden place beside ``path`` where this process prepares it."""
    return path.parent / f".{path.name}.{os.getpid()}.part"


def put(staging: Path, path: Path) -> None:
    """Move a folder to ``path``; one that is there, and not empty, is at ``staging`` afterwards.  Raises OSError."""
    if not path.exists() or not any(path.iterdir()):
        staging.rename(path)
    elif not _exchange(staging, path):
        old = staging.with_suffix(".old")
        path.rename(old)
        staging.rename(path)
        old.rename(staging)


def _exchange(one: Path, two: Path) -> bool:
    """Swap two folders in one step.  False where the system or the file system cannot; nothing has happened then."""
    try:
        renameat2 = ctypes.CDLL(None).renameat2
    except (AttributeError, OSError, TypeError):
        return False
    done: int = renameat2(_HERE, os.fsencode(one), _HERE, os.fsencode(two), _EXCHANGE)
    return done == 0


def _left(path: Path) -> list[Path]:
    """What processes that are no more have left beside ``path``.

    One of this very number counts too: in a container every first process has the same.
    """
    name = re.compile(rf"\.{re.escape(path.name)}\.(\d+)\.(part|old)")
    if not path.parent.is_dir():
        return []
    found = ((name.fullmatch(each.name), each) for each in sorted(path.parent.iterdir()))
    return [
        each
        for match, each in found
        if match and (int(match[1]) == os.getpid() or not psutil.pid_exists(int(match[1])))
    ]


def aside(path: Path, whole: Callable[[Path], bool]) -> Path | None:
    """Return where a kill between two renames left the folder of ``path``; None when there is one, or none is whole."""
    if path.exists():
        return None
    return next((each for each in _left(path) if each.suffix == ".old" and whole(each)), None)


def recover(path: Path, whole: Callable[[Path], bool]) -> None:
    """Put back what a kill has left beside ``path`` if nothing is there, and remove what else dead writers left."""
    if kept := aside(path, whole):
        kept.rename(path)
    for each in _left(path):
        clear(each)


def clear(folder: Path) -> None:
    """Remove a folder if it is there; of a link to one, the link."""
    if folder.is_symlink():
        folder.unlink()
    else:
        shutil.rmtree(folder, ignore_errors=True)
