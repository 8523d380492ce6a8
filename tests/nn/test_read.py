"""Tokens whose last state nobody asks for are left out, and nothing that is asked for changes."""

from __future__ import annotations

import pytest
import torch
from nets import net_of
from torch import Tensor

from maskwright import machine
from maskwright.data.batch import Batch
from maskwright.nn.layout import Ragged, Read

LENGTHS = [5, 1, 9, 4, 2]
ROWS = [torch.tensor([6, 0, 16]), torch.tensor([0, 5, 15])]
"""None of the last sequence, one twice, and not in order."""
NARROW = ["bert", "roberta", "albert", "ernie", "electra", "distilbert", "transformer", "bart"]
"""Of the last two the encoder."""
OTHERS = ["modernbert", "gpt", "gpt2", "t5"]


def batch_of(total: int) -> Batch:
    draw = torch.Generator().manual_seed(0)
    layout = Ragged.of(LENGTHS, total)
    positions = torch.cat([*(torch.arange(n) for n in LENGTHS), torch.zeros(total - sum(LENGTHS), dtype=torch.int64)])
    return Batch(torch.randint(50, (total,), generator=draw), positions, torch.zeros_like(positions), layout)


def test_rows_keep_their_sequence() -> None:
    read = Read.of(Ragged.of(LENGTHS, 24), ROWS)
    assert read.rows_R.tolist() == [0, 5, 6, 15, 16] and read.count == 5
    assert read.layout.cu.tolist() == [0, 1, 2, 3, 5, 5] and (read.layout.longest, read.layout.tokens) == (2, 5)
    assert read.layout.row.tolist() == [0, 1, 2, 3, 3]
    spread = read.spread(torch.arange(1.0, 6)[:, None], 24)[:, 0]
    assert spread.nonzero().flatten().tolist() == [0, 5, 6, 15, 16] and spread[[0, 5, 6, 15, 16]].tolist() == [
        1,
        2,
        3,
        4,
        5,
    ]


def test_what_fills_up_is_in_a_sequence_and_comes_back_to_no_token() -> None:
    layout = Ragged.of([40, 40], 128)
    read = Read.of(layout, [torch.arange(33)])
    assert len(read.rows_R) == 36 and read.count == 33 and read.layout.tokens == 36
    assert read.layout.cu.tolist() == [0, 36, 36] and set(read.layout.row.tolist()) == {0}
    spread = read.spread(torch.arange(1.0, 37)[:, None], 128)[:, 0]
    assert spread.tolist() == [*range(1, 34), *[0] * 95]


@pytest.mark.parametrize("family", NARROW)
@pytest.mark.parametrize("precision", ["fp32", "bf16"])
@pytest.mark.parametrize("kernel", ["", "padded", "per-sequence"])
def test_what_is_read_is_what_it_was(family: str, precision: str, kernel: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MASKWRIGHT_ATTENTION", kernel)
    net, batch = net_of(family), batch_of(24)
    assert net.narrows
    given = batch.ids_T, batch.positions_T, batch.segments_T, batch.layout
    rows = torch.cat(ROWS)
    weights = torch.randn(len(rows), 32, generator=torch.Generator().manual_seed(1))

    def learnt(read: Read | None) -> tuple[Tensor, list[Tensor]]:
        net.zero_grad()
        with machine.autocast(torch.device("cpu"), getattr(torch, {"fp32": "float32", "bf16": "bfloat16"}[precision])):
            states_TD = net(*given, read=read)[-1]
        (states_TD[rows].float() * weights).sum().backward()
        return states_TD.detach(), [p.grad.clone() for p in net.parameters() if p.grad is not None]

    whole, gradients = learnt(None)
    part, narrow = learnt(Read.of(batch.layout, ROWS))
    near = 1e-5 if precision == "fp32" else 0.03
    torch.testing.assert_close(part[rows], whole[rows], rtol=near, atol=near)
    left = torch.ones(24, dtype=torch.bool).index_fill(0, rows, False)
    assert not part[left].any() and whole[left].any()
    for one, other in zip(gradients, narrow, strict=True):
        assert (one - other).abs().max() <= near * one.abs().max().clamp(min=1e-3)


@pytest.mark.parametrize("family", OTHERS)
def test_others_compute_everything(family: str) -> None:
    """Causal, pre-norm or with positions of their own: rows are a permission, not a duty."""
    net, batch = net_of(family), batch_of(24)
    assert not net.narrows
    given = batch.ids_T, batch.positions_T, batch.segments_T, batch.layout
    assert torch.equal(net(*given, read=Read.of(batch.layout, ROWS))[-1], net(*given)[-1])
