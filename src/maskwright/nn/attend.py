"""Scaled dot-product attention: the only code that knows how tokens fall into sequences.

``attend`` picks a kernel by name from a small table; ``MASKWRIGHT_ATTENTION`` names one by hand for the whole process:

    packed         Ragged on the CPU, bf16, neither window nor bias: the compiled kernel, where the machine has one
    varlen         Ragged on CUDA, bf16, no bias: flash attention, which is told where each sequence begins
    per-sequence   Ragged on the CPU: runs of equally long sequences, one fused call a run; no work on padding at all
    padded         Ragged elsewhere: scatter to a rectangle, one fused call, gather
    grid           Grid: one fused call with the key mask
    plain          the formula itself, softmax(q k^T * scale) v, for tests to hold the others against

Vaswani et al. 2017, section 3.2.1, https://arxiv.org/abs/1706.03762
"""

from __future__ import annotations

import itertools
import logging
import math
import os
from functools import lru_cache

import torch
from torch import Tensor

from maskwright.errors import ConfigError, did_you_mean
from maskwright.nn import packed, varlen
from maskwright.nn.dropout import next_key
from maskwright.nn.layout import Grid, Layout, Ragged
from maskwright.nn.ragged import attend_runs
from maskwright.nn.rectangle import attend_grid, attend_padded

__all__ = ["KERNELS", "attend", "named", "used"]

_END_TO_END = "sequences laid end to end"
KERNELS = {
    "packed": f"{_END_TO_END}, in bf16 on a CPU with the compiled kernels, without window or bias, heads 16, 32, 48 … wide",
    "varlen": f"{_END_TO_END}, in bf16 on a CUDA GPU that has flash attention, without bias, heads 8, 16 … 128 wide",
    "per-sequence": _END_TO_END,
    "padded": _END_TO_END,
    "grid": "rectangles",
    "plain": "everything but dropout",
}
"""What each one takes."""

_log = logging.getLogger(__name__)
_used: list[str] = []


def attend(
    q_TNH: Tensor,
    k_TNH: Tensor,
    v_TNH: Tensor,
    q_layout: Layout,
    k_layout: Layout,
    *,
    causal: bool = False,
    window: int | None = None,
    bias: Tensor | None = None,
    scale: float | None = None,
    dropout: float = 0.0,
    kernel: str | None = None,
) -> Tensor:
    """Let every query look at the keys of its own sequence.

    q_TNH: (Tq, N, H); k_TNH, v_TNH: (Tk, N, H); layouts of the queries and of the keys, with the same B.
    causal: a query sees keys up to its own place (equal lengths).
    window: a query sees keys at most so many places before or behind its own (equal lengths); None sees all.
    bias: (N, Sq, Sk) added to the scores of every sequence, from its first place on; on a Grid also (B, N, Sq, Sk).
    scale: defaults to 1 / sqrt(H).  dropout: share of the attention weights dropped.  kernel: a name above, else chosen.
    Returns (Tq, N, H).  Raises ValueError for a pair that no kernel serves, ConfigError for a named kernel that does not.
    """
    if type(q_layout) is not type(k_layout):
        raise ValueError(
            f"queries are {type(q_layout).__name__} and keys {type(k_layout).__name__}: use one kind of layout"
        )
    name = kernel or named() or _choose(q_TNH, q_layout, window, bias)
    if name not in KERNELS:
        raise ValueError(f"no attention kernel {name!r}; known: {', '.join(KERNELS)}")
    if not _serves(name, q_TNH, q_layout, window, bias, dropout):
        raise ConfigError(_unfit(name, q_TNH, q_layout, window, bias, dropout))
    if not torch.compiler.is_compiling():
        _say(type(q_layout).__name__, q_TNH.device.type, name)
    if bias is not None:
        bias = bias.to(q_TNH.dtype)
    if scale is None:
        scale = 1.0 / math.sqrt(q_TNH.shape[-1])
    match name:
        case "packed":
            assert isinstance(q_layout, Ragged) and isinstance(k_layout, Ragged)
            key = torch.tensor(next_key() if dropout else 0)
            cu = q_layout.cu, k_layout.cu
            seen: Tensor = packed.attend_packed(q_TNH, k_TNH, v_TNH, *cu, causal, scale, dropout, key)[0]
            return seen
        case "varlen":
            assert isinstance(q_layout, Ragged) and isinstance(k_layout, Ragged)
            return varlen.attend_varlen(q_TNH, k_TNH, v_TNH, q_layout, k_layout, causal, window, scale, dropout)
        case "per-sequence":
            assert isinstance(q_layout, Ragged) and isinstance(k_layout, Ragged)
            key = torch.tensor(next_key() if dropout else 0)
            cu = q_layout.cu, k_layout.cu
            out: Tensor = attend_runs(q_TNH, k_TNH, v_TNH, *cu, causal, window, scale, dropout, key, bias)
            return out
        case "padded":
            assert isinstance(q_layout, Ragged) and isinstance(k_layout, Ragged)
            return attend_padded(q_TNH, k_TNH, v_TNH, q_layout, k_layout, causal, window, bias, scale, dropout)
        case "grid":
            assert isinstance(q_layout, Grid) and isinstance(k_layout, Grid)
            return attend_grid(q_TNH, k_TNH, v_TNH, q_layout, k_layout, causal, window, bias, scale, dropout)
        case "plain":
            return _plain(q_TNH, k_TNH, v_TNH, q_layout, k_layout, causal, window, bias, scale)
    raise AssertionError(name)


def named() -> str:
    """Return the kernel that MASKWRIGHT_ATTENTION names, or nothing; ConfigError for an unknown one."""
    name = os.environ.get("MASKWRIGHT_ATTENTION", "")
    if name and name not in KERNELS:
        raise ConfigError(
            f"MASKWRIGHT_ATTENTION is {name!r}, and there is no such kernel.{did_you_mean(name, KERNELS)} "
            f"There are {', '.join(KERNELS)}"
        )
    return name


# As native.here is: a constant to torch.compile, which must not look at the environment.
named._dynamo_marked_constant = True  # type: ignore[attr-defined]


def used() -> tuple[str, ...]:
    """Return the kernels that this process has computed with so far."""
    return tuple(dict.fromkeys(_used))


@lru_cache(maxsize=64)
def _say(layout: str, device: str, kernel: str) -> None:
    """Log a choice once."""
    _log.info("attention: %s on %s -> kernel %r", layout, device, kernel)
    _used.append(kernel)


def _choose(q_TNH: Tensor, layout: Layout, window: int | None, bias: Tensor | None) -> str:
    for name in ("grid", "packed", "varlen"):
        if _serves(name, q_TNH, layout, window, bias, 0.0):
            return name
    return "per-sequence" if q_TNH.device.type == "cpu" else "padded"


def _serves(name: str, q_TNH: Tensor, layout: Layout, window: int | None, bias: Tensor | None, dropout: float) -> bool:
    ragged = isinstance(layout, Ragged)
    match name:
        case "packed":
            return ragged and packed.serves(q_TNH, window, bias)
        case "varlen":
            return ragged and varlen.serves(q_TNH, bias)
        case "grid":
            return not ragged
        case "plain":
            return not dropout
    return ragged


def _unfit(name: str, q_TNH: Tensor, layout: Layout, window: int | None, bias: Tensor | None, dropout: float) -> str:
    """Say what a kernel takes and what it was given."""
    given = [str(q_TNH.dtype).removeprefix("torch."), f"heads {q_TNH.shape[-1]} wide", f"on {q_TNH.device.type}"]
    given += [f"a window of {window}"] * (window is not None) + ["a bias"] * (bias is not None)
    given += [f"dropout {dropout:g}"] * bool(dropout)
    what = _END_TO_END if isinstance(layout, Ragged) else "a rectangle"
    return (
        f"attention: the kernel {name} takes {KERNELS[name]}; here are {what}, {', '.join(given)}. "
        "Name another one by MASKWRIGHT_ATTENTION, or none, and one is chosen"
    )


def _plain(
    q_TNH: Tensor,
    k_TNH: Tensor,
    v_TNH: Tensor,
    q_layout: Layout,
    k_layout: Layout,
    causal: bool,
    window: int | None,
    bias: Tensor | None,
    scale: float,
) -> Tensor:
    out = torch.zeros_like(q_TNH)
    for b, (q_at, k_at) in enumerate(zip(_rows(q_layout), _rows(k_layout), strict=True)):
        scores_NSS = torch.einsum("qnh,knh->nqk", q_TNH[q_at], k_TNH[k_at]) * scale
        if bias is not None:
            scores_NSS = scores_NSS + (bias if bias.dim() == 3 else bias[b])[:, : len(q_at), : len(k_at)]
        apart = (q_at - q_at[0])[:, None] - (k_at - k_at[0])
        if causal:
            scores_NSS = scores_NSS.masked_fill(apart < 0, -math.inf)
        if window is not None:
            scores_NSS = scores_NSS.masked_fill(apart.abs() > window, -math.inf)
        if isinstance(k_layout, Grid) and k_layout.key_mask is not None:
            scores_NSS = scores_NSS.masked_fill(~k_layout.key_mask[b], -math.inf)
        if isinstance(q_layout, Grid) and q_layout.seen is not None:
            scores_NSS = scores_NSS.masked_fill(~q_layout.seen[b], -math.inf)
        out = out.index_put((q_at,), torch.einsum("nqk,knh->qnh", scores_NSS.softmax(-1), v_TNH[k_at]))
    return out


def _rows(layout: Layout) -> list[Tensor]:
    """The token numbers of each sequence."""
    if isinstance(layout, Grid):
        return list(torch.arange(layout.batch * layout.length).view(layout.batch, layout.length))
    cu = layout.cu.tolist()
    return [torch.arange(a, b) for a, b in itertools.pairwise(cu)]
