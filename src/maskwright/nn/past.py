"""What blocks keep of the tokens so far, so that the next one is computed alone: keys and values, layer by layer.

A decoder first reads its prompts, B sequences on a grid, and then B tokens a step, one behind the end of each sequence.
Sequences may have any lengths: each goes on at its own place, and what is empty behind the shorter ones is never looked at.
"""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor

from maskwright.nn.layout import Grid, Layout

__all__ = ["Kept", "Past"]

_GROW = 64
"""Places that are added when there is no room left: keys and values are copied only so often."""

Pair = tuple[Tensor, Tensor]


class Past:
    """Keys and values of B sequences.

    Attributes:
        lengths_B: (B,) int64, tokens of each sequence that were read.
    """

    def __init__(self) -> None:
        self.lengths_B = torch.zeros(0, dtype=torch.int64)
        self._layers: list[Kept] = []

    @property
    def room(self) -> int:
        """Places of the keys that the next tokens will look at."""
        return self._layers[0].room(self.lengths_B)

    def at(self, layer: int) -> Kept:
        """What one layer keeps."""
        while len(self._layers) <= layer:
            self._layers.append(Kept(self))
        return self._layers[layer]

    def read(self, layout: Layout) -> None:
        """Say that these tokens were read by all layers."""
        assert isinstance(layout, Grid), "what was read before is kept on a grid"
        if len(self.lengths_B):
            self.lengths_B = self.lengths_B + 1
        elif layout.key_mask is None:
            self.lengths_B = torch.full((layout.batch,), layout.length)
        else:
            self.lengths_B = layout.key_mask.sum(1)

    def choose(self, rows: Tensor) -> None:
        """Go on with these sequences, (B',) int64: some may come several times, others not at all."""
        self.lengths_B = self.lengths_B[rows]
        for kept in self._layers:
            kept.choose(rows)


class Kept:
    """Keys and values of one layer: of the tokens so far, and of what the decoder reads beside them."""

    def __init__(self, past: Past) -> None:
        self._past = past
        self._own: Pair | None = None  # (B, room, N, H) each
        self._beside: Pair | None = None  # (B, keys, N, H) each

    def room(self, at_B: Tensor) -> int:
        """Places there are once a token of each sequence has been put at these."""
        room = 0 if self._own is None else self._own[0].shape[1]
        return room if int(at_B.max()) < room else room + _GROW

    def join(self, k_TNH: Tensor, v_TNH: Tensor, layout: Layout) -> tuple[Tensor, Tensor, Layout, bool]:
        """Add the keys and values of new tokens: first of whole prompts, then of one token a sequence.

        Returns the keys and values to look at, their layout, and whether a query must be kept from those behind it.
        """
        assert isinstance(layout, Grid), "what was read before is kept on a grid"
        new = [x.view(layout.batch, layout.length, *x.shape[1:]) for x in (k_TNH, v_TNH)]
        if self._own is None:
            self._own = new[0], new[1]
            return k_TNH, v_TNH, layout, True
        assert layout.length == 1, "behind the prompts come single tokens"
        at_B = self._past.lengths_B
        room = self.room(at_B)
        if more := room - self._own[0].shape[1]:
            empty = k_TNH.new_zeros(layout.batch, more, *k_TNH.shape[1:])
            self._own = torch.cat([self._own[0], empty], 1), torch.cat([self._own[1], empty], 1)
        each = torch.arange(layout.batch, device=at_B.device)
        for kept, token in zip(self._own, new, strict=True):
            kept[each, at_B] = token[:, 0]
        seen = torch.arange(room, device=at_B.device) <= at_B[:, None]
        k, v = (x.flatten(0, 1) for x in self._own)
        return k, v, Grid(layout.batch, room, seen), False

    def beside(self, make: Callable[[], tuple[Tensor, Tensor]], layout: Layout) -> tuple[Tensor, Tensor]:
        """Keys and values of what the decoder reads: (Tk, N, H) each, made once."""
        if self._beside is None:
            assert isinstance(layout, Grid), "what was read before is kept on a grid"
            k, v = (x.view(layout.batch, layout.length, *x.shape[1:]) for x in make())
            self._beside = k, v
        k, v = self._beside
        return k.flatten(0, 1), v.flatten(0, 1)

    def choose(self, rows: Tensor) -> None:
        """Keep these sequences."""
        self._own, self._beside = (
            None if pair is None else (pair[0][rows], pair[1][rows]) for pair in (self._own, self._beside)
        )
