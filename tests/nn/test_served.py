"""A whole block in one kernel: what the block gives, row by row the same whatever stands beside it."""

from __future__ import annotations

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor

from maskwright import machine, native
from maskwright.nn.block import Block, BlockSpec
from maskwright.nn.layout import Grid, Ragged, Read
from maskwright.nn.served import Served, serves

pytestmark = pytest.mark.skipif(not native.here(), reason=native.why_not() or "there are kernels")
FEW, MANY = [7, 1, 33], [30, 3, 64, 17, 1, 50, 120, 41, 28, 28, 9, 77, 96, 5, 31]


def block_of(width: int = 96, heads: int = 3, feed_forward: int = 208, **given: object) -> Block:
    with machine.seeded(0):
        block = BlockSpec(width=width, heads=heads, feed_forward=feed_forward, **given).build()  # type: ignore[arg-type]
        for each in block.parameters():  # biases and norms that start as zeros and ones would hide what is left out
            torch.nn.init.normal_(each, std=0.1 if each.dim() > 1 else 0.5)
    return block.eval()


def given(lengths: list[int], width: int = 96, extra: int = 0) -> tuple[Tensor, Tensor, Ragged]:
    layout = Ragged.of(lengths, sum(lengths) + extra)
    x = torch.randn(len(layout.row), width, generator=torch.Generator().manual_seed(1))
    return x, torch.zeros(len(x), dtype=torch.int64), layout


@pytest.mark.parametrize("lengths", [FEW, MANY])
@pytest.mark.parametrize(("width", "heads", "feed_forward"), [(96, 3, 208), (64, 4, 256), (48, 1, 16), (384, 12, 1536)])
@torch.no_grad()
def test_it_gives_what_the_block_gives_in_fp32(lengths: list[int], width: int, heads: int, feed_forward: int) -> None:
    block, (x, positions, layout) = block_of(width, heads, feed_forward), given(lengths, width, extra=5)
    found, wanted = Served(block)(x, positions, layout), block(x, positions, layout)
    off = (found - wanted)[: layout.tokens].norm() / wanted[: layout.tokens].norm()
    assert off < 0.006  # bf16 has eight bits: 0.002 a rounding
    assert not found[layout.tokens :].any()


@torch.no_grad()
def test_behind_attention_it_is_exact_but_for_the_roundings_that_bf16_needs() -> None:
    block, (x, positions, layout) = block_of(), given([300])
    block.out.weight.zero_()  # what attention rounds is not followed here

    def product(linear: torch.nn.Linear, x: Tensor) -> Tensor:
        return F.linear(x.bfloat16().float(), linear.weight.bfloat16().float(), linear.bias)

    middle = block.attend_norm(x + block.out.bias)
    wanted = block.feed_norm(middle + product(block.down, F.gelu(product(block.up, middle))))
    off = (Served(block)(x, positions, layout) - wanted).norm() / wanted.norm()
    assert off < 2e-4  # a few values fall on the other side when they are rounded


@torch.no_grad()
def test_only_tokens_that_are_read() -> None:
    block, (x, positions, layout) = block_of(), given(MANY)
    whole, read = Served(block)(x, positions, layout), Read.of(layout, [layout.first_B, torch.tensor([3, 4, 40, 41])])
    found = Served(block)(x, positions, layout, read=read)
    rows = read.rows_R[: read.count]
    assert torch.equal(found[rows], whole[rows])
    found[rows] = 0
    assert not found.any()


@torch.no_grad()
def test_bits_depend_neither_on_threads_nor_on_company() -> None:
    served, (x, positions, layout) = Served(block_of()), given(MANY)
    whole, before = served(x, positions, layout), torch.get_num_threads()
    try:
        for threads in (1, 2, 3):
            torch.set_num_threads(threads)
            assert torch.equal(served(x, positions, layout), whole)
            for begin, end in zip(layout.cu[:-1], layout.cu[1:], strict=True):
                alone = served(x[begin:end], positions[begin:end], Ragged.of([int(end - begin)]))
                assert torch.equal(alone, whole[begin:end])
    finally:
        torch.set_num_threads(before)


@torch.no_grad()
def test_a_rectangle_goes_through_the_block_itself() -> None:
    block, (x, positions, _) = block_of(), given([8, 8])
    assert torch.equal(Served(block)(x, positions, Grid(2, 8)), block(x, positions, Grid(2, 8)))


@pytest.mark.parametrize(
    "change",
    [{"norm": "pre"}, {"causal": True}, {"gated": True}, {"bias": False}, {"activation": "relu"}, {"heads": 4}],
)
def test_other_blocks_are_not_taken(change: dict[str, object]) -> None:
    assert serves(block_of()) and not serves(block_of(**change))  # type: ignore[arg-type]
