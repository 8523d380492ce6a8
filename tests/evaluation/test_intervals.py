"""Intervals against SciPy, against cases worked by hand, and for what they promise: coverage."""

from __future__ import annotations

import numpy as np
import pytest

from maskwright.errors import InputError
from maskwright.evaluation.intervals import bootstrap, mean_sd, paired_difference, wilson


@pytest.mark.parametrize(("successes", "n"), [(0, 10), (1, 10), (5, 10), (10, 10), (0, 1), (812, 1043)])
def test_wilson_is_that_of_scipy(successes: int, n: int) -> None:
    from scipy.stats import binomtest

    theirs = binomtest(successes, n).proportion_ci(0.95, method="wilson")
    ours = wilson(successes, n)
    assert (ours.low, ours.high) == (pytest.approx(theirs.low, abs=1e-12), pytest.approx(theirs.high, abs=1e-12))
    assert 0 <= ours.low <= ours.value == successes / n <= ours.high <= 1


@pytest.mark.parametrize(("successes", "n"), [(0, 0), (3, 2), (-1, 2)])
def test_wilson_refuses_what_is_no_share(successes: int, n: int) -> None:
    with pytest.raises(InputError, match="no share"):
        wilson(successes, n)


def test_the_bootstrap_of_a_mean_is_near_the_normal_interval() -> None:
    values = np.random.default_rng(0).normal(3, 2, 500)
    found = bootstrap(np.mean, values, draws=4000)
    half = 1.96 * values.std() / np.sqrt(500)
    assert found.value == values.mean()
    assert found.low == pytest.approx(values.mean() - half, abs=0.02)
    assert found.high == pytest.approx(values.mean() + half, abs=0.02)


def test_drawing_at_once_and_one_by_one_give_the_same() -> None:
    values = np.random.default_rng(1).normal(size=50)
    at_once, one_by_one = bootstrap(np.mean, values), bootstrap(lambda x: x.mean(), values)
    assert (at_once.low, at_once.high) == (pytest.approx(one_by_one.low), pytest.approx(one_by_one.high))


def test_the_draws_do_not_depend_on_the_chunk(monkeypatch: pytest.MonkeyPatch) -> None:
    values = np.random.default_rng(1).normal(size=50)
    whole = bootstrap(np.mean, values, draws=101)
    monkeypatch.setattr("maskwright.evaluation.intervals.CHUNK", 350)
    assert bootstrap(np.mean, values, draws=101) == whole


def test_arrays_are_drawn_together() -> None:
    values = np.arange(40.0)
    found = bootstrap(lambda a, b: float(np.abs(a - b).max()), values, values)
    assert (found.low, found.high) == (0.0, 0.0)


def test_the_bootstrap_depends_on_its_seed_alone() -> None:
    values = np.random.default_rng(2).normal(size=30)
    assert (
        bootstrap(np.mean, values, seed=1) == bootstrap(np.mean, values, seed=1) != bootstrap(np.mean, values, seed=2)
    )


def test_the_bootstrap_covers_the_truth_about_as_often_as_it_says() -> None:
    rng = np.random.default_rng(3)
    intervals = [bootstrap(np.mean, rng.random(200) < 0.7, draws=400, seed=n) for n in range(300)]
    assert 0.91 <= np.mean([found.low <= 0.7 <= found.high for found in intervals]) <= 0.98


@pytest.mark.parametrize(("arrays", "draws"), [(([],), 10), (([1], [1, 2]), 10), (([1],), 0), ((), 10)])
def test_a_bootstrap_of_nothing_is_refused(arrays: tuple[list[int], ...], draws: int) -> None:
    with pytest.raises(InputError, match="bootstrap"):
        bootstrap(np.mean, *arrays, draws=draws)


def test_mcnemar_equals_the_hand_worked_case() -> None:
    # 5 examples that A alone gets right and 1 that B alone does: p = 2 * (1 + 6) / 2^6.
    a = [True] * 5 + [False] + [True] * 10
    b = [False] * 5 + [True] + [True] * 10
    found = paired_difference(a, b)
    assert (found.only_a, found.only_b) == (5, 1)
    assert found.p_value == pytest.approx(14 / 64)
    assert found.difference.value == pytest.approx(4 / 16)
    assert found.difference.low <= 0.25 <= found.difference.high


def test_two_equal_systems_do_not_differ() -> None:
    found = paired_difference([True, False], [True, False])
    assert (found.difference.value, found.difference.low, found.difference.high, found.p_value) == (0, 0, 0, 1)


def test_a_comparison_is_the_same_seen_from_the_other_side() -> None:
    rng = np.random.default_rng(4)
    a, b = rng.random((2, 80)) < 0.6
    one, other = paired_difference(a, b), paired_difference(b, a)
    assert one.difference.low == pytest.approx(-other.difference.high)
    assert one.p_value == other.p_value


def test_systems_that_answered_different_examples_are_refused() -> None:
    with pytest.raises(InputError, match="same examples"):
        paired_difference([True], [True, False])


def test_the_interval_over_seeds_is_students() -> None:
    from scipy.stats import t

    scores = [0.80, 0.82, 0.87]
    found = mean_sd(scores)
    assert found.mean == pytest.approx(0.83)
    assert found.sd == pytest.approx(0.0360555, abs=1e-6)  # sqrt((0.03² + 0.01² + 0.04²) / 2)
    low, high = t.interval(0.95, 2, loc=np.mean(scores), scale=np.std(scores, ddof=1) / np.sqrt(3))
    assert (found.interval.low, found.interval.high) == (pytest.approx(low), pytest.approx(high))


def test_one_seed_has_no_spread() -> None:
    found = mean_sd([0.8])
    assert (found.mean, found.sd, found.interval, found.count) == (0.8, None, None, 1)


@pytest.mark.parametrize("scores", [[], [0.5, float("nan")]])
def test_scores_that_say_nothing_are_refused(scores: list[float]) -> None:
    with pytest.raises(InputError, match="over seeds"):
        mean_sd(scores)
