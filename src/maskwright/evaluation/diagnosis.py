"""What the dev rows say of a fine-tuned model beyond its score: confusions, worst errors, calibration, simple rivals.

Plain values, as a log's ``result`` record holds them; ``report.finetuned`` draws them.
"""

from __future__ import annotations

import itertools
from collections.abc import Callable
from typing import Any

import numpy as np
from numpy.typing import NDArray

from maskwright.errors import InputError
from maskwright.evaluation.baseline import Predictions, majority, tfidf_logistic, tfidf_multilabel, tfidf_ridge
from maskwright.evaluation.calibration import calibration_error, fit_temperature, reliability
from maskwright.evaluation.intervals import bootstrap_each
from maskwright.evaluation.metrics import Metric, metric
from maskwright.tasks.base import Task
from maskwright.tasks.bins import Bins
from maskwright.tasks.classify import Classification
from maskwright.tasks.multilabel import MultiLabel
from maskwright.tasks.rows import Rows

__all__ = ["WORST", "baselines", "dev_scores", "diagnose", "errors_of", "scores_of"]

WORST = 20
"""Errors shown."""
SHOWN = 300
"""Characters of each text."""
MOST_CLASSES = 40
"""Beyond them a confusion matrix is left out."""
BASELINE_ROWS = 20_000
"""Training rows that a baseline learns from: it is quadratic in none of them, but a million takes an hour."""


def baselines(task: Task, train: Rows, dev: Rows, seed: int = 0) -> dict[str, dict[str, float]]:
    """Return method -> metrics of what something simple scores on the dev rows.

    From more than 20,000 training rows so many are drawn, and the method's name says so.  A text without a word, or a single
    class, leaves a method out.  Of several labels a row, thresholds are chosen on the dev rows as the task chooses its own.
    """
    few = _drawn(train, seed)
    said = "" if few is train else f" ({len(few):,} of {len(train):,} rows)"
    ways: list[tuple[str, Callable[[], Predictions]]]
    texts, tests = _texts(few), _texts(dev)
    labels, truth = task.numbers(few), task.numbers(dev)
    measure = metric(task.metric)
    if isinstance(task, MultiLabel):
        return _beside_sets(task, said, texts, labels, tests, truth)
    if isinstance(task, Classification) and not isinstance(task, Bins):
        ways = [
            ("most frequent label", lambda: majority(task.numbers(train), truth)),
            (f"TF-IDF + logistic regression{said}", lambda: tfidf_logistic(texts, labels, tests)),
        ]
    else:
        ways = [(f"TF-IDF + ridge regression{said}", lambda: tfidf_ridge(texts, labels, tests))]
    found = {}
    for name, way in ways:
        try:
            found[name] = measure(truth, way().labels)
        except InputError:
            continue
    return found


def _beside_sets(
    task: MultiLabel, said: str, texts: Any, labels_BC: NDArray[np.float64], tests: Any, truth_BC: NDArray[np.float64]
) -> dict[str, dict[str, float]]:
    measure, found = metric(task.metric), {}
    ways: list[tuple[str, Callable[[], NDArray[np.float64]]]] = [
        ("how often each label is", lambda: np.tile(labels_BC.mean(0), (len(truth_BC), 1))),
        (f"TF-IDF + logistic regression{said}", lambda: _shares(tfidf_multilabel(texts, labels_BC, tests))),
    ]
    for name, way in ways:
        try:
            shares_BC = np.clip(way(), 1e-6, 1 - 1e-6)
            own = MultiLabel(task.labels, task.config)
            logits_BC = np.log(shares_BC / (1 - shares_BC)).astype(np.float32)
            own.settle(logits_BC, truth_BC)
            found[name] = measure(truth_BC, own.answers(logits_BC))
        except InputError:
            continue
    return found


def _shares(answers: Predictions) -> NDArray[np.float64]:
    assert answers.probabilities is not None
    return answers.probabilities


def _drawn(rows: Rows, seed: int) -> Rows:
    if len(rows) <= BASELINE_ROWS:
        return rows
    from maskwright.keys import Key

    order = Key(seed).stream("baseline.rows").order(len(rows))[:BASELINE_ROWS]
    return rows.pick(np.sort(order).tolist())


def _texts(rows: Rows) -> Any:
    return [row[0] for row in rows.texts] if len(rows.texts[0]) == 1 else list(rows.texts)


def dev_scores(
    task: Task, truth: NDArray[np.float64], logits_BC: NDArray[np.float32], beside: dict[str, dict[str, float]]
) -> dict[str, Any]:
    """Return the metrics with 95 % intervals over the rows, the baselines beside them, for ``report.scores``."""
    return scores_of(metric(task.metric), truth, task.answers(logits_BC), beside)


def scores_of(
    measure: Metric, truth: NDArray[np.float64], answers: NDArray[np.float64], beside: dict[str, dict[str, float]]
) -> dict[str, Any]:
    """Return the metrics of answers as ``dev_scores`` does."""
    intervals = bootstrap_each(measure, truth, answers, draws=1000)
    return {
        name: {
            "value": interval.value,
            "low": interval.low,
            "high": interval.high,
            "count": len(truth),
            "beside": {method: scores[name] for method, scores in beside.items()},
        }
        for name, interval in intervals.items()
    }


def diagnose(task: Task, rows: Rows, logits_BC: NDArray[np.float32]) -> dict[str, Any]:
    """Return ``confusion``, ``calibration`` and ``errors`` of a classification, or ``errors`` of any other task."""
    truth = task.numbers(rows)
    if isinstance(task, Classification) and not isinstance(task, Bins):
        return _of_classes(task, rows, truth.astype(np.int64), logits_BC)
    answers = task.answers(logits_BC)
    if isinstance(task, MultiLabel):
        return _of_sets(task, rows, np.abs(answers - truth).max(-1), (answers >= 0.5) != truth, logits_BC)
    order = np.argsort(-np.abs(answers - truth), kind="stable")[:WORST]
    return {"errors": errors_of(rows, order, truth, answers)}


def errors_of(
    rows: Rows, order: NDArray[np.int64], truth: NDArray[np.float64], answers: NDArray[np.float64]
) -> list[dict[str, Any]]:
    """Return some rows with their numbers and those that were answered."""
    return [_row(rows, int(n)) | {"gold": truth[n], "answer": round(float(answers[n]), 3)} for n in order]


def _of_classes(
    task: Classification, rows: Rows, truth: NDArray[np.int64], logits_BC: NDArray[np.float32]
) -> dict[str, Any]:
    shares = task.probabilities(logits_BC)
    answers, classes = shares.argmax(-1), len(task.labels)
    confidence = shares[np.arange(len(shares)), answers]
    wrong = np.flatnonzero(answers != truth)
    worst = wrong[np.argsort(-confidence[wrong], kind="stable")][:WORST]
    found: dict[str, Any] = {
        "errors": [
            _row(rows, int(n))
            | {"gold": task.labels[truth[n]], "answer": task.labels[answers[n]], "probability": float(confidence[n])}
            for n in worst
        ],
        "wrong": len(wrong),
        "calibration": {
            "error": calibration_error(shares, truth),
            "bins": [[b.confidence, b.accuracy, b.count] for b in reliability(shares, truth)],
            **_other_half(logits_BC, truth),
        },
    }
    if classes <= MOST_CLASSES:
        counts = np.zeros((classes, classes), np.int64)
        np.add.at(counts, (truth, answers), 1)
        found["confusion"] = {"labels": list(task.labels), "counts": counts.tolist()}
    return found


def _of_sets(
    task: MultiLabel, rows: Rows, far: NDArray[np.float64], wrong_BC: NDArray[np.bool_], logits_BC: NDArray[np.float32]
) -> dict[str, Any]:
    """Say in which rows a label is wrong, those first where one is farthest from the truth."""
    wrong = np.flatnonzero(wrong_BC.any(-1))
    worst = wrong[np.argsort(-far[wrong], kind="stable")][:WORST]
    assert rows.labels is not None
    said = [given["label"] for given in task.decode(logits_BC[worst])]
    errors = [
        _row(rows, int(n)) | {"gold": rows.labels[n] or "none", "answer": answer or "none"}
        for n, answer in zip(worst, said, strict=True)
    ]
    return {"errors": errors}


def _other_half(logits_BC: NDArray[np.float32], truth: NDArray[np.int64]) -> dict[str, float]:
    """Say what a temperature would mend, each half of the rows with the temperature that fits the other."""
    if len(truth) < 20:
        return {}
    halves = [np.arange(len(truth)) % 2 == at for at in (0, 1)]
    scaled = np.empty(logits_BC.shape, np.float64)
    for fitted, used in itertools.permutations(halves):
        scaled[used] = logits_BC[used] / fit_temperature(logits_BC[fitted], truth[fitted])
    shares = np.exp(scaled - scaled.max(-1, keepdims=True))
    return {"error_with_temperature": calibration_error(shares / shares.sum(-1, keepdims=True), truth)}


def _row(rows: Rows, number: int) -> dict[str, Any]:
    texts = [text if len(text) <= SHOWN else f"{text[:SHOWN]}…" for text in rows.texts[number]]
    return {"line": rows.lines[number], "texts": texts}
