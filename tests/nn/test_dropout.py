"""Dropout masks are a function of what they are for."""

import math

import pytest
import torch

from maskwright.nn.dropout import Dropout, dropout_key, keep_mask, next_key


def drop(layer: Dropout, *key: int) -> torch.Tensor:
    with dropout_key(*key):
        return layer(torch.ones(64, 33))


def test_the_same_key_gives_the_same_mask_and_any_other_number_another() -> None:
    layer = Dropout(0.3).train()
    first = drop(layer, 1, 2, 3, 4)
    assert torch.equal(first, drop(layer, 1, 2, 3, 4))
    for other in ((2, 2, 3, 4), (1, 3, 3, 4), (1, 2, 4, 4), (1, 2, 3, 5), (2, 1, 3, 4)):
        assert not torch.equal(first, drop(layer, *other))


def test_each_place_in_a_pass_has_its_own_mask() -> None:
    layer, x = Dropout(0.5).train(), torch.ones(64, 33)
    with dropout_key(1, 2):
        one, two = layer(x), layer(x)
    assert not torch.equal(one, two)
    with dropout_key(1, 2):
        assert torch.equal(layer(x), one) and torch.equal(layer(x), two)


def test_inside_a_key_torch_s_generator_is_neither_used_nor_moved() -> None:
    state = torch.get_rng_state()
    drop(Dropout(0.3).train(), 1, 2)
    assert torch.equal(torch.get_rng_state(), state)


def test_outside_a_key_masks_follow_manual_seed() -> None:
    layer, x = Dropout(0.3).train(), torch.ones(1000)
    made = []
    for seed in (5, 5, 6):
        torch.manual_seed(seed)
        made.append(layer(x))
    assert torch.equal(made[0], made[1])
    assert not torch.equal(made[0], made[2])
    assert not torch.equal(made[0], layer(x))


def test_a_key_inside_a_key_ends_with_its_block() -> None:
    with dropout_key(1, 1):
        first = next_key()
        with dropout_key(2, 2):
            next_key()
        second = next_key()
    with dropout_key(1, 1):
        assert [next_key(), next_key()] == [first, second]


@pytest.mark.parametrize("rate", [0.01, 0.1, 0.5, 0.9])
def test_values_are_dropped_at_the_rate_and_the_expectation_is_kept(rate: float) -> None:
    count = 400_003
    mask, factor = keep_mask(count, rate, 7, torch.device("cpu"))
    assert mask.shape == (count,)
    rounded = round(rate * 65_536) / 65_536
    assert factor * (1 - rounded) == pytest.approx(1, rel=1e-12)
    assert abs(float((~mask).double().mean()) - rounded) < 4 * math.sqrt(rate * (1 - rate) / count)
    for lane in range(4):  # each quarter of a generator's word by itself
        part = (~mask[lane::4]).double().mean()
        assert abs(float(part) - rounded) < 5 * math.sqrt(rate * (1 - rate) / (count / 4))


def test_the_gradient_is_dropped_where_the_value_was() -> None:
    x = torch.randn(500, requires_grad=True)
    with dropout_key(1, 2):
        out = Dropout(0.4).train()(x)
    out.sum().backward()
    assert x.grad is not None
    assert torch.equal(x.grad * x, out)


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16, torch.float64])
def test_dropout_keeps_type_and_shape(dtype: torch.dtype) -> None:
    out = Dropout(0.5).train()(torch.ones(3, 4, 5, dtype=dtype))
    assert out.dtype == dtype and out.shape == (3, 4, 5)


def test_nothing_is_dropped_in_evaluation_or_at_rate_zero() -> None:
    x = torch.randn(100)
    assert Dropout(0.5).eval()(x) is x
    assert Dropout(0.0).train()(x) is x
