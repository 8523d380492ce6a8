"""Sampled softmax: draws, expected counts and losses as TensorFlow's formulas have them, on vocabularies small enough to sum up."""

import math

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from hypothesis import given
from hypothesis import strategies as st

from maskwright.keys import Key
from maskwright.objectives.candidates import Candidates, draw_classes, expected, sampled


def zipf(vocabulary: int) -> np.ndarray:
    """TensorFlow's log-uniform distribution: P(c) = (log(c + 2) - log(c + 1)) / log(V + 1)."""
    classes = np.arange(vocabulary)
    return (np.log(classes + 2) - np.log(classes + 1)) / math.log(vocabulary + 1)


@given(st.integers(2, 400), st.data())
def test_candidates_are_different_classes_and_the_same_for_the_same_key(vocabulary: int, data: st.DataObject) -> None:
    count = data.draw(st.integers(1, vocabulary - 1))
    key = Key(data.draw(st.integers(0, 99)))
    classes, draws = draw_classes(key.stream("x"), count, vocabulary)
    assert len(set(classes.tolist())) == len(classes) == count <= draws
    assert classes.min() >= 0 and classes.max() < vocabulary
    again, same = draw_classes(key.stream("x"), count, vocabulary)
    assert np.array_equal(classes, again) and draws == same


def test_draws_are_those_that_were_made_until_enough_classes_were_there() -> None:
    vocabulary, count = 30, 12
    for seed in range(50):
        classes, draws = draw_classes(Key(seed).stream("x"), count, vocabulary)
        uniforms = Key(seed).stream("x").uniforms(4_000)
        one_by_one: list[int] = []
        while len(set(one_by_one)) < count:
            one_by_one.append(int(math.exp(uniforms[len(one_by_one)] * math.log(vocabulary + 1))) - 1)
        assert draws == len(one_by_one) and set(one_by_one) == set(classes.tolist())


def test_a_single_draw_follows_the_law_of_zipf() -> None:
    vocabulary, times = 12, 20_000
    seen = np.zeros(vocabulary)
    for seed in range(times):
        classes, draws = draw_classes(Key(seed).stream("x"), 1, vocabulary)
        seen[classes] += 1
        assert draws == 1
    shares = zipf(vocabulary)
    assert shares.sum() == pytest.approx(1)
    assert (np.abs(seen / times - shares) < 4 * np.sqrt(shares / times)).all()


def test_expected_counts_are_the_closed_form_and_the_mean_over_draws() -> None:
    vocabulary, count, times = 40, 10, 3_000
    given_n = expected(torch.arange(vocabulary), 17, vocabulary).exp().numpy()
    assert np.allclose(given_n, 1 - (1 - zipf(vocabulary)) ** 17)
    seen, told = np.zeros(vocabulary), np.zeros(vocabulary)
    for seed in range(times):
        drawn = Candidates.of(Key(seed).stream("x"), count, vocabulary, torch.device("cpu"))
        seen[drawn.classes_S.numpy()] += 1
        told += drawn.expected(torch.arange(vocabulary)).exp().numpy()
    # The formula takes n for fixed; it is a few per cent from the truth, as in TensorFlow.
    assert np.abs(seen / times - told / times).max() < 0.05


def parts(vocabulary: int = 50, targets: int = 6, width: int = 5) -> tuple[torch.Tensor, ...]:
    generator = torch.Generator().manual_seed(0)
    states, weight = (torch.randn(rows, width, generator=generator) for rows in (targets, vocabulary))
    bias = torch.randn(vocabulary, generator=generator)
    labels = torch.tensor([0, 3, 3, 17, 49, 1])[:targets]
    return tuple(each.requires_grad_() if each.is_floating_point() else each for each in (states, weight, bias, labels))


def test_the_loss_is_tensorflow_s_by_hand() -> None:
    states, weight, bias, labels = parts()
    drawn = Candidates.of(Key(3).stream("x"), 20, 50, torch.device("cpu"))
    chosen, shares = drawn.classes_S.tolist(), zipf(50)
    assert set(chosen) & set(labels.tolist()), (
        "a right word must be among the candidates for this test to say something"
    )
    expected_sum = 0.0
    for h, label in zip(states.detach().numpy(), labels.tolist(), strict=True):

        def score(number: int, h: np.ndarray = h) -> float:
            plain = float(weight.detach().numpy()[number] @ h + bias.detach().numpy()[number])
            return plain - math.log(-math.expm1(drawn.draws * math.log1p(-shares[number])))

        others = [score(number) for number in chosen if number != label]
        expected_sum -= score(label) - math.log(sum(map(math.exp, [score(label), *others])))
    part = sampled(states, weight, bias, labels, 6, drawn)
    assert float(part.sum.detach()) == pytest.approx(expected_sum, rel=1e-5)
    assert part.count == 6 and part.hits is None


def test_rows_that_fill_up_count_for_nothing() -> None:
    states, weight, bias, labels = parts()
    drawn = Candidates.of(Key(3).stream("x"), 20, 50, torch.device("cpu"))
    filled = torch.cat([labels[:4], torch.tensor([-100, -100])])
    part = sampled(states, weight, bias, filled, 4, drawn)
    part.sum.backward()  # type: ignore[no-untyped-call]
    assert float(part.sum.detach()) == pytest.approx(
        float(sampled(states[:4], weight, bias, labels[:4], 4, drawn).sum.detach())
    )
    assert states.grad is not None and not states.grad[4:].any()


def test_with_every_class_drawn_for_sure_it_is_the_softmax_over_all() -> None:
    states, weight, bias, labels = parts()
    every = Candidates(torch.arange(50), 1_000_000, 50)
    found = torch.autograd.grad(sampled(states, weight, bias, labels, 6, every).sum, (states, weight, bias))
    whole = F.cross_entropy(F.linear(states, weight, bias), labels, reduction="sum")
    for mine, theirs in zip(found, torch.autograd.grad(whole, (states, weight, bias)), strict=True):
        assert torch.allclose(mine, theirs, atol=1e-5)


def test_the_mean_gradient_over_draws_comes_near_to_that_of_the_softmax_over_all_because_of_the_correction() -> None:
    states, weight, bias, labels = parts()
    whole = F.cross_entropy(F.linear(states, weight, bias), labels, reduction="sum")
    (true,) = torch.autograd.grad(whole, states)

    def distance(count: int, corrected: bool = True) -> float:
        mean = torch.zeros_like(states)
        for seed in range(400):
            drawn = Candidates.of(Key(seed).stream("x"), count, 50, torch.device("cpu"))
            if not corrected:
                drawn = Candidates(drawn.classes_S, 1_000_000, 50)  # every class as if drawn for sure
            (gradient,) = torch.autograd.grad(sampled(states, weight, bias, labels, 6, drawn).sum, states)
            mean += gradient / 400
        return float((mean - true).norm() / true.norm())

    near, nearer, far = distance(25), distance(40), distance(25, corrected=False)
    assert nearer < 0.03 < near < 0.1 < far
