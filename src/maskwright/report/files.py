"""Writing a file so that it is either the old one or the new one, whatever happens in between."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from maskwright.errors import explain_os_error

__all__ = ["drafted", "write_atomic"]


def write_atomic(path: str | Path, content: bytes) -> Path:
    """Write ``content`` beside ``path``, then rename it into place; missing folders are made.

    Raises InputError, naming the file, where the system refuses; the file that was there before is then untouched.
    """
    path = Path(path)
    with drafted(path) as draft:
        draft.write_bytes(content)
    return path


@contextmanager
def drafted(path: Path) -> Iterator[Path]:
    """Lend the path of a draft beside ``path``; what has been written there is renamed into place at the end.

    Nothing is left, and what was there before is untouched, where the writing fails.  Errors as ``write_atomic``.
    """
    # The process number keeps two writers of one file from filling the same draft.
    draft = path.with_name(f".{path.name}.{os.getpid()}.draft")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        yield draft
        with draft.open("rb") as file:
            os.fsync(file.fileno())
        draft.replace(path)
    except OSError as error:
        error.filename = str(path)
        raise explain_os_error(error, "writing") from error
    finally:
        draft.unlink(missing_ok=True)
