"""Embeddings as they serve on a CPU: three rows are read, summed and normed in one pass of a compiled kernel."""

from __future__ import annotations

import ctypes
from functools import lru_cache

import torch
from torch import Tensor, nn

from maskwright.native import here, library
from maskwright.nn.embed import Embed

__all__ = ["ServedEmbed", "serves_embed"]


def serves_embed(embed: nn.Module) -> bool:
    """Whether the kernel computes such embeddings: tables with a LayerNorm behind, neither waves nor a matrix."""
    if type(embed) is not Embed or not isinstance(embed.norm, nn.LayerNorm) or not isinstance(embed.widen, nn.Identity):
        return False
    plain = embed.factor == 1.0 and not embed.waves and embed.norm.bias is not None
    return plain and len(embed.norm.weight) % 16 == 0 and here()


@lru_cache(maxsize=1)
def _kernel() -> ctypes._NamedFuncPointer:
    kernels = library()
    assert kernels is not None
    at, whole = ctypes.c_void_p, ctypes.c_long
    kernels.embed_rows.argtypes = [
        at, at, whole, at, at, whole, whole, at, at, whole, at, at, at, whole, whole, ctypes.c_float, ctypes.c_int,
    ]  # fmt: skip
    return kernels.embed_rows


class ServedEmbed(nn.Module):
    """Embeddings without gradients or dropout; the tables are the other's, and followed."""

    def __init__(self, embed: Embed) -> None:
        super().__init__()
        self._plain: list[Embed] = [embed]  # not a part of this one

    def forward(self, ids_T: Tensor, positions_T: Tensor, segments_T: Tensor) -> Tensor:
        """Three (T,) int64 tensors -> (T, D)."""
        (plain,) = self._plain
        numbers = all(each.dim() == 1 and each.dtype == torch.int64 for each in (ids_T, positions_T, segments_T))
        given = *plain.parameters(), ids_T, positions_T, segments_T
        tables = all(each.dtype == torch.float32 for each in plain.parameters())
        if not numbers or not tables or not all(each.is_contiguous() for each in given):
            return self._by_torch(ids_T, positions_T, segments_T)
        norm = plain.norm
        assert isinstance(norm, nn.LayerNorm)
        y = norm.weight.new_empty(len(ids_T), len(norm.weight))
        place = (None, None, 0) if plain.position is None else _table(plain.position, positions_T)
        kind = (None, None, 0) if plain.segment is None else _table(plain.segment, segments_T)
        into = norm.weight.data_ptr(), norm.bias.data_ptr(), y.data_ptr(), *y.shape, norm.eps
        if _kernel()(*_table(plain.token, ids_T), *place, plain.offset, *kind, *into, torch.get_num_threads()):
            return self._by_torch(ids_T, positions_T, segments_T)  # which says what is wrong
        return y

    def _by_torch(self, *given: Tensor) -> Tensor:
        out: Tensor = self._plain[0](*given)
        return out


def _table(table: nn.Embedding, numbers_T: Tensor) -> tuple[int, int | None, int]:
    """Of a single row all tokens take it, whatever their number."""
    rows = len(table.weight)
    return table.weight.data_ptr(), numbers_T.data_ptr() if rows > 1 else None, rows
