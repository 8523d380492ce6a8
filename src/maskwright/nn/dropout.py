"""Dropout whose masks are a pure function of (seed, step, micro-batch, rank) and of the place in the network.

Inside ``dropout_key(...)`` each use of dropout takes the next place, so a forward pass draws the same masks whenever and
wherever that step is computed; outside it the key comes from torch's global generator, as people expect of ``manual_seed``.

Masks come from 16-bit lanes of the words of a counter-based generator: a quarter of a word an element, where
``F.dropout`` spends a whole distribution call, and the same on every device.  The rate is rounded to 1/65,536 and the kept
values are scaled by the rounded rate, so the expectation is exact.  Source of the idea of dropout: Srivastava et al. 2014,
https://jmlr.org/papers/v15/srivastava14a.html
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager, nullcontext
from contextvars import ContextVar
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn

from maskwright.keys import mix

__all__ = ["Dropout", "dropout_key", "dropped_lanes", "keep_lanes", "keep_mask", "keep_words", "next_key", "same_again"]

_LANES = 65_536


@dataclass
class _Places:
    """The key of a forward pass and how many uses of dropout it has had so far."""

    key: int
    used: int = 0


_places: ContextVar[_Places | None] = ContextVar("dropout_places", default=None)


@contextmanager
def dropout_key(seed: int, step: int, micro: int = 0, rank: int = 0) -> Iterator[None]:
    """Make every dropout inside a pure function of these numbers and of its place in the forward pass."""
    with _from(_Places(mix(seed, step, micro, rank))):
        yield


def same_again() -> tuple[AbstractContextManager[None], AbstractContextManager[None]]:
    """Return contexts for computing something now and once more, with the same masks: for ``torch.utils.checkpoint``."""
    places = _places.get()
    if places is None:
        return nullcontext(), nullcontext()
    return nullcontext(), _from(_Places(places.key, places.used))


@contextmanager
def _from(places: _Places) -> Iterator[None]:
    token = _places.set(places)
    try:
        yield
    finally:
        _places.reset(token)


def next_key() -> int:
    """Return the 63-bit key of the next use of dropout."""
    places = _places.get()
    if places is None:
        return int(torch.randint(0, 2**62, ()).item())
    places.used += 1
    return mix(places.key, places.used)


def dropped_lanes(rate: float) -> int:
    """Return how many of 65,536 values a rate drops."""
    return round(rate * _LANES)


def keep_words(counters: Tensor, key: int) -> Tensor:
    """Return word ``counters`` of the stream of a key: SplitMix64 (Steele et al. 2014), int64 of the same shape.

    The compiled kernels draw the same words (``keep32`` in native/common.h).
    """
    words = (counters + 1).mul_(_signed(0x9E3779B97F4A7C15)).add_(_signed(key))
    # ">>" carries the sign: what a logical shift would clear is masked off.
    for shift, factor in ((30, 0xBF58476D1CE4E5B9), (27, 0x94D049BB133111EB)):
        words = (words ^ (words >> shift).bitwise_and_((1 << (64 - shift)) - 1)).mul_(_signed(factor))
    return words ^ (words >> 31).bitwise_and_((1 << 33) - 1)


def _signed(word: int) -> int:
    return word - (1 << 64) if word >= 1 << 63 else word


def keep_lanes(words: Tensor, rate: float) -> tuple[Tensor, float]:
    """Return which values stay, four for each word along the last axis, and the factor that keeps the expectation."""
    dropped = dropped_lanes(rate)
    return words.view(torch.int16) >= dropped - _LANES // 2, _LANES / (_LANES - dropped)


def keep_mask(count: int, rate: float, key: int, device: torch.device) -> tuple[Tensor, float]:
    """Draw which of ``count`` values stay.

    Returns a (count,) bool mask and the factor that keeps the expectation: 1 / (share kept).
    """
    mask, factor = keep_lanes(keep_words(torch.arange((count + 3) // 4, device=device), key), rate)
    return mask[:count], factor


class _Drop(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, x: Tensor, rate: float, key: int) -> Tensor:
        mask, factor = keep_mask(x.numel(), rate, key, x.device)
        # One multiplication by 0 or the factor; multiplying by a bool tensor would convert it element by element.
        scaled = mask.view(x.shape).to(x.dtype).mul_(factor)
        ctx.save_for_backward(scaled)
        return x * scaled

    @staticmethod
    def backward(ctx: Any, *gradients: Tensor) -> tuple[Tensor, None, None]:
        (scaled,) = ctx.saved_tensors
        return gradients[0] * scaled, None, None


class Dropout(nn.Module):
    """Set a share of the values to zero and scale the rest up, in training only."""

    def __init__(self, rate: float) -> None:
        super().__init__()
        self.rate = rate

    def forward(self, x: Tensor) -> Tensor:
        """x: any shape -> the same shape."""
        if not self.training or self.rate == 0.0:
            return x
        out: Tensor = _Drop.apply(x, self.rate, next_key())  # type: ignore[no-untyped-call]
        return out

    def extra_repr(self) -> str:
        """Show the rate."""
        return f"rate={self.rate}"
