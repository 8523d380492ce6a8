"""Finding the runs that a report is asked for, and telling them apart by name."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from maskwright.errors import InputError
from maskwright.report.history import Followed

__all__ = ["LOG", "find_logs", "open_runs"]

LOG = "log.jsonl"
_NEAR = (f"*/{LOG}", f"*/*/{LOG}")


def open_runs(paths: Sequence[Path]) -> list[Followed]:
    """Return the runs of these folders, read as far as they go; InputError and DataError where there is none to read."""
    runs = [Followed(name, log) for name, log in find_logs(paths).items()]
    for run in runs:
        run.look()
        if run.history.newest is None:
            raise InputError(f"{run.path} holds no record yet: try again when the run has taken its first step")
    return runs


def find_logs(paths: Sequence[Path]) -> dict[str, Path]:
    """Return name → log of each run, given by its folder or its log; a run that is named twice counts once.

    A name is the end of the path, as short as tells the runs apart.
    """
    logs = list(dict.fromkeys(_log_of(path) for path in paths))
    places = [(log.parent if log.name == LOG else log).resolve().parts for log in logs]
    names = []
    for own in places:
        length = next((n for n in range(1, len(own)) if sum(other[-n:] == own[-n:] for other in places) == 1), len(own))
        names.append("/".join(own[-length:]))
    return dict(zip(names, logs, strict=True))


def _log_of(path: Path) -> Path:
    if path.is_file():
        return path
    if not path.is_dir():
        raise InputError(f"{path}: there is no such folder. Give the folder that --out named when the run was started")
    if (path / LOG).is_file():
        return path / LOG
    inside = sorted({found.parent for pattern in _NEAR for found in path.glob(pattern)})
    if inside:
        more = " …" if len(inside) > 4 else ""
        raise InputError(f"{path} is no run, but there are some in it: {' '.join(map(str, inside[:4]))}{more}")
    above = path.parent / LOG
    hint = f"Did you mean {path.parent}?" if above.is_file() else "Give the folder that --out named"
    raise InputError(f"{path} holds no {LOG}, so it is no run's folder. {hint}")
