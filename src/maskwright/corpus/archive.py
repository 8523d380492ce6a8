"""Zip archives: their members are read as files beside each other, straight from the archive.

Nothing is unpacked to disk.  An archive with a member that points outside of it, that is a link or that is encrypted
was not made of plain texts, and is refused whole.
"""

from __future__ import annotations

import stat
import zipfile
from collections.abc import Iterator
from pathlib import PurePosixPath
from typing import IO

from maskwright.corpus.ledger import Ledger
from maskwright.corpus.sources import Source, format_of
from maskwright.corpus.streams import Stream, damage, fault

__all__ = ["members"]

ENCRYPTED = 0x1


def members(source: Source, ledger: Ledger) -> Iterator[tuple[str, str, Stream]]:
    """Yield (name, format, stream) of each member that can be read; the others are counted in ``files_skipped``."""
    with source.open() as outer, damage(source.name), outer.seekable_copy() as content:
        archive = zipfile.ZipFile(content)
        for member in archive.infolist():
            _refuse(source, member)
        for member in archive.infolist():
            name = f"{source.name}/{member.filename}"
            known = format_of(member.filename)
            if member.is_dir():
                continue
            if known is None or known[0] == ".zip" or _hidden(member.filename):
                suffix = PurePosixPath(member.filename).suffix or "no suffix"
                ledger.files_skipped["a hidden name" if _hidden(member.filename) else f"the suffix {suffix}"] += 1
                continue
            yield name, known[0], Stream(_open(archive, member), name, known[1], member.compress_size)


def _open(archive: zipfile.ZipFile, member: zipfile.ZipInfo) -> IO[bytes]:
    try:
        return archive.open(member)
    except NotImplementedError as error:
        raise zipfile.BadZipFile(f"{member.filename}: {error}") from error


def _hidden(name: str) -> bool:
    return any(part.startswith(".") for part in PurePosixPath(name).parts)


def _refuse(source: Source, member: zipfile.ZipInfo) -> None:
    path = PurePosixPath(member.filename.replace("\\", "/"))
    if path.is_absolute() or ".." in path.parts:
        reason = "points outside of the archive"
    elif stat.S_ISLNK(member.external_attr >> 16):
        reason = "is a link"
    elif member.flag_bits & ENCRYPTED:
        reason = "is encrypted"
    else:
        return
    raise fault(
        source.name, f"its member {member.filename} {reason}. Unpack the archive yourself and give the folder of texts."
    )
