"""Post-norm blocks as they serve on a CPU: one call of a compiled kernel, from fp32 states to those behind every block.

What the kernel adds to a copy with its matrices laid out (``serving``) is that nothing leaves the cache between the products,
and that Python says nothing there.  The products themselves are oneDNN's, as torch lends them to the code that its
compiler writes: AMX tiles or AVX-512 dot products, whatever the processor does best.
"""

from __future__ import annotations

import ctypes
import os
from collections.abc import Mapping
from functools import lru_cache
from pathlib import Path

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from maskwright.errors import ConfigError
from maskwright.machine import keep_buffers
from maskwright.native import here, library
from maskwright.nn.attend import named
from maskwright.nn.block import Beside, Block
from maskwright.nn.layout import Layout, Ragged, Read
from maskwright.nn.past import Past
from maskwright.nn.stack import Stack
from maskwright.nn.whole import in_whole_numbers

__all__ = ["Served", "serves"]

_PRODUCTS = (
    "_ZN2at6native7cpublas6brgemmEllllllbPKN3c108BFloat16ES5_Pfb",
    "_ZN2at6native7cpublas6brgemmEllllllbPKhPKaPib",
    "_ZN2at6native7cpublas14brgemm_releaseEb",
)
_WIDE = 64
"""Columns of a panel of a matrix, as in serve.c."""


def serves(stack: Stack) -> bool:
    """Whether the kernel computes such blocks: post-norm, looking both ways, with biases and GELU."""
    plain = type(stack) is Stack and all(map(_plain, stack.blocks))
    return plain and named() in ("", "packed") and here() and _products() is not None


def _plain(block: nn.Module) -> bool:
    if type(block) is not Block or not block.narrows:
        return False
    spec, norms = block.spec, (block.attend_norm, block.feed_norm)
    layers = all(
        type(m) is nn.Linear and "weight" in m._parameters for m in (block.qkv, block.out, block.up, block.down)
    )
    plain = (
        layers and spec.activation == "gelu" and spec.bias and not spec.gated and not spec.cross and block.scale is None
    )
    sizes = spec.width // spec.heads, spec.feed_forward
    return plain and all(isinstance(norm, nn.LayerNorm) for norm in norms) and not any(size % 16 for size in sizes)


@lru_cache(maxsize=1)
def _products() -> tuple[int, ...] | None:
    """Addresses of torch's block products in bf16 and in int8, and of what gives their tiles back; None in a torch without.

    They end the process where they cannot serve, as they may where oneDNN was told to leave out instructions.
    """
    if "ONEDNN_MAX_CPU_ISA" in os.environ or "DNNL_MAX_CPU_ISA" in os.environ:
        return None
    try:
        torch_cpu = ctypes.CDLL(str(Path(torch.__file__).parent / "lib" / "libtorch_cpu.so"))
        return tuple(ctypes.cast(torch_cpu[name], ctypes.c_void_p).value or 0 for name in _PRODUCTS)
    except (OSError, AttributeError):
        return None


@lru_cache(maxsize=1)
def _kernel() -> ctypes._NamedFuncPointer:
    """The kernel, told once what it takes: to find that out at each call takes longer than a small layer."""
    kernels = library()
    assert kernels is not None
    at, whole, real = ctypes.c_void_p, ctypes.c_long, ctypes.c_float
    kernels.serve_stack.argtypes = [at, whole, at, at, at, whole, at, at, at, *[whole] * 4, real, real, ctypes.c_int]
    return kernels.serve_stack


class Served(Stack):
    """A stack for products in bfloat16 or in whole numbers, without gradients.

    Its matrices are copies; all else is the other's, and follows it.
    """

    def __init__(self, stack: Stack, factors: Mapping[nn.Linear, Tensor] | None = None) -> None:
        """Copy the matrices of a stack that ``serves``; in whole numbers where there are factors (``whole.factors``)."""
        nn.Module.__init__(self)
        keep_buffers()  # all layers' states are a large one
        self.recompute, self.order = False, stack.order
        self.blocks, self.norm = stack.blocks, stack.norm
        products = _products()
        assert products is not None
        self._whole = factors is not None
        way = [products[0] if factors is None else products[1], products[2], int(factors is not None)]
        self._held = {number: _parts_of(stack.blocks[number], factors) for number in set(stack.order)}
        rows = [
            [*way, *(0 if each is None else each.data_ptr() for each in self._held[number])] for number in stack.order
        ]
        self._table = torch.tensor(rows, dtype=torch.int64)
        (spec, *_) = (block.spec for block in stack.blocks if isinstance(block, Block))
        self._sizes = spec.width, spec.heads, spec.feed_forward, (spec.width // spec.heads) ** -0.5, spec.norm_eps

    def forward(
        self,
        x_TD: Tensor,
        positions_T: Tensor,
        layout: Layout,
        beside: Beside | None = None,
        past: Past | None = None,
        read: Read | None = None,
    ) -> list[Tensor]:
        """(T, D) -> layers + 1 tensors of (T, D), as of any stack; zeros for tokens of no sequence, or that nobody reads."""
        if not isinstance(layout, Ragged) or beside is not None or past is not None:
            if self._whole:
                raise ConfigError("precision int8 is for sequences laid end to end: take bf16 or fp32")
            return super().forward(x_TD, positions_T, layout, beside, past, read)
        x_TD = x_TD.float().contiguous()
        layers, (tokens, width) = len(self.order), x_TD.shape
        between = x_TD.new_empty(layers - 1, tokens, width)
        last = x_TD.new_empty(tokens if read is None else len(read.rows_R), width)
        if layout.tokens < tokens:
            between[:, layout.tokens :] = 0
            last[layout.tokens :] = 0
        rows, q_cu = (None, layout.cu) if read is None else (read.rows_R.data_ptr(), read.layout.cu)
        states = (x_TD.data_ptr(), between.data_ptr(), last.data_ptr(), tokens)
        batch = (layout.cu.data_ptr(), rows, q_cu.data_ptr(), layout.batch)
        if _kernel()(self._table.data_ptr(), layers, *states, *batch, *self._sizes, torch.get_num_threads()):
            raise MemoryError(f"serve_stack: no memory to work in, for {tokens:,} tokens")
        return [x_TD, *between.unbind(), last if read is None else read.spread(last, tokens)]


def _parts_of(block: nn.Module, factors: Mapping[nn.Linear, Tensor] | None) -> list[Tensor | None]:
    """A block's matrices and norms, in the order of serve.c's ``Parts``."""
    assert isinstance(block, Block)
    d, parts = block.spec.width, []
    sides = (
        (block.qkv, slice(d)),
        (block.qkv, slice(d, None)),
        *((x, slice(None)) for x in (block.out, block.up, block.down)),
    )
    for layer, rows in sides:
        weight, bias = layer.weight[rows], layer.bias[rows].detach()
        if factors is None:
            parts += [_panels(weight.detach().bfloat16(), 2), bias, None, None, None]
        else:
            whole, steps, sums = in_whole_numbers(weight, factors[layer])
            parts += [_panels(whole, 4), bias, steps, sums, factors[layer]]
    return [*parts, *(p.detach() for norm in (block.attend_norm, block.feed_norm) for p in norm.parameters())]


def _panels(weight_EK: Tensor, side_by_side: int) -> Tensor:
    """(E, K) -> panels of 64 rows, of which so many values along K lie side by side; zeros behind the last row."""
    wide = F.pad(weight_EK, (0, 0, 0, -len(weight_EK) % _WIDE))
    return wide.view(-1, _WIDE, wide.shape[1] // side_by_side, side_by_side).permute(0, 2, 1, 3).contiguous()
