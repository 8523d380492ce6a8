"""A post-norm block as it serves on a CPU: one call of a compiled kernel, from fp32 states to fp32 states.

What the kernel adds to the products of a serving copy is that nothing between them leaves the cache, and that Python says
nothing in between.  The products themselves are oneDNN's, as torch lends them to the code that its compiler writes: AMX tiles
or AVX-512 dot products, whatever the processor does best.
"""

from __future__ import annotations

import ctypes
from functools import lru_cache
from pathlib import Path

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from maskwright.native import call, here
from maskwright.nn.attend import named
from maskwright.nn.block import Beside, Block
from maskwright.nn.layout import Layout, Ragged, Read
from maskwright.nn.past import Kept

__all__ = ["Served", "serves"]

_PRODUCT = "_ZN2at6native7cpublas6brgemmEllllllbPKN3c108BFloat16ES5_Pfb"
_RELEASE = "_ZN2at6native7cpublas14brgemm_releaseEb"
_WIDE = 64
"""Columns of a panel of a matrix, as in serve.c."""


def serves(block: nn.Module) -> bool:
    """Whether the kernel computes such a block: post-norm, looking both ways, with biases and GELU."""
    if type(block) is not Block or not block.narrows or named() not in ("", "packed"):
        return False
    spec, norms = block.spec, (block.attend_norm, block.feed_norm)
    plain = spec.activation == "gelu" and spec.bias and not spec.gated and not spec.cross
    sizes = spec.width // spec.heads, spec.feed_forward
    fits = all(isinstance(norm, nn.LayerNorm) for norm in norms) and not any(size % 16 for size in sizes)
    return plain and fits and here() and _products() is not None


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


class Served(nn.Module):
    """A block for bfloat16 without gradients."""

    narrows = True

    def __init__(self, block: Block) -> None:
        super().__init__()
        d = block.spec.width
        qkv, b_qkv = block.qkv.weight, block.qkv.bias
        matrices = qkv[:d], qkv[d:], block.out.weight, block.up.weight, block.down.weight
        biases = b_qkv[:d], b_qkv[d:], block.out.bias, block.up.bias, block.down.bias
        norms: list[Tensor] = [each for norm in (block.attend_norm, block.feed_norm) for each in norm.parameters()]
        # Vectors are used where they are, so that they follow the network's; views hold the memory.
        self._held = [*map(_panels, matrices), *(each.detach() for each in (*biases, *norms))]
        products = _products()
        assert products is not None
        self._parts = torch.tensor([*products, *(each.data_ptr() for each in self._held)], dtype=torch.int64)
        scale = block.scale or (d // block.spec.heads) ** -0.5
        self._sizes = d, block.spec.heads, block.spec.feed_forward, scale, float(block.spec.norm_eps)
        self._plain: list[nn.Module] = [block]  # not a part of this one

    def forward(
        self,
        x_TD: Tensor,
        positions_T: Tensor,
        layout: Layout,
        bias: Tensor | None = None,
        beside: Beside | None = None,
        kept: Kept | None = None,
        read: Read | None = None,
    ) -> Tensor:
        """(T, D) -> (T, D), as the block does; zeros for tokens of no sequence, and for those that nobody reads."""
        if not isinstance(layout, Ragged) or bias is not None or kept is not None:
            out: Tensor = self._plain[0](x_TD, positions_T, layout, bias, beside, kept, read)
            return out
        x_TD = x_TD.float().contiguous()
        rows, count, q_cu = (0, layout.tokens, layout.cu) if read is None else (read.rows_R, read.count, read.layout.cu)
        y = torch.empty_like(x_TD) if read is None else x_TD.new_empty(len(read.rows_R), x_TD.shape[1])
        y[count:] = 0
        call("serve_block", self._parts, x_TD, y, layout.cu, rows, q_cu, layout.batch, *self._sizes)
        return y if read is None else read.spread(y, len(x_TD))


def _panels(weight_EK: Tensor) -> Tensor:
    """(E, K) -> bf16 in panels of 64 rows, of which pairs along K lie side by side; zeros behind the last row."""
    wide = F.pad(weight_EK.detach(), (0, 0, 0, -len(weight_EK) % _WIDE)).bfloat16()
    return wide.view(-1, _WIDE, wide.shape[1] // 2, 2).permute(0, 2, 1, 3).contiguous()
