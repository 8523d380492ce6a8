"""Two stacks of LSTMs that never meet: one reads each sequence from its first token on, the other from its last.

Wide cells, whose outputs are projected, and cells and projections clipped.  Peters et al. 2018, section 3.4,
https://arxiv.org/abs/1802.05365; the projection: Sak et al. 2014, https://arxiv.org/abs/1402.1128.  The order of the gates
(input, candidate, forget, output) and the 1 that is added to the forget gate are those of TensorFlow's LSTMCell.
Letters here: D is both directions together, P = D / 2 one of them, F the cell, G = 4·F the gates, L layers.
"""

from __future__ import annotations

from dataclasses import dataclass
from math import inf
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torch.utils.checkpoint import checkpoint

from maskwright.nn.block import BlockSpec
from maskwright.nn.dropout import Dropout, same_again
from maskwright.nn.layout import Ragged
from maskwright.nn.stack import Stack, StackSpec
from maskwright.nn.steps import Steps

__all__ = ["BiLstm", "BiLstmSpec", "LstmLayer", "LstmSpec", "LstmState"]

_AT_ONCE = 1024
"""Tokens whose gates are made ready together where nothing is kept for a backward pass; for all they would take gigabytes."""


@dataclass(frozen=True, kw_only=True)
class LstmSpec(BlockSpec):
    """One layer of both stacks.  ``feed_forward`` is F; what the base class says of attention and norms is not there."""

    heads: int = 0
    attention_dropout: float = 0.0
    cell_clip: float | None = None
    """Cells are kept within ± this after each step; None: they are not."""
    projection_clip: float | None = None
    """Likewise what the projection gives."""

    def parameters(self) -> dict[str, tuple[str, int]]:
        """Part -> (closed form, count)."""
        d, f = self.width, self.feed_forward
        return {
            "LSTM gates, both ways": (f"8·D·F + 8·F, F = {f:,}", 8 * d * f + 8 * f),
            "LSTM projections": ("D·F", d * f),
        }

    def multiplications(self, keys: int) -> int:
        """Multiplications a token in the forward pass."""
        return 9 * self.width * self.feed_forward

    def build(self) -> LstmLayer:  # type: ignore[override]
        """Return the module that this describes."""
        return LstmLayer(self)


@dataclass(frozen=True, kw_only=True)
class BiLstmSpec(StackSpec):
    """How many layers of which kind."""

    block: LstmSpec
    skip: bool = True
    """Whether what a layer reads is added to what it gives; never in the first."""

    def build(self) -> BiLstm:
        """Return the module that this describes."""
        return BiLstm(self)


@dataclass(frozen=True)
class LstmState:
    """What the layers remember, a row for each sequence of the batch: carried from one batch to the next, or not."""

    h_L2BP: Tensor
    """Projected, forward and backward."""
    c_L2BF: Tensor
    """Cells, forward and backward."""

    @classmethod
    def zeros(cls, spec: StackSpec, rows: int, device: torch.device | None = None) -> LstmState:
        """Return the state before anything was read."""
        shape, block = (spec.layers, 2, rows), spec.block
        return cls(
            torch.zeros(*shape, block.width // 2, device=device), torch.zeros(*shape, block.feed_forward, device=device)
        )

    @property
    def rows(self) -> int:
        """B, the sequences that there is a state of."""
        return self.h_L2BP.shape[2]

    def at_least(self, rows: int) -> LstmState:
        """Return a state of no fewer rows; those that are new are zero."""
        more = max(0, rows - self.rows)
        return LstmState(F.pad(self.h_L2BP, (0, 0, 0, more)), F.pad(self.c_L2BF, (0, 0, 0, more)))


class _Recurrence(torch.autograd.Function):
    """All steps of one layer, both directions at once.

    Backward by hand: autograd would add up a gradient as large as the matrices in every step, where one product over all
    tokens gives it.  No gradient goes to the state before the first step, which is another batch's.
    """

    @staticmethod
    def forward(
        ctx: Any, x_2TP: Tensor, gates: Tensor, bias: Tensor, project_2FP: Tensor, h_2BP: Tensor, c_2BF: Tensor,
        steps: Steps, cell_clip: float, projection_clip: float, keep: bool,
    ) -> tuple[Tensor, Tensor]:  # fmt: skip
        width = x_2TP.shape[2]
        of_input_2PG, of_state_2PG = gates[:, :width], gates[:, width:]
        cells = c_2BF.shape[2]
        h_2TP, c_2TF = torch.empty_like(x_2TP), x_2TP.new_empty(*x_2TP.shape[:2], cells)
        offset_21G = bias.view(2, 1, -1).clone()
        offset_21G[..., 2 * cells : 3 * cells] += 1.0  # of the forget gate
        gates_2TG = x_2TP.new_empty(0)
        h, c = h_2BP, c_2BF
        for first, some in steps.parts(x_2TP.shape[1] if keep else _AT_ONCE):
            gates_2TG = torch.baddbmm(offset_21G, x_2TP[:, first : first + sum(some)], of_input_2PG)
            begin = 0
            for count in some:
                z = gates_2TG[:, begin : begin + count]
                z.baddbmm_(h[:, :count], of_state_2PG)
                i, j, f, o = z.chunk(4, -1)
                i.sigmoid_()
                j.tanh_()
                z[..., 2 * cells :].sigmoid_()
                c = torch.addcmul(f * c[:, :count], i, j).clamp_(-cell_clip, cell_clip)
                h = torch.bmm(o * c.tanh(), project_2FP).clamp_(-projection_clip, projection_clip)
                at = slice(first + begin, first + begin + count)
                h_2TP[:, at], c_2TF[:, at] = h, c
                begin += count
        if keep:
            ctx.save_for_backward(x_2TP, gates, project_2FP, h_2BP, c_2BF, gates_2TG, h_2TP, c_2TF, steps.before_T)
            ctx.counts, ctx.clips = steps.counts, (cell_clip, projection_clip)
        ctx.mark_non_differentiable(c_2TF)
        return h_2TP, c_2TF

    @staticmethod
    def backward(ctx: Any, *gradients: Tensor) -> tuple[Tensor | None, ...]:
        x_2TP, gates, project_2FP, h_2BP, c_2BF, gates_2TG, h_2TP, c_2TF, before_T = ctx.saved_tensors
        cell_clip, projection_clip = ctx.clips
        width = x_2TP.shape[2]
        # A value that was clipped stands at the border, where nothing passes back.
        dh_2TP = gradients[0].clone()
        inside_2TP, inside_2TF = h_2TP.abs() < projection_clip, c_2TF.abs() < cell_clip
        c_before_2TF = torch.cat([c_2BF, c_2TF], 1)[:, before_T]
        to_cell_2PF, to_state_2GP = project_2FP.mT, gates[:, width:].mT
        dz_2TG = torch.empty_like(gates_2TG)
        end, dc = x_2TP.shape[1], c_2TF.new_zeros(2, 0, c_2TF.shape[2])
        dh = h_2TP.new_zeros(2, 0, width)
        for count in reversed(ctx.counts):
            at = slice(end - count, end)
            i, j, f, o = gates_2TG[:, at].chunk(4, -1)
            dh_2TP[:, at][:, : dh.shape[1]] += dh
            dh_2TP[:, at] *= inside_2TP[:, at]
            tanh_c = c_2TF[:, at].tanh()
            dm = torch.bmm(dh_2TP[:, at], to_cell_2PF)
            d = dm * o * (1 - tanh_c.square())
            d[:, : dc.shape[1]] += dc
            d *= inside_2TF[:, at]
            dz = dz_2TG[:, at]
            for part, outer, inner in zip(
                dz.chunk(4, -1),
                (d * j, d * i, d * c_before_2TF[:, at], dm * tanh_c),
                (i * (1 - i), 1 - j.square(), f * (1 - f), o * (1 - o)),
                strict=True,
            ):
                torch.mul(outer, inner, out=part)
            dc, dh, end = d * f, torch.bmm(dz, to_state_2GP), end - count
        read_2TP = torch.cat([x_2TP, torch.cat([h_2BP, h_2TP], 1)[:, before_T]], 2)
        given_2TF = gates_2TG.chunk(4, -1)[3] * c_2TF.tanh()
        return (
            torch.bmm(dz_2TG, gates[:, :width].mT),
            torch.bmm(read_2TP.mT, dz_2TG),
            dz_2TG.sum(1).flatten(),
            torch.bmm(given_2TF.mT, dh_2TP),
            *[None] * 6,
        )


class LstmLayer(nn.Module):
    """One layer, forward and backward.  Computed in fp32 whatever the autocast says: errors would add up step by step."""

    def __init__(self, spec: LstmSpec) -> None:
        super().__init__()
        width, cell = spec.width // 2, spec.feed_forward
        self.gates = nn.Parameter(torch.empty(2, 2 * width, 4 * cell))
        self.bias = nn.Parameter(torch.empty(2 * 4 * cell))
        self.project = nn.Parameter(torch.empty(2, cell, width))
        self.clips = tuple(inf if clip is None else clip for clip in (spec.cell_clip, spec.projection_clip))

    def forward(self, x_2TP: Tensor, steps: Steps, h_2BP: Tensor, c_2BF: Tensor) -> tuple[Tensor, Tensor]:
        """Tokens in the order of ``steps`` and the states before them -> projected states (2, T, P), cells (2, T, F)."""
        keep = torch.is_grad_enabled() and any(each.requires_grad for each in (x_2TP, *self.parameters()))
        with torch.autocast(x_2TP.device.type, enabled=False):
            out: tuple[Tensor, Tensor] = _Recurrence.apply(  # type: ignore[no-untyped-call]
                x_2TP.float(), self.gates, self.bias, self.project, h_2BP, c_2BF, steps, *self.clips, keep
            )
        return out

    def initialise(self) -> None:
        """Glorot's uniform distribution for each matrix, as TensorFlow has it; biases 0."""
        for matrix in (*self.gates, *self.project):
            nn.init.xavier_uniform_(matrix)
        nn.init.zeros_(self.bias)


class BiLstm(Stack):
    """Layers, one after the other, with dropout on what each reads (only in training)."""

    def __init__(self, spec: BiLstmSpec) -> None:
        super().__init__(spec)
        self.spec = spec
        self.dropout = Dropout(spec.block.dropout)

    def forward(self, x_TD: Tensor, positions_T: Tensor, layout: Ragged) -> list[Tensor]:  # type: ignore[override]
        """(T, D) -> what went in and what came out of each layer: layers + 1 tensors of (T, D), forward and backward half."""
        return self.run(x_TD, layout)[0]

    def run(self, x_TD: Tensor, layout: Ragged, state: LstmState | None = None) -> tuple[list[Tensor], LstmState]:
        """Go on from a state; None: from zero.  Returns the tensors of ``forward`` and the state after the batch.

        Row b of the state belongs to sequence b.  Rows that are missing begin as zero; those of no sequence stay.
        No gradient goes through a state.
        """
        steps, rows = Steps.of(layout), layout.batch
        state = (state or LstmState.zeros(self.spec, rows, x_TD.device)).at_least(rows)
        h_L2BP, c_L2BF = state.h_L2BP[:, :, steps.order_B], state.c_L2BF[:, :, steps.order_B]
        states, packed_2TP = [x_TD], steps.pack(x_TD)
        for number, (h_2BP, c_2BF) in enumerate(zip(h_L2BP, c_L2BF, strict=True)):
            read_2TP = self.dropout(packed_2TP)
            given = (read_2TP, steps, h_2BP, c_2BF)
            if self.recompute and self.training and torch.is_grad_enabled():
                h_2TP, c_2TF = checkpoint(self.blocks[number], *given, use_reentrant=False, context_fn=same_again)
            else:
                h_2TP, c_2TF = self.blocks[number](*given)
            packed_2TP = h_2TP + read_2TP if number and self.spec.skip else h_2TP
            states.append(steps.unpack(packed_2TP, len(x_TD)))
            state.h_L2BP[number, :, :rows] = steps.last(h_2BP, h_2TP)
            state.c_L2BF[number, :, :rows] = steps.last(c_2BF, c_2TF)
        return states, state
