"""The tokens of a ragged layout in the order in which a recurrent network reads them: step by step, never any padding.

The sequences stand longest first, so those that still have a token at a step are the first few of those before.  A network
of two directions reads both ways in the same steps: each sequence has as many.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import torch
from torch import Tensor

from maskwright.nn.layout import Ragged

__all__ = ["Steps"]


@dataclass(frozen=True)
class Steps:
    """T tokens by steps.  "States" are B before the first step, then one a token in this order."""

    counts: tuple[int, ...]
    """Sequences that have a token at each step; never more than at the step before."""
    order_B: Tensor
    """The sequences, longest first."""
    index_2T: Tensor
    """The token read, forward and backward."""
    before_T: Tensor
    """Which of the states is the one before this token."""
    last_B: Tensor
    """Which of the states is a sequence's last; the sequences here as in the layout."""

    @classmethod
    def of(cls, layout: Ragged) -> Steps:
        """Order the tokens of a layout; those behind its last sequence are left out."""
        lengths_B, rows = layout.cu.diff().long(), layout.batch
        row_B, time_S1 = (
            torch.arange(rows, device=layout.cu.device),
            torch.arange(layout.longest, device=layout.cu.device),
        )
        time_S1 = time_S1[:, None]
        order_B = lengths_B.argsort(descending=True, stable=True)
        length_B, begin_B = lengths_B[order_B], layout.first_B[order_B]
        running_SB = time_S1 < length_B
        count_S = running_SB.sum(1)
        after_SB = rows + (count_S.cumsum(0) - count_S)[:, None] + row_B
        states_SB = torch.cat([row_B[None], after_SB])
        forward_SB, backward_SB = begin_B + time_S1, begin_B + length_B - 1 - time_S1
        return cls(
            tuple(count_S.tolist()),
            order_B,
            torch.stack([forward_SB[running_SB], backward_SB[running_SB]]),
            states_SB[:-1][running_SB],
            states_SB[length_B, row_B][order_B.argsort()],
        )

    def parts(self, tokens: int) -> Iterator[tuple[int, list[int]]]:
        """Yield (first token, counts of its steps) of parts with so many tokens, or with one step that has more."""
        first, room, some = 0, tokens, list[int]()
        for count in self.counts:
            if some and count > room:
                yield first, some
                first, room, some = first + tokens - room, tokens, []
            some.append(count)
            room -= count
        yield first, some

    def pack(self, x_TD: Tensor) -> Tensor:
        """(T, D), forward and backward half -> (2, T, D / 2), each half in its order."""
        halves = zip(x_TD.chunk(2, -1), self.index_2T, strict=True)
        return torch.stack([half[index] for half, index in halves])

    def unpack(self, x_2TP: Tensor, total: int) -> Tensor:
        """Undo ``pack``, for ``total`` tokens; those of no sequence are zero."""
        halves = zip(x_2TP, self.index_2T, strict=True)
        return torch.cat(
            [half.new_zeros(total, half.shape[1]).index_copy(0, index, half) for half, index in halves], -1
        )

    def last(self, before_2BX: Tensor, after_2TX: Tensor) -> Tensor:
        """States -> each sequence's last, (2, B, X), in the layout's order and without a gradient."""
        return torch.cat([before_2BX, after_2TX.detach()], 1)[:, self.last_B]
