"""Baselines: they learn what is there, on real text too, and refuse what they cannot use."""

from __future__ import annotations

import numpy as np
import pytest

from maskwright.corpus.docstrings import harvest
from maskwright.corpus.passages import Split, labelled_task
from maskwright.errors import InputError
from maskwright.evaluation.baseline import majority, tfidf_cosine, tfidf_logistic, tfidf_multilabel, tfidf_ridge
from maskwright.evaluation.metrics import metric

GOOD = ["a fine warm film", "what a warm and lovely story", "lovely acting, fine music", "warm, fine, lovely"]
BAD = ["a dull cold film", "what a cold and awful story", "awful acting, dull music", "cold, dull, awful"]


def test_the_majority_is_the_most_frequent_and_smallest_class() -> None:
    found = majority(["b", "a", "b", "a", "c"], ["x"] * 3)
    assert found.labels.tolist() == ["a"] * 3
    assert found.classes == ("a", "b", "c")
    assert found.probabilities.tolist() == [[0.4, 0.4, 0.2]] * 3


def test_single_texts_are_told_apart_by_their_words() -> None:
    found = tfidf_logistic(GOOD + BAD, ["good"] * 4 + ["bad"] * 4, ["a lovely warm day", "an awful cold day"])
    assert found.labels.tolist() == ["good", "bad"]
    assert found.classes == ("bad", "good")
    assert found.probabilities.shape == (2, 2)
    assert np.allclose(found.probabilities.sum(axis=1), 1)
    assert found.seconds > 0


def test_chinese_is_told_apart_by_its_characters() -> None:
    found = tfidf_logistic(["天气很好", "好得很", "坏得很", "天气很坏"], [1, 1, 0, 0], ["真好", "真坏"])
    assert found.labels.tolist() == [1, 0]


def test_pairs_are_told_apart_by_what_they_share() -> None:
    rng = np.random.default_rng(0)
    words = np.array([f"word{n}" for n in range(300)])
    texts = [" ".join(rng.choice(words, 8)) for _ in range(240)]
    same = [(text, " ".join(reversed(text.split()))) for text in texts]
    other = list(zip(texts, texts[1:] + texts[:1], strict=True))
    found = tfidf_logistic(same[:160] + other[:160], [1] * 160 + [0] * 160, same[160:] + other[160:])
    assert np.mean(found.labels == np.repeat([1, 0], 80)) > 0.95


def test_ridge_learns_a_similarity_and_stays_in_its_range() -> None:
    rng = np.random.default_rng(0)
    words = np.array([f"word{n}" for n in range(300)])
    pairs, scores = [], []
    for _ in range(300):
        left, right, shared = rng.choice(words, 10), rng.choice(words, 10), int(rng.integers(0, 11))
        pairs.append((" ".join(left), " ".join([*left[:shared], *right[shared:]])))
        scores.append(shared / 2)
    found = tfidf_ridge(pairs[:200], scores[:200], pairs[200:])
    assert metric("pearson")(scores[200:], found.labels)["pearson"] > 0.9
    assert 0 <= found.labels.min() <= found.labels.max() <= 5
    assert found.probabilities is None


def test_docstrings_of_packages_are_neither_trivial_nor_hopeless() -> None:
    task = labelled_task(harvest(limit_bytes=1_500_000).functions, classes=6, per_class=(40, 100))
    assert isinstance(task, Split)
    train, test = [[p.text for p in side] for side in (task.train, task.test)]
    labels, truth = [[p.label for p in side] for side in (task.train, task.test)]
    found = tfidf_logistic(train, labels, test)
    accuracy = metric("accuracy")(truth, found.labels)["accuracy"]
    assert 2 * metric("accuracy")(truth, majority(labels, truth).labels)["accuracy"] < accuracy < 0.95
    assert (tfidf_logistic(train, labels, test).probabilities == found.probabilities).all()


@pytest.mark.parametrize(
    ("texts", "labels", "test", "message"),
    [
        (["a b", "c d"], ["x", "x"], ["e"], "all training labels are 'x'"),
        (["a b"], ["x", "y"], ["e"], "1 training texts and 2 labels"),
        (["a b", "c d"], ["x", "y"], [], "no test texts"),
        ([], [], ["e"], "training labels have the shape"),
        (["…", "!"], ["x", "y"], ["e"], "no words to learn from"),
        (["a b", ("c", "d")], ["x", "y"], ["e"], "some are pairs"),
    ],
)
def test_what_cannot_be_learned_from_is_refused(texts: list, labels: list, test: list, message: str) -> None:
    with pytest.raises(InputError, match=message):
        tfidf_logistic(texts, labels, test)


def test_values_that_are_not_finite_are_refused() -> None:
    with pytest.raises(InputError, match="not all finite"):
        tfidf_ridge(["a b", "c d"], [1.0, float("nan")], ["e"])


def test_each_label_is_told_by_its_words_and_a_label_of_all_rows_keeps_its_share() -> None:
    texts = [f"{a} {b}" for a in ("warm", "cold") for b in ("music", "acting", "story") for _ in range(3)]
    truth = np.array([["warm" in text, "music" in text, True, False] for text in texts], np.float64)
    found = tfidf_multilabel(texts, truth, ["a warm story", "cold music"])
    assert (found.probabilities[:, :2] >= 0.5).tolist() == found.labels[:, :2].tolist() == [[1, 0], [0, 1]]
    assert found.probabilities[:, 2:].tolist() == [[1, 0], [1, 0]]
    with pytest.raises(InputError, match="no test texts"):
        tfidf_multilabel(texts, truth, [])


def test_each_label_s_regression_is_that_of_scikit_learn() -> None:
    from sklearn.linear_model import LogisticRegression

    from maskwright.evaluation.baseline import _features

    rng = np.random.default_rng(0)
    words = [f"word{n}" for n in range(40)]
    texts = [" ".join(rng.choice(words, 6)) for _ in range(60)]
    truth = np.array([["word1" in text.split(), "word2 " in text] for text in texts], np.float64)
    found = tfidf_multilabel(texts[:40], truth[:40], texts[40:])
    train, test = _features(texts[:40], np.arange(40), texts[40:])
    for at in (0, 1):
        oracle = LogisticRegression(C=10, solver="liblinear", dual=True, max_iter=10_000, random_state=0)
        expected = oracle.fit(train, truth[:40, at]).predict_proba(test)[:, 1]
        assert np.allclose(found.probabilities[:, at], expected)


def test_the_cosine_of_tf_idf_is_1_for_the_same_text_and_0_without_a_common_part() -> None:
    pairs = [
        ("warm film", "warm film"),
        ("warm film", "xyz uvw"),
        ("warm film", "warm story"),
        ("天气很好", "天气不好"),
    ]
    found = tfidf_cosine([*GOOD, "天气很好", "天气不好"], pairs)
    assert found[:2].tolist() == pytest.approx([1, 0]) and 0 < found[2] < 1 and 0 < found[3] < 1
    with pytest.raises(InputError, match="hold no words"):
        tfidf_cosine([""], pairs)
