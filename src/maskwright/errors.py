"""Every error that Maskwright raises on purpose, and the exit code that each one means.

    MaskwrightError                  something we can explain; the CLI prints it without a traceback
    ├── InputError         exit 1    what the user gave cannot be used
    │   ├── DataError                a row or a document; knows its file and line
    │   ├── ConfigError              a field of a configuration
    │   ├── CheckpointError          a model folder or a training state that is missing, damaged or of another shape
    │   └── MissingExtra             an optional library that is not installed
    ├── UsageError         exit 2    the command line itself
    ├── TrainingError      exit 1    training cannot go on: a loss or gradient that is not finite
    └── Stopped            exit 130 (Ctrl-C) or 143 (SIGTERM), after saving

A message says which field or file, the value found, why that is no good, and what to do.  Imports nothing heavy.
"""

from __future__ import annotations

import difflib
import errno
from collections.abc import Iterable
from pathlib import Path

__all__ = [
    "CheckpointError",
    "ConfigError",
    "DataError",
    "InputError",
    "MaskwrightError",
    "MissingExtra",
    "Stopped",
    "TrainingError",
    "UsageError",
    "did_you_mean",
    "explain_os_error",
]


class MaskwrightError(Exception):
    """Root of the tree above."""

    exit_code = 1


class InputError(MaskwrightError):
    """What the user gave cannot be used."""


class DataError(InputError):
    """A row or a document that cannot be used.

    ``str()`` reads ``FILE, line N: what is wrong. What to do.`` with the parts that are known.
    """

    def __init__(self, message: str, *, file: str | Path | None = None, line: int | None = None) -> None:
        self.file, self.line = file, line
        where = "" if file is None else str(file) + (f", line {line:,}" if line is not None else "") + ": "
        super().__init__(where + message)


class ConfigError(InputError):
    """A field of a configuration holds something that it cannot."""


class CheckpointError(InputError):
    """A model folder or a training state that is missing, damaged or of another shape than asked for."""


class MissingExtra(InputError):
    """An optional library is needed and not installed."""

    def __init__(self, library: str, extra: str, purpose: str) -> None:
        super().__init__(f"{purpose} needs {library}, which is not installed. Run: pip install 'maskwright[{extra}]'")


class UsageError(MaskwrightError):
    """The command line cannot be understood."""

    exit_code = 2


class TrainingError(MaskwrightError):
    """Training cannot go on; nothing was written over."""


class Stopped(MaskwrightError):
    """The run was asked to stop and has saved its state."""

    def __init__(self, message: str, *, exit_code: int) -> None:
        self.exit_code = exit_code
        super().__init__(message)


def did_you_mean(name: str, known: Iterable[str]) -> str:
    """Return ``" Did you mean X?"`` for the closest known name, or an empty string where none is close."""
    close = difflib.get_close_matches(name, list(known), n=1, cutoff=0.6)
    return f" Did you mean {close[0]!r}?" if close else ""


def explain_os_error(error: OSError, doing: str) -> InputError:
    """Turn an operating-system error into one sentence that says what was being done and what would mend it."""
    where = f" {error.filename}" if error.filename else ""
    remedy = {
        errno.ENOSPC: "The disk is full; nothing already saved was touched. Free some space or choose another folder.",
        errno.EDQUOT: "The disk quota is used up; nothing already saved was touched. Choose another folder.",
        errno.EFBIG: "The file size limit is reached; nothing already saved was touched.",
        errno.ENOENT: "There is no such file or folder; check the spelling.",
        errno.EACCES: "You may not read or write there; check the permissions.",
        errno.EROFS: "That file system is read-only; choose another folder.",
        errno.ENOTDIR: "A part of that path is a file, not a folder.",
        errno.EISDIR: "That is a folder where a file was expected.",
    }.get(error.errno or 0, error.strerror or str(error))
    return InputError(f"{doing}{where}: {remedy}")
