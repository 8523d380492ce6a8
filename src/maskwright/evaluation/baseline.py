"""What something simple would have scored: the most frequent class, and a linear model on TF-IDF.

The linear model is meant to be strong: word 1-2-grams and character 3-5-grams, logarithmic term frequencies, and a penalty
chosen by cross-validation on the training texts alone.  For pairs it sees both texts, what they share and what they do
not (as in Mou et al. 2016, https://arxiv.org/abs/1512.08422, section 3.2), and how much of their words they share.  An
encoder that does not beat it has not earned its cost.  scikit-learn is imported when a baseline is fitted.
"""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from maskwright.corpus.duplicates import WORD
from maskwright.errors import InputError

__all__ = ["Predictions", "Texts", "majority", "tfidf_cosine", "tfidf_logistic", "tfidf_multilabel", "tfidf_ridge"]

Texts = Sequence[str] | Sequence[tuple[str, str]]

STRENGTHS = (0.1, 1.0, 10.0)  # inverse penalties of the logistic regression, from which one is chosen
PENALTIES = (0.1, 1.0, 10.0)  # of the ridge regression
USUAL_STRENGTH = 10.0  # where a class has too few examples to choose by
FOLDS = 3
SMALL = 100  # texts; below it, n-grams that occur in one text only are kept too


@dataclass(frozen=True)
class Predictions:
    """What a baseline answers for B test examples."""

    labels: NDArray[Any]
    """(B,), values of the training labels; real numbers from a regression; (B, C) of 0 and 1 where rows have several labels."""
    probabilities: NDArray[np.float64] | None
    """(B, C) in the order of ``classes``; None from a regression."""
    classes: tuple[Any, ...]
    seconds: float
    """Time to fit and to predict."""
    method: str
    """One line for a table."""


def majority(train_labels: ArrayLike, test_labels: ArrayLike) -> Predictions:
    """Answer the most frequent training label, the smallest of equals, for as many examples as there are test labels."""
    begun = time.perf_counter()
    classes, counts = np.unique(_labels(train_labels), return_counts=True)
    rows = len(np.asarray(test_labels))
    return Predictions(
        np.full(rows, classes[np.argmax(counts)]),
        np.tile(counts / counts.sum(), (rows, 1)),
        tuple(classes.tolist()),
        time.perf_counter() - begun,
        "most frequent class",
    )


def tfidf_logistic(train_texts: Texts, train_labels: ArrayLike, test_texts: Texts) -> Predictions:
    """Fit TF-IDF and logistic regression, one class against the rest, on texts or on pairs of texts.

    Raises InputError where there is nothing to fit: no texts, no word in them, one class only, or lengths that differ.
    """
    from sklearn.linear_model import LogisticRegression
    from sklearn.model_selection import GridSearchCV, StratifiedKFold
    from sklearn.multiclass import OneVsRestClassifier

    begun = time.perf_counter()
    labels = _labels(train_labels)
    classes, counts = np.unique(labels, return_counts=True)
    if len(classes) < 2:
        raise InputError(f"evaluate: all training labels are {classes.tolist()[0]!r}; a classifier needs two classes.")
    train, test = _features(train_texts, labels, test_texts)
    # The dual is the quick one where there are more features than examples; its visiting order is drawn.
    model = OneVsRestClassifier(
        LogisticRegression(C=USUAL_STRENGTH, solver="liblinear", dual=True, max_iter=10_000, random_state=0)
    )
    if counts.min() >= FOLDS:
        folds = StratifiedKFold(FOLDS, shuffle=True, random_state=0)
        model = GridSearchCV(model, {"estimator__C": STRENGTHS}, cv=folds).fit(train, labels).best_estimator_
    else:
        model = model.fit(train, labels)
    probabilities = model.predict_proba(test)
    return Predictions(
        classes[probabilities.argmax(axis=1)],
        probabilities,
        tuple(classes.tolist()),
        time.perf_counter() - begun,
        f"TF-IDF + logistic regression, C = {model.estimator.C:g}",
    )


def tfidf_ridge(train_texts: Texts, train_values: ArrayLike, test_texts: Texts) -> Predictions:
    """Fit TF-IDF and ridge regression to real numbers; predictions stay within the range of the training values.

    Raises InputError as ``tfidf_logistic`` does, and for values that are not finite.
    """
    from sklearn.linear_model import Ridge
    from sklearn.model_selection import GridSearchCV, KFold

    begun = time.perf_counter()
    values = _labels(np.asarray(train_values, dtype=np.float64))
    if not np.isfinite(values).all():
        raise InputError("evaluate: the training values are not all finite. Remove the rows without a value.")
    train, test = _features(train_texts, values, test_texts)
    model = Ridge(alpha=1.0, solver="sparse_cg", random_state=0)
    if len(values) >= 2 * FOLDS:
        folds = KFold(FOLDS, shuffle=True, random_state=0)
        search = GridSearchCV(model, {"alpha": PENALTIES}, cv=folds, scoring="neg_mean_squared_error")
        model = search.fit(train, values).best_estimator_
    else:
        model = model.fit(train, values)
    predicted = np.clip(model.predict(test), values.min(), values.max())
    method = f"TF-IDF + ridge regression, alpha = {model.alpha:g}"
    return Predictions(predicted, None, (), time.perf_counter() - begun, method)


def tfidf_multilabel(train_texts: Texts, train_BC: NDArray[np.float64], test_texts: Texts) -> Predictions:
    """Fit TF-IDF and a logistic regression for each of C labels; train_BC: 1 for a label that a row has, else 0.

    One strength for all labels, the likeliest on a third of the rows that was left out.  A label that all training rows have,
    or none, keeps the share that it has there.  InputError as ``tfidf_logistic``, but for one class only.
    """
    begun = time.perf_counter()
    labels_B = _labels(np.arange(len(train_BC)))
    train, test = _features(train_texts, labels_B, test_texts)
    held = np.arange(len(train_BC)) % FOLDS == 0
    strength = USUAL_STRENGTH
    if len(train_BC) >= SMALL:
        losses = [
            _cross_entropy(_each(train[~held], train_BC[~held], train[held], c), train_BC[held]) for c in STRENGTHS
        ]
        strength = STRENGTHS[int(np.argmin(losses))]
    shares_BC = _each(train, train_BC, test, strength)
    method = f"TF-IDF + logistic regression of each label, C = {strength:g}"
    return Predictions((shares_BC >= 0.5).astype(int), shares_BC, (), time.perf_counter() - begun, method)


def _each(train: Any, train_BC: NDArray[np.float64], test: Any, strength: float) -> NDArray[np.float64]:
    """Probabilities of each label, (test rows, C)."""
    from sklearn.linear_model import LogisticRegression

    shares_BC = np.tile(train_BC.mean(0), (test.shape[0], 1))
    for at in np.flatnonzero((train_BC.min(0) == 0) & (train_BC.max(0) == 1)):
        model = LogisticRegression(C=strength, solver="liblinear", dual=True, max_iter=10_000, random_state=0)
        shares_BC[:, at] = model.fit(train, train_BC[:, at]).predict_proba(test)[:, 1]
    return shares_BC


def _cross_entropy(shares_BC: NDArray[np.float64], truth_BC: NDArray[np.float64]) -> float:
    right_BC = np.clip(np.where(truth_BC > 0, shares_BC, 1 - shares_BC), 1e-6, 1.0)
    return float(-np.log(right_BC).mean())


def tfidf_cosine(known: Sequence[str], pairs: Sequence[tuple[str, str]]) -> NDArray[np.float64]:
    """Return the cosine of each pair's TF-IDF vectors, (len(pairs),); known: texts whose words are counted.

    InputError where these hold no word.
    """
    from sklearn.preprocessing import normalize

    if not pairs:
        raise InputError("evaluate: there are no test texts. Give at least one.")
    lefts, rights = zip(*pairs, strict=True)
    vectorisers = _vectorisers(known)
    left, right = (normalize(_single_matrix(vectorisers, side)) for side in (lefts, rights))
    return np.asarray(left.multiply(right).sum(axis=1)).ravel()


def _labels(labels: ArrayLike) -> NDArray[Any]:
    found = np.asarray(labels)
    if found.ndim != 1 or not len(found):
        raise InputError(
            f"evaluate: training labels have the shape {found.shape}; there must be one an example, and some."
        )
    return found


def _features(train: Texts, labels: NDArray[Any], test: Texts) -> tuple[Any, Any]:
    """Return the sparse features of the training and the test texts, (B, features) each."""
    if len(train) != len(labels):
        raise InputError(f"evaluate: {len(train):,} training texts and {len(labels):,} labels. Give one label a text.")
    if not len(test):
        raise InputError("evaluate: there are no test texts. Give at least one.")
    if len({isinstance(text, str) for text in [*train, *test]}) > 1:
        raise InputError("evaluate: some examples are single texts and some are pairs. Give one kind.")
    paired = not isinstance(train[0], str)
    columns = list(zip(*train, strict=True)) if paired else [train]
    vectorisers = _vectorisers([str(text) for column in columns for text in column])
    make = _pair_matrix if paired else _single_matrix
    return make(vectorisers, train), make(vectorisers, test)


def _vectorisers(known: Sequence[str]) -> Sequence[Any]:
    """Words and n-grams of characters, counted in some texts."""
    from sklearn.feature_extraction.text import TfidfVectorizer

    least = 2 if len(known) >= SMALL else 1
    vectorisers = (
        TfidfVectorizer(ngram_range=(1, 2), sublinear_tf=True, token_pattern=WORD.pattern),
        TfidfVectorizer(analyzer="char_wb", ngram_range=(3, 5), sublinear_tf=True, min_df=least),
    )
    try:
        for vectoriser in vectorisers:
            vectoriser.fit(known)
    except ValueError as error:
        raise InputError(f"evaluate: the training texts hold no words to learn from ({error}).") from error
    return vectorisers


def _single_matrix(vectorisers: Sequence[Any], texts: Sequence[Any]) -> Any:
    from scipy.sparse import hstack

    return hstack([vectoriser.transform(texts) for vectoriser in vectorisers]).tocsr()


def _pair_matrix(vectorisers: Sequence[Any], pairs: Sequence[Any]) -> Any:
    from scipy.sparse import csr_matrix, hstack

    lefts, rights = zip(*pairs, strict=True)
    blocks: list[Any] = []
    for vectoriser in vectorisers:
        left, right = vectoriser.transform(lefts), vectoriser.transform(rights)
        shared = left.multiply(right)
        blocks += [left, right, shared, abs(left - right), csr_matrix(shared.sum(axis=1))]
    words = [(set(WORD.findall(left.lower())), set(WORD.findall(right.lower()))) for left, right in pairs]
    overlap = [(_share(a & b, a | b), _share(a & b, a), _share(a & b, b)) for a, b in words]
    return hstack([*blocks, csr_matrix(np.array(overlap))]).tocsr()


def _share(part: set[str], whole: set[str]) -> float:
    return len(part) / max(1, len(whole))
