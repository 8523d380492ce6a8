"""Which tokens form a sequence: the only thing that attention, and nothing else, has to know.

A model sees ``(T, D)``: the tokens of a batch laid end to end.  A layout says how they fall into B sequences.

    Ragged   real tokens only; for training and inference
    Grid     a rectangle of B rows of S places, some of them padding; for export and for attention with a learned bias

Also ``Read``: the tokens whose last state anybody asks for.

Letters as everywhere: B sequences, T tokens, S padded length, R tokens read.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from maskwright.machine import widest

__all__ = ["Grid", "Layout", "Ragged", "Read", "moved"]


def moved(x: Tensor, device: torch.device | str) -> Tensor:
    """Return a tensor of a batch on another device; to CUDA from pinned memory, beside what the GPU is doing."""
    where = torch.device(device)
    if x.dtype == torch.float64:
        x = x.to(widest(where))
    if x.device.type == "cpu" and where.type == "cuda":
        return x.pin_memory().to(where, non_blocking=True)
    return x.to(where)


@dataclass(frozen=True)
class Ragged:
    """Sequences of any length, one after the other.

    Tokens behind the last sequence (``cu[-1] <= T``) belong to none: a collator may round T up to a size that the
    kernels have met before.  They attend to nothing, nothing attends to them, and no target points at them.
    """

    cu: Tensor
    """(B + 1,) int32: where each sequence begins, and where the last one ends."""

    longest: int
    """Tokens in the longest sequence."""

    row: Tensor
    """(T,) int64: the sequence that each token is in (B for tokens behind the last)."""

    tokens: int
    """Those that belong to a sequence: cu[-1], known without asking the device that cu is on."""

    @classmethod
    def of(cls, lengths: list[int], total: int | None = None) -> Ragged:
        """Lay out sequences of the given lengths, followed by ``total - sum(lengths)`` tokens of no sequence."""
        counts = [*lengths, max(0, (total or 0) - sum(lengths))]
        row = np.repeat(np.arange(len(counts)), counts)
        cu = np.zeros(len(counts), dtype=np.int32)
        np.cumsum(lengths, out=cu[1:])
        return cls(torch.from_numpy(cu), max(lengths), torch.from_numpy(row), int(cu[-1]))

    @property
    def batch(self) -> int:
        """B, the number of sequences."""
        return len(self.cu) - 1

    @property
    def first_B(self) -> Tensor:
        """(B,) int64: the row of each sequence's first token."""
        return self.cu[:-1].long()

    @property
    def last_B(self) -> Tensor:
        """(B,) int64: the row of each sequence's last token."""
        return self.cu[1:].long() - 1

    def on_grid(self) -> tuple[Grid, Tensor]:
        """Return the same sequences as a rectangle, and (T,) int64: each token's place there, B·S for those of no sequence."""
        device = self.row.device
        rank_T = torch.arange(len(self.row), device=device) - self.cu[self.row]
        place_T = self.row * self.longest + torch.where(self.row < self.batch, rank_T, 0)
        mask_BS = torch.arange(self.longest, device=device) < self.cu.diff()[:, None]
        return Grid(self.batch, self.longest, mask_BS), place_T

    def mean(self, x_TD: Tensor) -> Tensor:
        """(T, D) -> (B, D): the mean over each sequence's tokens."""
        if self.batch == 1:
            return x_TD[: self.tokens].mean(0, keepdim=True)
        sums = x_TD.new_zeros(self.batch + 1, x_TD.shape[-1]).index_add(0, self.row, x_TD)
        return sums[:-1] / self.cu.diff()[:, None]

    def max(self, x_TD: Tensor) -> Tensor:
        """(T, D) -> (B, D): the greatest value over each sequence's tokens."""
        lowest = x_TD.new_full((self.batch + 1, x_TD.shape[-1]), -torch.inf)
        return lowest.scatter_reduce(0, self.row[:, None].expand_as(x_TD), x_TD, "amax")[:-1]

    def to(self, device: torch.device | str) -> Ragged:
        """Return the same layout on another device."""
        return Ragged(moved(self.cu, device), self.longest, moved(self.row, device), self.tokens)


@dataclass(frozen=True)
class Grid:
    """B rows of S places; T = B x S."""

    batch: int
    length: int
    key_mask: Tensor | None = None
    """(B, S) bool, True where there is a token; None where every place holds one."""
    seen: Tensor | None = None
    """(B, S, S) bool, [b, i, j] True where place i may look at j; None where each may look at all that holds a token."""

    def spread(self, x_T: Tensor, places_T: Tensor) -> Tensor:
        """(T,) -> (B · S,): each value at its place, as ``Ragged.on_grid`` says, and 0 where there is none."""
        return x_T.new_zeros(self.batch * self.length + 1).scatter(0, places_T, x_T)[:-1]

    @property
    def first_B(self) -> Tensor:
        """(B,) int64: the row of each sequence's first place."""
        device = None if self.key_mask is None else self.key_mask.device
        return torch.arange(self.batch, device=device) * self.length

    @property
    def last_B(self) -> Tensor:
        """(B,) int64: the row of each sequence's last place that holds a token."""
        if self.key_mask is None:
            return self.first_B + self.length - 1
        places = torch.arange(self.length, device=self.key_mask.device)
        return self.first_B + (self.key_mask * places).argmax(1)

    def mean(self, x_TD: Tensor) -> Tensor:
        """(T, D) -> (B, D): the mean over the places of each row that hold a token."""
        x_BSD = x_TD.view(self.batch, self.length, -1)
        if self.key_mask is None:
            return x_BSD.mean(1)
        return (x_BSD * self.key_mask[..., None]).sum(1) / self.key_mask.sum(1, keepdim=True)

    def max(self, x_TD: Tensor) -> Tensor:
        """(T, D) -> (B, D): the greatest value over the places of each row that hold a token."""
        x_BSD = x_TD.view(self.batch, self.length, -1)
        if self.key_mask is not None:
            x_BSD = x_BSD.masked_fill(~self.key_mask[..., None], -torch.inf)
        return x_BSD.amax(1)

    def to(self, device: torch.device | str) -> Grid:
        """Return the same layout on another device."""
        masks = (None if mask is None else moved(mask, device) for mask in (self.key_mask, self.seen))
        return Grid(self.batch, self.length, *masks)


Layout = Ragged | Grid


@dataclass(frozen=True)
class Read:
    """The tokens of a ragged layout whose last hidden state is read; a last layer need not compute the others."""

    rows_R: Tensor
    """(R,) int64: which tokens, each once and in order; behind them the last one again, to fill up."""
    count: int
    """Of them, without those that fill up."""
    layout: Ragged
    """Of these tokens: each in the sequence that it is in."""

    @classmethod
    def of(cls, layout: Ragged, rows: Sequence[Tensor], multiple: int = 64) -> Read:
        """Join rows, each (M,) int64 and in any order.

        R is rounded up to a multiple, or to less for few, for kernels are prepared once a shape.  What fills up is in a
        sequence too: a token of none could find no key to look at, and what comes of that need not be a number.
        """
        rows_R = torch.unique(torch.cat(list(rows)))
        count = len(rows_R)
        extra = -count % min(multiple, 1 << max(0, (count // 8).bit_length() - 1))
        rows_R = torch.cat([rows_R, rows_R[-1:].expand(extra)])
        cu = torch.searchsorted(rows_R, layout.cu, out_int32=True)
        return cls(rows_R, count, Ragged(cu, int(cu.diff().max()), layout.row[rows_R], count + extra))

    def spread(self, x_RD: Tensor, tokens: int) -> Tensor:
        """(R, D) -> (T, D): each row at its token, and zeros elsewhere."""
        count = self.count
        return x_RD.new_zeros(tokens, x_RD.shape[-1]).index_copy(0, self.rows_R[:count], x_RD[:count])

    def to(self, device: torch.device | str) -> Read:
        """Return the same on another device."""
        return Read(moved(self.rows_R, device), self.count, self.layout.to(device))
