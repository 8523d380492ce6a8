"""A corpus for somewhere else: built here, then copied to where an fsspec URL says (s3://, gs://, memory:// …).

A corpus is used through memory maps, so it is opened from a local folder.  To fetch one:

    fsspec.core.url_to_fs(URL)[0].get(URL, FOLDER, recursive=True)
"""

from __future__ import annotations

import hashlib
import re
import tempfile
from pathlib import Path

from maskwright.corpus.manifest import MANIFEST
from maskwright.errors import InputError

__all__ = ["Target", "is_url"]


def is_url(path: str | Path) -> bool:
    """Whether a path is a URL."""
    return isinstance(path, str) and re.match(r"[a-z][a-z0-9+.-]+://", path) is not None


class Target:
    """Where a corpus goes.

    Attributes:
        local: the folder to build it in, the same for the same URL, so that an interrupted build is found again.
    """

    def __init__(self, url: str) -> None:
        import fsspec  # some 8 MB, for URLs alone

        try:
            self._system, self._path = fsspec.core.url_to_fs(url.rstrip("/"))
        except (ImportError, ValueError) as error:
            raise InputError(f"corpus/build: {url} cannot be written to: {error}.") from error
        if self._system.exists(f"{self._path}/{MANIFEST}"):
            raise InputError(
                f"corpus/build: {url} already holds a corpus, which is never written over. Choose another place."
            )
        name = f"{Path(self._path).name}-{hashlib.sha256(url.encode()).hexdigest()[:8]}"
        self.local = Path(tempfile.gettempdir()) / "maskwright" / name

    def upload(self) -> None:
        """Copy all files, the manifest last: a place without one holds no corpus."""
        self._system.makedirs(self._path, exist_ok=True)
        files = sorted(path for path in self.local.rglob("*") if path.is_file() and path.name != MANIFEST)
        for file in [*files, self.local / MANIFEST]:
            place = f"{self._path}/{file.relative_to(self.local).as_posix()}"
            self._system.makedirs(place.rpartition("/")[0], exist_ok=True)
            self._system.put_file(str(file), place)
