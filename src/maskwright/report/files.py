"""Writing a file so that it is either the old one or the new one, whatever happens in between."""

from __future__ import annotations

import os
from pathlib import Path

from maskwright.errors import explain_os_error

__all__ = ["write_atomic"]


def write_atomic(path: str | Path, content: bytes) -> Path:
    """Write ``content`` beside ``path``, then rename it into place; missing folders are made.

    Raises InputError, naming the file, where the system refuses; the file that was there before is then untouched.
    """
    path = Path(path)
    # The process number keeps two writers of one file from filling the same draft.
    draft = path.with_name(f".{path.name}.{os.getpid()}.draft")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        with draft.open("wb") as file:
            file.write(content)
            file.flush()
            os.fsync(file.fileno())
        draft.replace(path)
    except OSError as error:
        draft.unlink(missing_ok=True)
        error.filename = str(path)
        raise explain_os_error(error, "writing") from error
    return path
