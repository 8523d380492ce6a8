"""The run log: what a training did, one JSON record a line, so that a report can be drawn again at any time.

Every record has a ``kind`` and a ``time`` (seconds since 1970, UTC).  The kinds and what they hold:

    start   config, machine, versions: dicts; command: str; parameters, steps (planned): int; reference,
            accuracy_reference: {name: value} to draw beside the curves; ledger: the corpus's accounts; name and
            whatever else tells what was run
    step    step, epoch, loss, parts {name: mean loss}, weights {name: what it counts, where there are several parts},
            accuracy {name: share}, lr, grad_norm (before clipping), tokens (seen since the run began), tokens_per_second
    eval    step, loss, parts, accuracy, metrics {name: value}; best: true where this one is the best so far
    note    text; resumed: the step that a new sitting goes on from
    end     reason, seconds
    result  title; scores: {name: score}, see maskwright.report.scores.  What was measured after the end; of a fine-tuning
            also confusion, errors, calibration and learning_curve, see maskwright.report.finetuned

A field that is not listed is kept and harms nothing.

JSON has no NaN and no infinity.  They are written as the strings ``"NaN"``, ``"Infinity"``, ``"-Infinity"`` and come
back as the floats they were: a diverged loss must never read as 0.
"""

from __future__ import annotations

import json
import math
import os
import time
from collections.abc import Mapping
from pathlib import Path
from types import TracebackType
from typing import Any, Self

from maskwright.errors import explain_os_error
from maskwright.report.files import write_atomic
from maskwright.report.records import Record, lines_of, parse_record, read_log

__all__ = ["RunLog", "read_log"]

_NEEDED = {
    "start": (),
    "step": ("step",),
    "eval": ("step",),
    "note": ("text",),
    "end": ("reason", "seconds"),
    "result": ("scores",),
}


class RunLog:
    """An append-only JSONL file of records; each is handed to the system as soon as it is written.

    Opening a log that is already there continues it.  A last line torn by a kill in mid-write is cut off first, so that
    the next record does not run into it.  A context manager; writing after ``close`` opens the file again.
    Every method raises InputError, naming the file, where the system refuses.
    """

    def __init__(self, path: str | Path) -> None:
        self.path = Path(path)
        self._descriptor: int | None = None

    def write(self, kind: str, /, **fields: Any) -> Record:
        """Append one record of a kind listed above and return it as written.

        Values are what JSON knows, paths, and scalars with ``.item()``; ValueError says which field is none of these.
        """
        if kind not in _NEEDED:
            raise ValueError(f"no record kind {kind!r}; the kinds are {', '.join(_NEEDED)}")
        missing = [name for name in _NEEDED[kind] if name not in fields]
        if missing:
            raise ValueError(f"a {kind!r} record needs {', '.join(missing)}")
        record = {"kind": kind, "time": round(time.time(), 3), **{k: _plain(v, k) for k, v in fields.items()}}
        # A lone surrogate has no UTF-8, but the escape that stands for it here is also JSON's own.
        line = json.dumps(record, ensure_ascii=False, allow_nan=False).encode("utf-8", "backslashreplace") + b"\n"
        try:
            self._append(line)
        except OSError as error:
            error.filename = str(self.path)
            raise explain_os_error(error, "writing the run log") from error
        return record

    def truncate_after(self, step: int) -> int:
        """Drop the step and eval records beyond ``step``, in one atomic rewrite, and return how many there were.

        A resumed run takes those steps again; without this its curves would have two points for each.
        Raises DataError, with file and line, where the log is damaged elsewhere than in its last line.
        """
        self.close()
        if not self.path.exists():
            return 0
        lines = list(lines_of(self.path))
        kept = [line for line, record in lines if not (record["kind"] in ("step", "eval") and record["step"] > step)]
        if len(kept) < len(lines):
            write_atomic(self.path, b"".join(line + b"\n" for line in kept))
        return len(lines) - len(kept)

    def close(self) -> None:
        """Close the file."""
        if self._descriptor is not None:
            os.close(self._descriptor)
            self._descriptor = None

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        self.close()

    def _append(self, line: bytes) -> None:
        if self._descriptor is None:
            self._descriptor = self._open()
        before = os.fstat(self._descriptor).st_size
        rest = line
        try:
            while rest:
                rest = rest[os.write(self._descriptor, rest) :]
        except OSError:
            # Half a record would spoil the next one once there is room again.
            os.ftruncate(self._descriptor, before)
            raise

    def _open(self) -> int:
        self.path.parent.mkdir(parents=True, exist_ok=True)
        if self.path.exists():
            content = self.path.read_bytes()
            whole, newline, tail = content.rpartition(b"\n")
            if tail:
                sound = parse_record(tail) is not None
                write_atomic(self.path, content + b"\n" if sound else whole + newline)
        return os.open(self.path, os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o644)


def _plain(value: Any, field: str) -> Any:
    """Return a value as JSON can hold it; ``field`` is where it stands, for the error."""
    match value:
        case None | bool() | int() | str():
            return value
        case float():
            return value if math.isfinite(value) else "NaN" if math.isnan(value) else f"{'-' * (value < 0)}Infinity"
        case Path():
            return str(value)
        case Mapping():
            return {str(name): _plain(inner, f"{field}.{name}") for name, inner in value.items()}
        case list() | tuple():
            return [_plain(inner, f"{field}[{at}]") for at, inner in enumerate(value)]
    if callable(getattr(value, "item", None)):
        return _plain(value.item(), field)
    raise ValueError(
        f"{field}: a {type(value).__name__} cannot be written to a run log; pass numbers, text, lists or dicts"
    )
