"""Attention over sequences laid end to end on a CUDA GPU: flash attention, which is told where each one begins.

torch's own operator, as ``torch.nn.attention.varlen`` calls it, but with dropout; importing that module would import torch's
compiler.  Dao 2023, https://arxiv.org/abs/2307.08691
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager, nullcontext

import torch
import torch.nn.functional as F
from torch import Tensor

from maskwright.nn.dropout import next_key
from maskwright.nn.layout import Ragged

__all__ = ["attend_varlen", "serves"]

_WIDEST = 128
"""Of a head: wider ones have no backward pass with dropout on some GPUs."""


def serves(q: Tensor, bias: Tensor | None) -> bool:
    """Whether the operator takes such queries; keys and values have their type and head width."""
    plain = bias is None and q.dtype in (torch.bfloat16, torch.float16) and q.device.type == "cuda"
    return plain and q.shape[-1] % 8 == 0 and q.shape[-1] <= _WIDEST and _built(q.device)


def _built(where: torch.device) -> bool:
    """Whether this torch has the operator and the GPU can run it: Nvidia's since Ampere."""
    nvidia = torch.version.cuda is not None and torch.backends.cuda.is_flash_attention_available()
    return nvidia and torch.cuda.get_device_capability(where) >= (8, 0)


_built._dynamo_marked_constant = True  # type: ignore[attr-defined]  # as native.here is


def attend_varlen(
    q: Tensor,
    k: Tensor,
    v: Tensor,
    q_layout: Ragged,
    k_layout: Ragged,
    causal: bool,
    window: int | None,
    scale: float,
    dropout: float,
) -> Tensor:
    """Attention of (Tq, N, H) queries over (Tk, N, H) keys and values, sequence by sequence, in their dtype.

    Which weights are dropped follows from the dropout key, as everywhere, but they are others than on a CPU.  Tokens of no
    sequence make one more, so that their rows hold numbers and not whatever was in memory; nothing reads them.
    """
    behind, ahead = (None, None) if window is None else (window, 0 if causal else window)
    bounds = _bounds(q_layout), _bounds(k_layout), _longest(q_layout), _longest(k_layout)
    with _drawing_from(next_key(), q.device) if dropout else nullcontext():
        out: Tensor = torch.ops.aten._flash_attention_forward(
            q, k, v, *bounds, dropout, causal, False, scale=scale, window_size_left=behind, window_size_right=ahead
        )[0]
    return out


def _bounds(layout: Ragged) -> Tensor:
    """(B + 2,) int32: where each sequence begins, that of all other tokens too, and where that one ends."""
    return F.pad(layout.cu, (0, 1), value=len(layout.row))


def _longest(layout: Ragged) -> int:
    return max(layout.longest, len(layout.row) - layout.tokens)


@contextmanager
def _drawing_from(key: int, where: torch.device) -> Iterator[None]:
    """Let what draws on this GPU inside be a function of the key, and leave its generator as it was."""
    generator = torch.cuda.default_generators[where.index or 0]
    state = generator.get_state()
    generator.manual_seed(key)
    try:
        yield
    finally:
        generator.set_state(state)
