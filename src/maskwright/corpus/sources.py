"""Which files a corpus is made of: named ones, whole folders and patterns, always in the same order."""

from __future__ import annotations

import glob
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path

from maskwright.corpus.ledger import Ledger
from maskwright.errors import InputError, explain_os_error
from maskwright.text.sound import sound

__all__ = ["FORMATS", "Source", "find_sources"]

FORMATS = (".txt", ".jsonl")
COMPRESSIONS = (".gz", ".xz")


@dataclass(frozen=True)
class Source:
    """One file that can be read."""

    path: Path
    name: str
    """The file's name, or its path within the folder that was given: no absolute path gets into a corpus."""
    format: str
    """One of FORMATS."""
    compression: str
    """One of COMPRESSIONS, or empty."""
    bytes: int
    """Size on disk."""


def find_sources(files: str | Path | Iterable[str | Path], ledger: Ledger) -> list[Source]:
    """Return the files to read, in the order given, folders and patterns sorted.

    A file of another kind is an error where it was named, and counted in the ledger where it lay in a folder.
    """
    if isinstance(files, (str, Path)):
        files = [files]
    try:
        found = [source for given in files for source in _expand(Path(given), ledger)]
    except OSError as error:
        raise explain_os_error(error, "corpus/build: looking for files in") from error
    if not found:
        skipped = "".join(
            f" Skipped: {count:,} with {reason}." for reason, count in sorted(ledger.files_skipped.items())
        )
        raise InputError(f"corpus/build: no file to read.{skipped} Give .txt or .jsonl files, plain, .gz or .xz.")
    ledger.files = len(found)
    return found


def _expand(given: Path, ledger: Ledger) -> Iterator[Source]:
    if given.is_dir():
        for path in sorted(path for path in given.rglob("*") if path.is_file()):
            name = path.relative_to(given).as_posix()
            source = None if path.name.startswith(".") else _source(path, name)
            if source is None:
                suffix = path.suffix or "no suffix"
                ledger.files_skipped[
                    "a hidden name" if path.name.startswith(".") else f"the suffix {sound(suffix)}"
                ] += 1
            else:
                yield source
    elif given.exists():
        yield _named(given)
    else:
        # Path.glob takes no absolute pattern.
        matches = sorted(Path(match) for match in glob.glob(str(given), recursive=True))  # noqa: PTH207
        if not matches:
            raise InputError(f"corpus/build: there is no file, folder or match for {given}. Check the spelling.")
        for match in matches:
            if match.is_file():
                yield _named(match)


def _named(path: Path) -> Source:
    source = _source(path, path.name)
    if source is None:
        raise InputError(
            f"corpus/build: {path.name} has the suffix {path.suffix or '(none)'}; "
            "a corpus is read from .txt and .jsonl files, plain, .gz or .xz. Rename it if it is one of these."
        )
    return source


def _source(path: Path, name: str) -> Source | None:
    compression = path.suffix if path.suffix in COMPRESSIONS else ""
    kind = Path(path.name.removesuffix(compression)).suffix
    return Source(path, name, kind, compression, path.stat().st_size) if kind in FORMATS else None
