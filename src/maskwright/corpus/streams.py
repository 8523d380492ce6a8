"""Bytes of a file wherever it lies and however it is compressed, with one kind of error.

    .gz .xz .bz2    the standard library; several members in a row are one file
    .zst            pyarrow
    ://             fsspec

A file that is cut off or damaged is a DataError that names it: every one of these formats says where it ends.
"""

from __future__ import annotations

import bz2
import gzip
import io
import lzma
import tempfile
import zipfile
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import IO, Any

import pyarrow as pa

from maskwright.errors import DataError, InputError, explain_os_error

__all__ = ["COMPRESSIONS", "DAMAGE", "Stream", "damage", "fault", "is_url", "of_url", "open_raw"]

COMPRESSIONS = (".gz", ".xz", ".zst", ".bz2")

MAX_RATIO = 1000
"""Bytes out of one byte on disk.  Text gives 3 to 10; more than this is a file made to fill a disk."""
RATIO_FROM = 64 << 20
"""Bytes out from which the ratio is looked at: a small file may be as monotonous as it likes."""
RAW_BUFFER = 256 << 10

DAMAGE = "damaged or cut off ({}). Copy it again from its source."

DAMAGED = (EOFError, gzip.BadGzipFile, lzma.LZMAError, zlib.error, zipfile.BadZipFile, pa.ArrowException)


def _decompressor(raw: Any, compression: str) -> Any:
    match compression:
        case ".gz":
            return gzip.GzipFile(fileobj=raw, mode="rb")
        case ".xz":
            return lzma.LZMAFile(raw)
        case ".bz2":
            return bz2.BZ2File(raw)
        case ".zst":
            return pa.CompressedInputStream(pa.PythonFile(raw, "r"), "zstd")
        case _:
            return raw


class Stream(io.RawIOBase):
    """The decompressed bytes of ``raw``, which it closes.

    ``name`` is the file's, for errors; ``size`` are its bytes on disk.  Raises DataError where the file is damaged or
    grows more than MAX_RATIO times, InputError where the operating system or a remote store refuses.
    """

    def __init__(self, raw: IO[bytes], name: str, compression: str, size: int) -> None:
        self.name, self._raw, self._compression, self._size = name, raw, compression, size
        with damage(name):
            if compression and size == 0:
                raise EOFError("it is empty")
            self._inner = _decompressor(raw, compression)
        self._out = 0

    @property
    def taken(self) -> int:
        """Bytes on disk that have been read."""
        return self._size if self._raw.closed else min(self._size, self._raw.tell())

    def readable(self) -> bool:
        """Return True."""
        return True

    def readinto(self, buffer: Any) -> int:
        """Fill the buffer, wholly unless the file ends; return the number of bytes, 0 at the end."""
        view, count = memoryview(buffer).cast("B"), 0
        with damage(self.name):
            while count < len(view) and (more := self._inner.readinto(view[count:])):
                count += more
        self._out += count
        if self._out > RATIO_FROM and self._out > MAX_RATIO * self._size:
            raise fault(
                self.name,
                f"{self._size:,} bytes on disk grow more than {MAX_RATIO:,} times when they are unpacked, which text "
                "does not. Leave this file out, or unpack it yourself if it is sound.",
            )
        return count

    @contextmanager
    def seekable_copy(self) -> Iterator[Any]:
        """Give a file of the same bytes in which one can seek: the one on disk, or an unnamed copy of what is packed."""
        if not self._compression and not isinstance(self._raw, zipfile.ZipExtFile) and self._raw.seekable():
            yield self._raw
            return
        with tempfile.TemporaryFile() as copy:
            while block := self.read(1 << 20):
                copy.write(block)
            copy.seek(0)
            yield copy

    def close(self) -> None:
        """Close the file."""
        if not self.closed:
            self._raw.close()
        super().close()


@contextmanager
def damage(name: str) -> Iterator[None]:
    """Turn what libraries raise on a file that is cut off or changed into a DataError that names it."""
    try:
        yield
    except OSError as error:
        if error.errno is not None:
            raise explain_os_error(error, f"corpus/build: reading {name}") from error
        raise fault(name, DAMAGE.format(error)) from error
    except DAMAGED as error:
        raise fault(name, DAMAGE.format(error)) from error


def fault(name: str, message: str, line: int | None = None) -> DataError:
    """Return the error that names a file as the user knows it."""
    error = DataError(message, file=f"corpus/build: {name}", line=line)
    error.file = name
    return error


def is_url(path: str) -> bool:
    """Return whether fsspec opens it."""
    return "://" in path


def open_raw(path: str) -> IO[bytes]:
    """Open a path or a URL for reading, as it lies there.  Raises InputError."""
    if is_url(path):
        with of_url(path) as (system, place):
            return system.open(place, "rb")  # type: ignore[no-any-return]
    try:
        return Path(path).open("rb", buffering=RAW_BUFFER)
    except OSError as error:
        raise explain_os_error(error, "corpus/build: opening") from error


@contextmanager
def of_url(url: str) -> Iterator[tuple[Any, str]]:
    """Give the file system and the path of a URL; what a remote store raises becomes an InputError with the URL."""
    import fsspec

    try:
        yield fsspec.core.url_to_fs(url)
    except (FileNotFoundError, InputError):
        raise
    except ImportError as error:
        raise InputError(f"corpus/build: {url} needs a library that is not installed. {error}.") from error
    except Exception as error:
        raise InputError(f"corpus/build: {url} cannot be opened ({type(error).__name__}: {error}).") from error
