"""Reading a run log: all at once, record by record, or what is new in a log that is being written.

The last line may be half written; any other line that is no record is an error with file and line.
"""

from __future__ import annotations

import json
import math
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from maskwright.errors import DataError, InputError, explain_os_error

__all__ = ["LogTail", "Record", "lines_of", "parse_record", "read_log"]

Record = dict[str, Any]

PARSED_BYTES = 64_000_000
"""Of a longer log only every second, third … step is parsed: what is drawn cannot show more, and a page takes seconds."""
_STEP = b'{"kind": "step", '
_NOT_FINITE = {"NaN": math.nan, "Infinity": math.inf, "-Infinity": -math.inf}
_PROSE = frozenset({"kind", "text", "reason", "command", "name"})


def _refuse(constant: str) -> float:
    raise ValueError(f"{constant} is not JSON")


_DECODER = json.JSONDecoder(parse_constant=_refuse)


def read_log(path: str | Path) -> list[Record]:
    """Read a run log, forgiving a last line that was cut off while it was written.

    Raises InputError where the file cannot be read, and DataError with file and line for any other damage.
    """
    return [record for _, record in lines_of(Path(path))]


def lines_of(path: Path) -> Iterator[tuple[bytes, Record]]:
    """Yield each line, without its end, and its record; holds one line at a time.  Errors as ``read_log``."""
    try:
        with path.open("rb") as file:
            for at, line in enumerate(file, start=1):
                record = parse_record(line)
                if record is not None:
                    yield line.removesuffix(b"\n"), record
                elif line.endswith(b"\n"):
                    raise _damaged(path, at, line)
    except OSError as error:
        raise explain_os_error(error, "reading the run log") from error


class LogTail:
    """Reads a run log that may still be written: each ``new`` yields the whole records that have come since.

    Of a log beyond 64 MB (200,000 steps or so), every n-th step is parsed (``stride``), and besides every evaluation,
    note and step with a value that is not finite, and the last step there is.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        self.stride = 1
        self._file = self._line = self._offset = 0

    def rewritten(self) -> bool:
        """Say whether the log is another file than the one read so far (a resumed run drops steps); begin anew then."""
        try:
            found = self.path.stat()
        except OSError as error:
            raise explain_os_error(error, "reading the run log") from error
        if found.st_ino == self._file and found.st_size >= self._offset:
            return False
        self.stride = 1 + found.st_size // PARSED_BYTES
        again, self._file, self._line, self._offset = self._file != 0, found.st_ino, 0, 0
        return again

    def new(self) -> Iterator[Record]:
        """Yield what has been written since the last call; a half-written last line waits for the next one.

        Raises InputError where the file cannot be read, and DataError with file and line for a damaged line.
        """
        passed = None
        try:
            with self.path.open("rb") as file:
                file.seek(self._offset)
                for line in file:
                    if not line.endswith(b"\n"):
                        break
                    self._line += 1
                    self._offset += len(line)
                    if self._line % self.stride and _plain_step(line):
                        passed = line
                        continue
                    passed = None
                    yield self._parsed(line)
        except OSError as error:
            raise explain_os_error(error, "reading the run log") from error
        if passed is not None:
            yield self._parsed(passed)

    def _parsed(self, line: bytes) -> Record:
        record = parse_record(line)
        if record is None:
            raise _damaged(self.path, self._line, line)
        return record


def parse_record(line: bytes) -> Record | None:
    """Return the record of a line, or None where the line is no record."""
    try:
        record = _DECODER.decode(line.decode("utf-8"))
    except (ValueError, RecursionError):
        return None
    if not isinstance(record, dict) or not isinstance(record.get("kind"), str):
        return None
    if not _is_number(record.get("time")) or (
        record["kind"] in ("step", "eval") and not _is_number(record.get("step"))
    ):
        return None
    if not _may_be_not_finite(line):
        return record
    return {name: value if name in _PROSE else _revived(value) for name, value in record.items()}


def _plain_step(line: bytes) -> bool:
    return line.startswith(_STEP) and line.endswith(b"}\n") and not _may_be_not_finite(line)


def _may_be_not_finite(line: bytes) -> bool:
    return b'"NaN"' in line or b'Infinity"' in line


def _damaged(path: Path, at: int, line: bytes) -> InputError:
    found = line.rstrip(b"\n")[:60].decode("utf-8", "replace")
    return DataError(
        f"not a record of a run log (found {found!r}). Each line is one JSON object with a kind and a time; "
        "restore the file from a copy or remove that line.",
        file=path,
        line=at,
    )


def _is_number(value: object) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool)


def _revived(value: Any) -> Any:
    match value:
        case dict():
            return {name: _revived(inner) for name, inner in value.items()}
        case list():
            return [_revived(inner) for inner in value]
        case str():
            return _NOT_FINITE.get(value, value)
    return value
