"""Whole blocks in one kernel: what the blocks give, row by row the same whatever stands beside it."""

from __future__ import annotations

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor

from maskwright import machine, native
from maskwright.nn.block import BlockSpec
from maskwright.nn.layout import Grid, Ragged, Read
from maskwright.nn.served import Served, serves
from maskwright.nn.stack import Stack, StackSpec

pytestmark = pytest.mark.skipif(not native.here(), reason=native.why_not() or "there are kernels")
FEW, MANY = [7, 1, 33], [30, 3, 64, 17, 1, 50, 120, 41, 28, 28, 9, 77, 96, 5, 31]


def stack_of(width: int = 96, heads: int = 3, feed_forward: int = 208, layers: int = 3, **given: object) -> Stack:
    block = BlockSpec(width=width, heads=heads, feed_forward=feed_forward, **given)  # type: ignore[arg-type]
    with machine.seeded(0):
        stack = StackSpec(layers=layers, block=block).build()
        for each in stack.parameters():  # biases and norms that start as zeros and ones would hide what is left out
            torch.nn.init.normal_(each, std=0.1 if each.dim() > 1 else 0.5)
    return stack.eval()


def given(lengths: list[int], width: int = 96, extra: int = 0) -> tuple[Tensor, Tensor, Ragged]:
    layout = Ragged.of(lengths, sum(lengths) + extra)
    x = torch.randn(len(layout.row), width, generator=torch.Generator().manual_seed(1))
    return x, torch.zeros(len(x), dtype=torch.int64), layout


@pytest.mark.parametrize("lengths", [FEW, MANY])
@pytest.mark.parametrize(("width", "heads", "feed_forward"), [(96, 3, 208), (64, 4, 256), (48, 1, 16), (384, 12, 1536)])
@torch.no_grad()
def test_it_gives_what_the_blocks_give_in_fp32(lengths: list[int], width: int, heads: int, feed_forward: int) -> None:
    stack, (x, positions, layout) = stack_of(width, heads, feed_forward), given(lengths, width, extra=5)
    for found, wanted in zip(Served(stack)(x, positions, layout), stack(x, positions, layout), strict=True):
        off = (found - wanted)[: layout.tokens].norm() / wanted[: layout.tokens].norm()
        assert off < 0.012  # bf16 has eight bits: 0.002 a rounding
        assert found is x or not found[layout.tokens :].any()


@torch.no_grad()
def test_behind_attention_it_is_exact_but_for_the_roundings_that_bf16_needs() -> None:
    stack, (x, positions, layout) = stack_of(layers=1), given([300])
    block = stack.blocks[0]
    block.out.weight.zero_()  # what attention rounds is not followed here

    def product(linear: torch.nn.Linear, x: Tensor) -> Tensor:
        return F.linear(x.bfloat16().float(), linear.weight.bfloat16().float(), linear.bias)

    middle = block.attend_norm(x + block.out.bias)
    wanted = block.feed_norm(middle + product(block.down, F.gelu(product(block.up, middle))))
    off = (Served(stack)(x, positions, layout)[-1] - wanted).norm() / wanted.norm()
    assert off < 2e-4  # a few values fall on the other side when they are rounded


@torch.no_grad()
def test_only_tokens_that_are_read() -> None:
    served, (x, positions, layout) = Served(stack_of()), given(MANY)
    whole = served(x, positions, layout)[-1]
    read = Read.of(layout, [layout.first_B, torch.tensor([3, 4, 40, 41]), torch.arange(64, 77)])
    found = served(x, positions, layout, read=read)[-1]
    rows = read.rows_R[: read.count]
    assert torch.equal(found[rows], whole[rows])
    found[rows] = 0
    assert not found.any()


@torch.no_grad()
def test_bits_depend_neither_on_threads_nor_on_company() -> None:
    served, (x, positions, layout) = Served(stack_of()), given(MANY)
    whole, before = served(x, positions, layout)[-1], torch.get_num_threads()
    try:
        for threads in (1, 2, 3):
            torch.set_num_threads(threads)
            assert torch.equal(served(x, positions, layout)[-1], whole)
            for begin, end in zip(layout.cu[:-1], layout.cu[1:], strict=True):
                alone = Ragged.of([int(end - begin)])
                assert torch.equal(served(x[begin:end], positions[begin:end], alone)[-1], whole[begin:end])
                first = Read.of(alone, [alone.first_B])
                found = served(x[begin:end], positions[begin:end], alone, read=first)[-1]
                assert torch.equal(found[0], whole[begin])
    finally:
        torch.set_num_threads(before)


@torch.no_grad()
def test_a_rectangle_goes_through_the_blocks_themselves() -> None:
    stack, (x, positions, _) = stack_of(), given([8, 8])
    found, wanted = (each(x, positions, Grid(2, 8))[-1] for each in (Served(stack), stack))
    assert torch.equal(found, wanted)


@pytest.mark.parametrize(
    "change",
    [{"norm": "pre"}, {"causal": True}, {"gated": True}, {"bias": False}, {"activation": "relu"}, {"heads": 4}],
)
def test_other_blocks_are_not_taken(change: dict[str, object]) -> None:
    assert serves(stack_of()) and not serves(stack_of(**change))  # type: ignore[arg-type]


def test_neither_are_any_where_attention_is_named_by_hand(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MASKWRIGHT_ATTENTION", "per-sequence")
    assert not serves(stack_of())
