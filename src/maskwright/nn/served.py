"""Post-norm blocks as they serve on a CPU: one call of a compiled kernel, from fp32 states to those behind every block.

What the kernel adds to a copy with its matrices laid out (``serving``) is that nothing leaves the cache between the products,
and that Python says nothing there.  The products themselves are oneDNN's, as torch lends them to the code that its
compiler writes: AMX tiles or AVX-512 dot products, whatever the processor does best.
"""

from __future__ import annotations

import ctypes
from functools import lru_cache
from pathlib import Path

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from maskwright.native import here, library
from maskwright.nn.attend import named
from maskwright.nn.block import Beside, Block
from maskwright.nn.layout import Layout, Ragged, Read
from maskwright.nn.past import Past
from maskwright.nn.stack import Stack

__all__ = ["Served", "serves"]

_PRODUCT = "_ZN2at6native7cpublas6brgemmEllllllbPKN3c108BFloat16ES5_Pfb"
_RELEASE = "_ZN2at6native7cpublas14brgemm_releaseEb"
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
    plain = spec.activation == "gelu" and spec.bias and not spec.gated and not spec.cross and block.scale is None
    sizes = spec.width // spec.heads, spec.feed_forward
    return plain and all(isinstance(norm, nn.LayerNorm) for norm in norms) and not any(size % 16 for size in sizes)


@lru_cache(maxsize=1)
def _products() -> tuple[int, int] | None:
    """Addresses of torch's block products in bf16 and of what gives their tiles back; None in a torch without."""
    lib = Path(torch.__file__).parent / "lib" / "libtorch_cpu.so"
    try:
        torch_cpu = ctypes.CDLL(str(lib))
        found = [ctypes.cast(torch_cpu[name], ctypes.c_void_p).value for name in (_PRODUCT, _RELEASE)]
    except (OSError, AttributeError):
        return None
    return found[0] or 0, found[1] or 0


@lru_cache(maxsize=1)
def _kernel() -> ctypes._NamedFuncPointer:
    """The kernel, told once what it takes: to find that out at each call takes longer than a small layer."""
    kernels = library()
    assert kernels is not None
    at, whole, real = ctypes.c_void_p, ctypes.c_long, ctypes.c_float
    kernels.serve_stack.argtypes = [at, whole, at, at, at, whole, at, at, at, *[whole] * 4, real, real, ctypes.c_int]
    return kernels.serve_stack


class Served(Stack):
    """A stack for bfloat16 without gradients.  Its matrices are copies, narrowed; all else is the other's."""

    def __init__(self, stack: Stack) -> None:
        nn.Module.__init__(self)
        self.recompute, self.order = False, stack.order
        self.blocks, self.norm = stack.blocks, stack.norm
        products = _products()
        assert products is not None
        # Held here, for the kernel knows addresses only.  Vectors stay where they are, so that they follow the network's.
        self._parts = {number: _parts_of(stack.blocks[number]) for number in set(stack.order)}
        rows = [[*products, *(each.data_ptr() for each in self._parts[number])] for number in stack.order]
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


def _parts_of(block: nn.Module) -> list[Tensor]:
    """A block's matrices, biases and norms, in the order of serve.c's ``Parts``."""
    assert isinstance(block, Block)
    d, qkv, b_qkv = block.spec.width, block.qkv.weight, block.qkv.bias
    matrices = qkv[:d], qkv[d:], block.out.weight, block.up.weight, block.down.weight
    biases = b_qkv[:d], b_qkv[d:], block.out.bias, block.up.bias, block.down.bias
    norms = *block.attend_norm.parameters(), *block.feed_norm.parameters()
    return [*map(_panels, matrices), *(each.detach() for each in (*biases, *norms))]


def _panels(weight_EK: Tensor) -> Tensor:
    """(E, K) -> bf16 in panels of 64 rows, of which pairs along K lie side by side; zeros behind the last row."""
    wide = F.pad(weight_EK.detach(), (0, 0, 0, -len(weight_EK) % _WIDE)).bfloat16()
    return wide.view(-1, _WIDE, wide.shape[1] // 2, 2).permute(0, 2, 1, 3).contiguous()
