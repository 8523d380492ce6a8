"""Folders that are either whole or not there, and that notice one flipped byte.

A folder is written beside its place under a hidden name, flushed to disk, sealed with a JSON file that holds the SHA-256 of
every other file, and put there in one step (``checkpoint.swap``).  So a kill, a full disk or a power cut leaves the previous
folder as it was.
"""

from __future__ import annotations

import hashlib
import json
import os
import re
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from safetensors import SafetensorError

from maskwright.checkpoint.swap import aside, clear, put, recover, staging_of
from maskwright.errors import CheckpointError, InputError, explain_os_error

__all__ = ["read_json", "read_seal", "sealed_folder", "sha256", "verify", "write_json"]

_JSON_LIMIT = 64 << 20


def sha256(path: Path) -> str:
    """Return the hex digest of a file."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def read_json(path: Path) -> dict[str, Any]:
    """Read one JSON object of a bounded size; CheckpointError says what is wrong and where."""
    try:
        if path.stat().st_size > _JSON_LIMIT:
            raise CheckpointError(f"{path}: {path.stat().st_size:,} bytes is too much for a configuration file")
        found = json.loads(path.read_text("utf-8"))
    except FileNotFoundError:
        raise CheckpointError(f"{path}: no such file") from None
    except (UnicodeDecodeError, ValueError, RecursionError) as error:
        raise CheckpointError(f"{path}: not valid JSON ({error}); the file is damaged") from None
    if not isinstance(found, dict):
        raise CheckpointError(f"{path}: holds a {type(found).__name__} where an object was expected")
    return found


def write_json(path: Path, content: Mapping[str, Any]) -> None:
    """Write an object as readable JSON."""
    path.write_text(json.dumps(content, indent=2, ensure_ascii=False) + "\n", "utf-8")


def _flush(path: Path) -> None:
    handle = os.open(path, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)


def _own_hash(content: Mapping[str, Any]) -> str:
    """Of a seal's own content, however it is spaced."""
    plain = json.loads(json.dumps(content))
    return hashlib.sha256(json.dumps(plain, sort_keys=True).encode()).hexdigest()


@contextmanager
def sealed_folder(path: Path, seal: str, content: Mapping[str, Any]) -> Iterator[Path]:
    """Yield an empty folder to fill; on leaving, seal it and put it at ``path``.

    seal: name of the JSON file that receives ``content`` and the hashes, of itself too.
    A folder already at ``path`` is replaced when it is empty or bears the same seal; anything else is refused, so that
    nobody's files are lost.  InputError on a full disk and the like; the previous folder is then untouched.
    """
    path = Path(path)
    staging = staging_of(path)
    try:
        recover(path, lambda folder: _whole(folder, seal))
        if path.exists() and not (path.is_dir() and ((path / seal).exists() or not any(path.iterdir()))):
            raise InputError(f"{path} exists and was not written by Maskwright; choose another folder or remove it")
        staging.mkdir(parents=True)
        yield staging
        written = sorted(staging.rglob("*"))
        hashes = {f.relative_to(staging).as_posix(): sha256(f) for f in written if f.is_file()}
        sealed = {**content, "sha256": hashes}
        write_json(staging / seal, {**sealed, "seal": _own_hash(sealed)})
        for each in [*written, staging / seal, staging]:
            _flush(each)
        put(staging, path)
        _flush(path.parent)
    except OSError as error:
        raise explain_os_error(error, f"writing {path}:") from error
    except SafetensorError as error:  # it gives the system's errors in words
        number = re.search(r"os error (\d+)", str(error))
        if number is None:
            raise
        raise explain_os_error(OSError(int(number[1]), str(error)), f"writing {path}:") from error
    finally:
        clear(staging)


def _whole(folder: Path, seal: str) -> bool:
    try:
        verify(folder, seal)
    except CheckpointError:
        return False
    return True


def read_seal(path: Path, seal: str) -> dict[str, Any]:
    """Return what the seal of a folder says, with the hashes under "sha256"; only the seal itself is checked."""
    if kept := aside(path, lambda folder: _whole(folder, seal)):
        raise CheckpointError(f"{path}: missing, since a writer was killed; the one before is whole: mv {kept} {path}")
    content = read_json(path / seal)
    own, hashes = content.pop("seal", None), content.get("sha256")
    if not isinstance(hashes, dict) or not hashes:
        raise CheckpointError(f"{path / seal}: no file hashes in it; the folder was not finished")
    if own != _own_hash(content):
        raise CheckpointError(f"{path / seal}: damaged (its content is not what was written)")
    return content


def verify(path: Path, seal: str) -> dict[str, Any]:
    """Check every file of a sealed folder and return what the seal says; CheckpointError names the first bad file."""
    content = read_seal(path, seal)
    for name, expected in content["sha256"].items():
        if not (path / name).is_file():
            raise CheckpointError(f"{path / name}: missing; the folder is not whole")
        if sha256(path / name) != expected:
            raise CheckpointError(f"{path / name}: damaged (its bytes are not those that were written)")
    return content
