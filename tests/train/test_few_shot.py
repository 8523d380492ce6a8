"""Few-shot learning: pairs are what they say, the classifier learns, its folder predicts the same, and is scikit-learn's."""

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from maskwright.errors import CheckpointError, ConfigError, InputError
from maskwright.model import Model
from maskwright.tasks.rows import Rows
from maskwright.train.few_shot import FewShot, few_rows, few_shot, pairs_of

BY_LABEL = {
    "file": ("open the file", "read the file", "a file object", "write to a file"),
    "error": ("raise an error", "an exception is raised", "raise ValueError", "an error is raised"),
    "list": ("a list of names", "sort the list", "return the list", "append to a list"),
}
TEXTS = tuple(text for texts in BY_LABEL.values() for text in texts)
LABELS = tuple(label for label, texts in BY_LABEL.items() for _ in texts)
ROWS = Rows(tuple((text,) for text in TEXTS), LABELS, tuple(range(2, 14)), "few.tsv")
TRAIN = {"lr": 2e-3, "precision": "fp32", "warmup": 0.0}


def test_pairs_are_of_one_class_or_of_two_as_they_say() -> None:
    kind = dict(zip(TEXTS, LABELS, strict=True))
    pairs = pairs_of(ROWS, 5)
    assert len(pairs) == 12 * 5 * 2
    assert pairs.labels is not None and pairs.labels.count("1") == 60
    for (a, b), label in zip(pairs.texts, pairs.labels, strict=True):
        assert (kind[a] == kind[b]) == (label == "1") and a != b
    assert len(set(pairs.texts)) > 60  # others are drawn in each round
    assert pairs_of(ROWS, 5) == pairs != pairs_of(ROWS, 5, seed=1)
    alone = Rows((("x",), ("y",)), ("a", "b"), (1, 2), "")
    assert pairs_of(alone, 1).texts == (("x", "x"), ("x", "y"), ("y", "y"), ("y", "x"))


def test_a_few_rows_of_every_label_are_drawn_by_the_seed() -> None:
    found = few_rows(ROWS, 2)
    assert found.labels == ("error", "error", "file", "file", "list", "list")
    assert all(ROWS.labels[ROWS.texts.index(t)] == label for t, label in zip(found.texts, found.labels, strict=True))
    assert len({few_rows(ROWS, 2, seed=seed).texts for seed in range(5)}) > 1
    with pytest.raises(InputError, match=r"few\.tsv: the label 'error' has 4 rows, and 5 are asked for"):
        few_rows(ROWS, 5)


@pytest.mark.parametrize("classes", [2, 3])
def test_a_few_texts_are_learnt_and_the_folder_predicts_the_same(
    classes: int, tiny: Callable[..., Model], tmp_path: Path
) -> None:
    from sklearn.linear_model import LogisticRegression

    rows = Rows(ROWS.texts[: 4 * classes], LABELS[: 4 * classes], ROWS.lines[: 4 * classes], "few.tsv")
    made = few_shot(tiny((), dropout=0.0, attention_dropout=0.0), rows, tmp_path, rounds=5, **TRAIN)
    texts = [text for (text,) in rows.texts]
    answers = made.predict(texts)
    assert [row["label"] for row in answers] == list(rows.labels or ())
    assert FewShot.load(tmp_path).predict(texts) == answers
    oracle = LogisticRegression(max_iter=10_000).fit(made.model.encode(texts).astype(float), rows.labels)
    found = [[row["probabilities"][name] for name in oracle.classes_] for row in answers]
    assert np.allclose(found, oracle.predict_proba(made.model.encode(texts).astype(float)), atol=1e-4)
    vectors = made.model.encode(texts)
    vectors /= np.linalg.norm(vectors, axis=1, keepdims=True)
    near = vectors @ vectors.T
    same = np.array(rows.labels)[:, None] == np.array(rows.labels)
    assert near[same].mean() > near[~same].mean() + 0.3


def test_what_cannot_be_learnt_from_or_loaded_is_refused(tiny: Callable[..., Model], tmp_path: Path) -> None:
    with pytest.raises(InputError, match="at least two labels"):
        few_shot(tiny(), Rows((("x",),), ("a",), (1,), ""), tmp_path)
    with pytest.raises(InputError, match="single texts, not pairs"):
        few_shot(tiny(), Rows((("x", "y"), ("z", "w")), ("a", "b"), (1, 2), ""), tmp_path)
    with pytest.raises(ConfigError, match="rounds 0"):
        few_shot(tiny(), ROWS, tmp_path, rounds=0)
    with pytest.raises(ConfigError, match=r"no field 'train\.lrr'"):
        few_shot(tiny(), ROWS, tmp_path, lrr=1)
    made = few_shot(tiny(), ROWS, tmp_path / "made", rounds=1, steps=1)
    assert len(made.predict(["x"])) == 1
    (tmp_path / "made" / "head" / "head.safetensors").write_bytes(b"x")
    with pytest.raises(CheckpointError, match="damaged"):
        FewShot.load(tmp_path / "made")
