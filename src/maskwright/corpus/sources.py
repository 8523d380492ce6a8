"""Which files a corpus is made of: named ones, whole folders, patterns and URLs, always in the same order.

Anything with ``://`` in it is opened by fsspec (``s3://bucket/texts``, ``memory://texts/*.txt``).  A folder written by
``datasets.Dataset.save_to_disk`` stands for the Arrow files that its ``state.json`` lists.
"""

from __future__ import annotations

import glob
import json
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import Any, NamedTuple

from maskwright.corpus.ledger import Ledger
from maskwright.corpus.streams import COMPRESSIONS, Stream, fault, is_url, of_url, open_raw
from maskwright.errors import InputError, explain_os_error
from maskwright.text.sound import sound

__all__ = ["FORMATS", "Source", "find_sources", "format_of"]

FORMATS = (".txt", ".jsonl", ".csv", ".tsv", ".parquet", ".arrow", ".md", ".html", ".htm", ".xml", ".zip")
KINDS = f"{', '.join(FORMATS[:-1])} files, plain or {', '.join(COMPRESSIONS)}, or a .zip of them"

DOING = "corpus/build: looking for files in"


@dataclass(frozen=True)
class Source:
    """One file that can be read."""

    path: str
    """Where it lies: a path or a URL."""
    name: str
    """The file's name, or its path within the folder that was given: no absolute path gets into a corpus."""
    format: str
    """One of FORMATS."""
    compression: str
    """One of ``streams.COMPRESSIONS``, or empty."""
    bytes: int
    """Size on disk."""

    def open(self) -> Stream:
        """Open the file for reading, decompressed.  Raises InputError, and DataError while a damaged file is read."""
        return Stream(open_raw(self.path), self.name, self.compression, self.bytes)


class _Entry(NamedTuple):
    """A file that was found and may not be of use."""

    path: str
    name: str
    bytes: int

    @property
    def folder(self) -> PurePosixPath:
        return PurePosixPath(self.name).parent


def find_sources(files: str | Path | Iterable[str | Path], ledger: Ledger) -> list[Source]:
    """Return the files to read, in the order given, folders and patterns sorted.

    A file of another kind is an error where it was named, and counted in the ledger where it lay in a folder.  Raises
    InputError where nothing can be read, and DataError for a folder of ``datasets`` that is not whole.
    """
    if isinstance(files, (str, Path)):
        files = [files]
    found: list[Source] = []
    for given in map(str, files):
        try:
            named, entries = _in_url(given) if is_url(given) else _on_disk(Path(given))
        except OSError as error:
            raise explain_os_error(error, DOING) from error
        found.extend(map(_named, entries) if named else _useful(_of_datasets(entries), ledger))
    if not found:
        skipped = "".join(
            f" Skipped: {count:,} with {reason}." for reason, count in sorted(ledger.files_skipped.items())
        )
        raise InputError(f"corpus/build: no file to read.{skipped} Give {KINDS}.")
    ledger.files = len(found)
    return found


def format_of(name: str) -> tuple[str, str] | None:
    """Return the format and the compression that a file's name tells, or None where it is not one of ours."""
    path = PurePosixPath(name)
    compression = path.suffix.lower() if path.suffix.lower() in COMPRESSIONS else ""
    kind = PurePosixPath(path.stem if compression else path.name).suffix.lower()
    return (kind, compression) if kind in FORMATS else None


def _on_disk(given: Path) -> tuple[bool, list[_Entry]]:
    """Return whether files were named, and what was found."""
    if given.is_dir():
        paths = sorted(path for path in given.rglob("*") if path.is_file())
        return False, [_Entry(str(path), path.relative_to(given).as_posix(), path.stat().st_size) for path in paths]
    # Path.glob takes no absolute pattern.
    found = [given] if given.exists() else sorted(map(Path, glob.glob(str(given), recursive=True)))  # noqa: PTH207
    if not found:
        raise InputError(f"corpus/build: there is no file, folder or match for {given}. Check the spelling.")
    return True, [_Entry(str(path), path.name, path.stat().st_size) for path in found if path.is_file()]


def _in_url(given: str) -> tuple[bool, list[_Entry]]:
    with of_url(given) as (system, root):
        try:
            folder = system.info(root)["type"] == "directory"
            listed = system.find(root, detail=True) if folder else {root: system.info(root)}
        except FileNotFoundError:
            folder, listed = False, system.glob(root, detail=True)
    if not listed:
        raise InputError(f"corpus/build: there is no file, folder or match for {given}. Check the spelling.")
    return not folder, [
        _Entry(
            system.unstrip_protocol(path),
            path.removeprefix(root).lstrip("/") if folder else PurePosixPath(path).name,
            int(facts["size"] or 0),
        )
        for path, facts in sorted(listed.items())
        if facts["type"] == "file"
    ]


def _of_datasets(entries: list[_Entry]) -> list[_Entry]:
    """Put the files that its state names for all that lies in a folder of the library ``datasets``."""
    by_name = {entry.name: entry for entry in entries}
    for entry in entries:
        file = PurePosixPath(entry.name).name
        if file == "dataset_dict.json":
            splits = ", ".join(map(str, _json(entry).get("splits", ()))) or "none"
            raise InputError(
                f"corpus/build: {entry.name} says that its folder holds several splits ({splits}), and a corpus is made "
                "of one. Name the folder of that split."
            )
        state = _json(entry) if file == "state.json" else {}
        if "_data_files" in state:
            listed = [(entry.folder / str(each.get("filename"))).as_posix() for each in state["_data_files"]]
            missing = [name for name in listed if name not in by_name]
            if missing:
                raise fault(entry.name, f"it lists {missing[0]}, which is not there. Copy the folder again.")
            # Beside them lie the library's caches and JSON of its own.
            others = [each for each in by_name.values() if each.folder != entry.folder]
            by_name = {each.name: each for each in [*others, *(by_name[name] for name in listed)]}
    return sorted(by_name.values(), key=lambda each: PurePosixPath(each.name))


def _json(entry: _Entry) -> dict[str, Any]:
    try:
        with open_raw(entry.path) as stream:
            content = json.loads(stream.read())
    except (OSError, ValueError) as error:
        raise fault(entry.name, f"not JSON ({error}). Copy the folder again.") from error
    return content if isinstance(content, dict) else {}


def _useful(entries: list[_Entry], ledger: Ledger) -> list[Source]:
    found = []
    for entry in entries:
        hidden = any(part.startswith(".") for part in PurePosixPath(entry.name).parts)
        source = None if hidden else _source(entry)
        if source is not None:
            found.append(source)
        else:
            suffix = PurePosixPath(entry.name).suffix or "no suffix"
            ledger.files_skipped["a hidden name" if hidden else f"the suffix {sound(suffix)}"] += 1
    return found


def _named(entry: _Entry) -> Source:
    source = _source(entry)
    if source is None:
        raise InputError(
            f"corpus/build: {entry.name} has the suffix {PurePosixPath(entry.name).suffix or '(none)'}; "
            f"a corpus is read from {KINDS}. Rename it if it is one of these."
        )
    return source


def _source(entry: _Entry) -> Source | None:
    known = format_of(entry.name)
    return None if known is None else Source(entry.path, entry.name, *known, entry.bytes)
