"""Metrics against cases worked by hand and against scikit-learn."""

from __future__ import annotations

import math

import numpy as np
import pytest

from maskwright.errors import ConfigError, InputError
from maskwright.evaluation.metrics import METRICS, headline, metric

TRUTH = [1, 1, 1, 0, 0, 0, 0, 0]
PREDICTED = [1, 1, 0, 1, 0, 0, 0, 0]  # 2 true positives, 1 false negative, 1 false positive, 4 true negatives


def test_classification_metrics_equal_the_hand_worked_case() -> None:
    assert metric("accuracy")(TRUTH, PREDICTED) == {"accuracy": 6 / 8}
    assert metric("f1")(TRUTH, PREDICTED)["f1"] == pytest.approx(2 / 3)
    assert metric("macro_f1")(TRUTH, PREDICTED)["macro_f1"] == pytest.approx((2 / 3 + 4 / 5) / 2)
    assert metric("matthews")(TRUTH, PREDICTED)["matthews"] == pytest.approx((2 * 4 - 1 * 1) / math.sqrt(3 * 3 * 5 * 5))
    assert metric("accuracy_f1")(TRUTH, PREDICTED) == {"accuracy": 0.75, "f1": pytest.approx(2 / 3)}


def test_correlations_equal_the_hand_worked_case() -> None:
    # x - 2.5 = (-1.5, -0.5, 0.5, 1.5); y - 3.5 = (-2.5, -1.5, -0.5, 4.5): products 11, squares 5 and 29.
    assert metric("pearson_spearman")([1, 2, 3, 4], [1, 2, 3, 8]) == {
        "pearson": pytest.approx(11 / math.sqrt(5 * 29)),
        "spearman": pytest.approx(1.0),
    }
    assert metric("spearman")([1, 2, 3, 4], [2, 1, 4, 3])["spearman"] == pytest.approx(1 - 6 * 4 / (4 * 15))


def test_f1_is_that_of_scikit_learn() -> None:
    from sklearn.metrics import f1_score

    rng = np.random.default_rng(0)
    for _ in range(20):
        truth, predicted = rng.integers(0, 2, (2, 30))
        assert metric("f1")(truth, predicted)["f1"] == pytest.approx(f1_score(truth, predicted))


def test_correlations_are_those_of_their_formulas() -> None:
    rng = np.random.default_rng(1)
    for _ in range(20):
        truth, said = rng.integers(0, 2, (2, 40))
        a, b, c, d = (int(np.sum((truth == t) & (said == s))) for t, s in ((1, 1), (0, 0), (0, 1), (1, 0)))
        expected = (a * b - c * d) / math.sqrt((a + c) * (a + d) * (b + c) * (b + d))
        assert metric("matthews")(truth, said)["matthews"] == pytest.approx(expected)
        x, y = rng.normal(size=(2, 40)).round(1)  # rounded, so that some are equal
        assert metric("pearson")(x, y)["pearson"] == pytest.approx(np.corrcoef(x, y)[0, 1])
        ranks = [np.array([(v < z).sum() + ((v == z).sum() + 1) / 2 for z in v]) for v in (x, y)]
        assert metric("spearman")(x, y)["spearman"] == pytest.approx(np.corrcoef(*ranks)[0, 1])


def test_f1_is_of_the_class_one_and_matters_which() -> None:
    assert metric("f1")([1, 0, 0, 0], [0, 0, 0, 0]) == {"f1": 0.0}
    assert metric("f1")([1, 1, 1, 0], [1, 1, 1, 1])["f1"] == pytest.approx(6 / 7)


@pytest.mark.parametrize("name", ["f1", "matthews", "pearson", "spearman", "pearson_spearman"])
@pytest.mark.parametrize("truth", [[0, 1, 0, 1], [0, 0, 0, 0]])
def test_a_constant_answer_scores_zero_without_a_warning(name: str, truth: list[int]) -> None:
    assert set(metric(name)(truth, [0, 0, 0, 0]).values()) == {0.0}


def test_labels_may_be_names() -> None:
    assert metric("accuracy")(["cat", "dog"], ["cat", "cat"]) == {"accuracy": 0.5}
    assert metric("macro_f1")(["cat", "dog"], ["cat", "cat"])["macro_f1"] == pytest.approx(1 / 3)
    assert metric("matthews")(["cat", "dog"], ["cat", "dog"]) == {"matthews": pytest.approx(1.0)}


@pytest.mark.parametrize("entry", list(METRICS), ids=lambda entry: entry.name)
def test_every_metric_refuses_what_it_cannot_score(entry: object) -> None:
    score = metric(entry.name)
    with pytest.raises(InputError, match="no examples"):
        score([], [])
    with pytest.raises(InputError, match=r"\(2,\) and predictions \(3,\)"):
        score([0, 1], [0, 1, 1])
    with pytest.raises(InputError, match="nan at place 1"):
        score([0.0, 1.0], [0.0, math.nan])


@pytest.mark.parametrize("entry", list(METRICS), ids=lambda entry: entry.name)
def test_every_metric_is_one_for_perfect_predictions(entry: object) -> None:
    values = metric(entry.name)(TRUTH, TRUTH)
    assert all(type(value) is float and value == pytest.approx(1.0) for value in values.values())
    if entry.name == "multilabel":
        assert list(values) == ["micro_f1", "macro_f1", "average_precision"]
        return
    assert list(values) == (
        [entry.name] if "_" not in entry.name or entry.name == "macro_f1" else entry.name.split("_")
    )


def test_an_unknown_metric_is_refused_with_a_suggestion() -> None:
    with pytest.raises(ConfigError, match="Did you mean 'accuracy'"):
        metric("acuracy")


def test_the_headline_is_the_mean_of_a_tasks_metrics() -> None:
    assert headline({"accuracy": 0.8, "f1": 0.6}) == pytest.approx(0.7)
    with pytest.raises(InputError, match="no metrics"):
        headline({})
