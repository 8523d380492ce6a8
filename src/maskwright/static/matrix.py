"""One tensor in one file, written row by row and read without copying it into memory.

The file is an ordinary .safetensors with a single tensor.  Its header is given a fixed size, padded with spaces as the format
allows, so that rows can be written before their number is known, and so that they begin at a whole number of cache lines.
Format: https://github.com/huggingface/safetensors#format
"""

from __future__ import annotations

import json
import math
import struct
from collections.abc import Sequence
from pathlib import Path
from types import TracebackType
from typing import Any, Self

import numpy as np
from numpy.typing import NDArray

from maskwright.errors import CheckpointError

__all__ = ["MatrixWriter", "map_tensor", "write_tensor"]

_HEADER = 256
_LARGEST_HEADER = 1 << 16
_NAMES: dict[str, np.dtype[Any]] = {"F32": np.dtype("<f4"), "I64": np.dtype("<i8")}
_NAME = "rows"


class MatrixWriter:
    """Write a (V, D) float32 matrix of which only D is known; a context manager, finished when it is left."""

    def __init__(self, path: Path, width: int) -> None:
        self.path, self.width, self.rows = path, width, 0
        self._file = path.open("wb")
        self._file.write(bytes(_HEADER))

    def append(self, rows_ND: NDArray[np.float32]) -> None:
        """Write further rows, (N, D)."""
        if rows_ND.ndim != 2 or rows_ND.shape[1] != self.width:
            raise ValueError(f"rows of shape {rows_ND.shape} in a matrix of width {self.width}")
        self._file.write(np.ascontiguousarray(rows_ND, dtype="<f4").tobytes())
        self.rows += len(rows_ND)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        with self._file:
            if kind is None:
                self._file.seek(0)
                self._file.write(_header("F32", (self.rows, self.width)))


def write_tensor(path: Path, values: NDArray[Any]) -> None:
    """Write a whole tensor of float32 or int64."""
    name = next(name for name, dtype in _NAMES.items() if dtype == values.dtype)
    path.write_bytes(_header(name, values.shape) + np.ascontiguousarray(values).tobytes())


def _header(dtype: str, shape: Sequence[int]) -> bytes:
    size = math.prod(shape) * _NAMES[dtype].itemsize
    content = {_NAME: {"dtype": dtype, "shape": list(shape), "data_offsets": [0, size]}}
    text = json.dumps(content, separators=(",", ":")).encode("ascii")
    return struct.pack("<Q", _HEADER - 8) + text.ljust(_HEADER - 8)


def map_tensor(path: Path, dtype: str, shape: tuple[int, ...]) -> NDArray[Any]:
    """Map a tensor that must have this dtype (F32 or I64) and shape; the array cannot be written to.

    Nothing is read but the header.  Raises CheckpointError where the file is missing or anything else.
    """
    try:
        size = path.stat().st_size
        with path.open("rb") as file:
            begin = file.read(8)
            length = struct.unpack("<Q", begin)[0] if len(begin) == 8 else _LARGEST_HEADER + 1
            if length > _LARGEST_HEADER:
                raise CheckpointError(f"{path}: not a .safetensors file of one tensor; the file is damaged")
            found = json.loads(file.read(length))[_NAME]
    except FileNotFoundError:
        raise CheckpointError(f"{path}: missing; the folder is not whole") from None
    except (ValueError, TypeError, KeyError, RecursionError):
        raise CheckpointError(f"{path}: its header cannot be read; the file is damaged") from None
    data = math.prod(shape) * _NAMES[dtype].itemsize
    expected = {"dtype": dtype, "shape": list(shape), "data_offsets": [0, data]}
    if found != expected:
        raise CheckpointError(f"{path}: holds {found}, and {expected} is expected; the file does not belong here")
    if size != 8 + length + data:
        raise CheckpointError(f"{path}: {size:,} bytes, and {8 + length + data:,} are expected; the file is cut off")
    mapped: NDArray[Any] = np.memmap(path, dtype=_NAMES[dtype], mode="r", offset=8 + length, shape=shape)
    return mapped
