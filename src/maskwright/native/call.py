"""Calling a compiled kernel with tensors."""

from __future__ import annotations

import ctypes

import torch
from torch import Tensor

from maskwright.native.build import library

__all__ = ["call"]


def call(name: str, *arguments: Tensor | int | float | ctypes.c_uint64) -> None:
    """Call kernel ``name``: tensors by their addresses, then whole numbers and fp32 ones, at last how many threads to use.

    MemoryError where the kernel says that it got none.
    """
    kernels = library()
    assert kernels is not None
    failed = getattr(kernels, name)(*map(_plain, arguments), torch.get_num_threads())
    if failed:
        raise MemoryError(f"{name}: no memory to work in")


def _plain(value: Tensor | int | float | ctypes.c_uint64) -> object:
    if isinstance(value, Tensor):
        return ctypes.c_void_p(value.data_ptr())
    if isinstance(value, ctypes.c_uint64):
        return value
    return ctypes.c_float(value) if isinstance(value, float) else ctypes.c_long(value)
