"""Whole blocks in one kernel: what the blocks give, row by row the same whatever stands beside it."""

from __future__ import annotations

import pytest
import torch
import torch.nn.functional as F
from nets import net_of
from torch import Tensor

from maskwright import machine, native
from maskwright.nn.block import BlockSpec
from maskwright.nn.layout import Grid, Ragged, Read
from maskwright.nn.served import Served, serves
from maskwright.nn.stack import Stack, StackSpec
from maskwright.nn.whole import factors

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


def factors_of(stack: Stack) -> dict[torch.nn.Linear, Tensor]:
    draw = torch.Generator().manual_seed(2)
    layers = [m for m in stack.modules() if isinstance(m, torch.nn.Linear)]
    return {layer: 0.5 + torch.rand(layer.in_features, generator=draw) for layer in layers}


@torch.no_grad()
def test_in_whole_numbers_it_is_exact_but_for_the_roundings_that_they_need() -> None:
    stack, (x, positions, layout) = stack_of(layers=1), given([300])
    block, given_factors = stack.blocks[0], factors_of(stack)
    block.out.weight.zero_()

    def product(linear: torch.nn.Linear, x: Tensor) -> Tensor:
        x, weight = x * given_factors[linear], linear.weight / given_factors[linear]
        low, steps = x.amin(1, keepdim=True).clamp(max=0), weight.abs().amax(1, keepdim=True) / 127
        step = (x.amax(1, keepdim=True).clamp(min=0) - low) / 255
        zero = (-low / step).round()
        return F.linear(((x / step + zero).round() - zero) * step, (weight / steps).round() * steps, linear.bias)

    middle = block.attend_norm(x + block.out.bias)
    wanted = block.feed_norm(middle + product(block.down, F.gelu(product(block.up, middle)).bfloat16().float()))
    off = (Served(stack, given_factors)(x, positions, layout)[-1] - wanted).norm() / wanted.norm()
    assert off < 2e-4


@pytest.mark.parametrize("lengths", [FEW, MANY])
@torch.no_grad()
def test_in_whole_numbers_it_gives_about_the_same(lengths: list[int]) -> None:
    stack, (x, positions, layout) = stack_of(), given(lengths, extra=5)
    found, wanted = Served(stack, factors_of(stack))(x, positions, layout)[-1], stack(x, positions, layout)[-1]
    assert (found - wanted)[: layout.tokens].norm() / wanted[: layout.tokens].norm() < 0.03
    assert not found[layout.tokens :].any()


def test_factors_are_small_where_states_are_large() -> None:
    net = net_of("bert")
    with torch.no_grad():
        net.stack.blocks[1].attend_norm.weight[7] = 50.0
    found = factors(net)
    up = found[net.stack.blocks[1].up]
    assert up.argmin() == 7 and up[7] < 0.5 * up.median() and len(found) == 4 * len(net.stack.blocks)
    assert all(torch.equal(found[layer], again) for layer, again in factors(net).items())


@pytest.mark.parametrize("int8", [False, True])
@torch.no_grad()
def test_only_tokens_that_are_read(int8: bool) -> None:
    stack, (x, positions, layout) = stack_of(), given(MANY)
    served, before = Served(stack, factors_of(stack) if int8 else None), torch.get_num_threads()
    all_of_it = served(x, positions, layout)[-1]
    everything, nearly, few = torch.arange(len(x)), torch.arange(30), torch.tensor([3, 4, 40, 41])
    for threads in (1, 2, 4):  # four share all sequences, a step after the other
        torch.set_num_threads(threads)
        for rows in ([few], [everything], [nearly], [layout.first_B, few, torch.arange(64, 77)]):
            read = Read.of(layout, rows)
            found = served(x, positions, layout, read=read)[-1]
            assert torch.equal(found[read.rows_R[: read.count]], all_of_it[read.rows_R[: read.count]])
    torch.set_num_threads(before)
    read = Read.of(layout, [layout.first_B, torch.tensor([3, 4, 40, 41]), torch.arange(64, 77)])
    found = served(x, positions, layout, read=read)[-1]
    rows = read.rows_R[: read.count]
    assert torch.equal(found[rows], all_of_it[rows])
    found[rows] = 0
    assert not found.any()


@pytest.mark.parametrize("int8", [False, True])
@torch.no_grad()
def test_bits_depend_neither_on_threads_nor_on_company(int8: bool) -> None:
    stack, (x, positions, layout) = stack_of(), given(MANY)
    served = Served(stack, factors_of(stack) if int8 else None)
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
