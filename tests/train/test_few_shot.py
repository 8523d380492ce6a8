"""Few-shot learning: pairs are what they say, the classifier learns, its folder predicts the same, and is scikit-learn's."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from maskwright.checkpoint.folder import Card
from maskwright.cli import run
from maskwright.errors import ConfigError, DataError, InputError
from maskwright.evaluation.scores import evaluate, predict
from maskwright.model import Model, load
from maskwright.report.log import read_log
from maskwright.tasks.few_config import FewShotConfig
from maskwright.tasks.rows import Columns, Rows, read_rows
from maskwright.text.tokenizer import Tokenizer
from maskwright.train.few_shot import few_rows, few_shot, few_shot_rows, pairs_of
from small import tiny_of

BY_LABEL = {
    "file": ("open the file", "read the file", "a file object", "write to a file"),
    "error": ("raise an error", "an exception is raised", "raise ValueError", "an error is raised"),
    "list": ("a list of names", "sort the list", "return the list", "append to a list"),
}
TEXTS = tuple(text for texts in BY_LABEL.values() for text in texts)
LABELS = tuple(label for label, texts in BY_LABEL.items() for _ in texts)
ROWS = Rows(tuple((text,) for text in TEXTS), LABELS, tuple(range(2, 14)), "few.tsv")
TRAIN = {"lr": 2e-3, "precision": "fp32", "warmup": 0.0}


@pytest.fixture
def given(tiny: Callable[..., Model], tmp_path: Path) -> dict[str, Any]:
    """Options of a run, with the start and the twelve rows in files."""
    tiny(("pooler",), dropout=0.0, attention_dropout=0.0).save(tmp_path / "start")
    lines = [f"{text}\t{label}" for text, label in zip(TEXTS, LABELS, strict=True)]
    (tmp_path / "rows.tsv").write_text("\n".join(["text\tlabel", *lines]) + "\n")
    start, data = str(tmp_path / "start"), tmp_path / "rows.tsv"
    return {"model": start, "data": data, "out": tmp_path / "run", "rounds": 5, "train": TRAIN}


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


def test_a_few_rows_of_every_label_are_drawn_by_the_seed_and_the_others_are_left() -> None:
    found, rest = few_rows(ROWS, 3)
    assert found.labels == tuple(label for label in ("error", "file", "list") for _ in range(3))
    assert sorted(rest.labels or ()) == ["error", "file", "list"]
    assert sorted(found.lines + rest.lines) == list(ROWS.lines)
    assert all(ROWS.labels[ROWS.texts.index(t)] == label for t, label in zip(found.texts, found.labels, strict=True))
    assert len({few_rows(ROWS, 2, seed=seed)[0].texts for seed in range(5)}) > 1
    with pytest.raises(InputError, match=r"few\.tsv: the label 'error' has 4 rows, and 5 are asked for"):
        few_rows(ROWS, 5)


@pytest.mark.parametrize(("classes", "pooling"), [(2, "mean"), (3, "mean"), (3, "first"), (3, "max")])
def test_a_few_texts_are_learnt_and_the_folder_predicts_the_same(
    classes: int, pooling: str, given: dict[str, Any], tmp_path: Path
) -> None:
    from sklearn.linear_model import LogisticRegression

    rows = Rows(ROWS.texts[: 4 * classes], LABELS[: 4 * classes], ROWS.lines[: 4 * classes], "few.tsv")
    start = load(given["model"])
    start.card = Card({"name": "similar", "pooling": pooling})
    done = few_shot_rows(start, rows, rows, FewShotConfig.of(given))
    texts = [text for (text,) in rows.texts]
    answers = predict(done.model, texts)
    said = [row["label"] for row in answers]
    assert done.metrics["accuracy"] == np.mean([a == b for a, b in zip(said, rows.labels or (), strict=True)])
    back = load(tmp_path / "run" / "model")
    assert predict(back, texts) == answers == predict(tmp_path / "run" / "model", texts)
    with pytest.raises(DataError, match="two texts, and this model was trained on single ones"):
        predict(back, [("a text", "another")])
    vectors = back.encode(texts)
    assert np.array_equal(vectors, done.model.encode(texts)) and back.card.task["pooling"] == pooling
    oracle = LogisticRegression(max_iter=10_000).fit(vectors.astype(float), rows.labels)
    found = [[row["probabilities"][name] for name in oracle.classes_] for row in answers]
    assert np.allclose(found, oracle.predict_proba(vectors.astype(float)), atol=1e-4)
    if pooling != "mean":
        return
    assert done.metrics == {"accuracy": 1.0}
    vectors /= np.linalg.norm(vectors, axis=1, keepdims=True)
    near = vectors @ vectors.T
    same = np.array(rows.labels)[:, None] == np.array(rows.labels)
    assert near[same].mean() > near[~same].mean() + 0.3


def test_sentence_transformers_reads_the_vectors_of_both_folders(given: dict[str, Any], tmp_path: Path) -> None:
    package = pytest.importorskip("sentence_transformers")
    done = few_shot(FewShotConfig.of({**given, "rounds": 1}))
    ours = done.model.encode(TEXTS, precision="fp32")
    for folder in (tmp_path / "run" / "model", tmp_path / "run" / "encoder" / "model"):
        theirs = package.SentenceTransformer(str(folder), device="cpu").encode(list(TEXTS))
        assert np.abs(ours - theirs).max() < 1e-5


def test_rows_that_were_not_drawn_are_scored_beside_tf_idf(given: dict[str, Any], tmp_path: Path) -> None:
    done = few_shot(FewShotConfig.of({**given, "each": 3}))
    assert done.dev_rows == 3
    (result,) = [each for each in read_log(tmp_path / "run" / "encoder" / "log.jsonl") if each["kind"] == "result"]
    score = result["scores"]["accuracy"]
    assert score["value"] == done.metrics["accuracy"] and score["count"] == 3
    assert set(score["beside"]) == {"most frequent label", "TF-IDF + logistic regression"}
    assert result["confusion"]["labels"] == ["error", "file", "list"] and "calibration" in result
    rest = read_rows(given["data"], Columns("text", None, "label"))
    whole = evaluate(done.model, given["data"])["accuracy"].value
    assert len(rest) == 12 and 0 <= whole <= 1
    # With a dev file that one is scored, and all rows are learnt from unless some are asked for.
    named = few_shot(FewShotConfig.of({**given, "dev": given["data"], "baseline": False, "out": tmp_path / "named"}))
    assert named.dev_rows == 12 and named.metrics["accuracy"] == evaluate(named.model, given["data"])["accuracy"].value
    assert few_shot(FewShotConfig.of({**given, "out": tmp_path / "all"})).metrics == {}


def test_the_command_shows_the_spread_over_seeds_and_predict_takes_its_folder(
    given: dict[str, Any], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    def say(*tokens: object) -> tuple[int, str]:
        code = run([str(token) for token in tokens])
        told = capsys.readouterr()
        return code, " ".join((told.out + told.err).split())

    command = ["few-shot", "--model", given["model"], "--data", given["data"], "--each", 3, "--rounds", 2]
    short = ["--train.precision", "fp32", "--train.lr", "0.002"]
    code, told = say(*command, *short, "--out", tmp_path / "one")
    assert code == 0, told
    assert "On 3 rows, after 9" in told and "TF-IDF + logistic regression" in told
    assert (tmp_path / "one" / "report.html").is_file()
    answers = tmp_path / "answers.jsonl"
    assert say("predict", tmp_path / "one" / "model", given["data"], "--out", answers)[0] == 0
    assert [json.loads(line)["text"] for line in answers.read_text().splitlines()] == list(TEXTS)
    code, told = say(*command, *short, "--out", tmp_path / "many", "--seeds", 3)
    assert code == 0, told
    assert "On the rows that were not learnt from, 3 runs" in told and str(tmp_path / "many" / "runs.json") in told
    runs = json.loads((tmp_path / "many" / "runs.json").read_text())["runs"]
    assert [each["seed"] for each in runs] == [0, 1, 2]
    assert set(runs[0]["metrics"]) == {"accuracy", *(f"accuracy, {name}" for name in ("most frequent label", "TF-IDF + logistic regression"))}  # fmt: skip
    one = few_shot(FewShotConfig.of({**given, "each": 3, "rounds": 2, "out": tmp_path / "again", "train": {"lr": 2e-3, "precision": "fp32", "seed": 2}}))  # fmt: skip
    assert runs[2]["metrics"]["accuracy"] == one.metrics["accuracy"]
    ours = [load(tmp_path / "many" / f"seed-{seed}" / "model").encode(TEXTS) for seed in (0, 2)]
    assert np.array_equal(ours[1], one.model.encode(TEXTS)) and not np.allclose(*ours, atol=1e-3)
    code, told = say(*command, "--label", "lable")
    assert code == 1 and "rows.tsv, line 2: no column 'lable' (columns: text, label). Did you mean 'label'?" in told


def test_what_cannot_be_learnt_from_is_refused_before_anything_is_written(given: dict[str, Any]) -> None:
    for texts, labels, said in (
        ([("x",)], ["a"], "at least two labels"),
        ([("x", "y"), ("z", "w")], ["a", "b"], "single texts, not pairs"),
    ):
        rows = Rows(tuple(texts), tuple(labels), tuple(range(len(texts))), "")
        with pytest.raises(InputError, match=said):
            few_shot_rows(load(given["model"]), rows, None, FewShotConfig.of(given))
    with given["data"].open("a") as file:
        file.write("a text without its label\t\n")
    with pytest.raises(DataError, match=r"rows\.tsv, line 14: column 'label' is empty"):
        few_shot(FewShotConfig.of(given))
    other = given["data"].with_name("dev.tsv")
    other.write_text("text\tlabel\nopen it\tfiel\n")
    given["data"].write_text("\n".join(given["data"].read_text().splitlines()[:-1]) + "\n")
    with pytest.raises(DataError, match=r"dev\.tsv, line 2: unknown label 'fiel'\. Did you mean 'file'\?"):
        few_shot(FewShotConfig.of({**given, "dev": other}))
    assert not given["out"].exists()
    for change, said in (
        ({"rounds": 0}, "field 'rounds'"),
        ({"train": {"lrr": 1}}, r"no field 'train\.lrr'\. Did you mean 'lr'\?"),
    ):
        with pytest.raises(ConfigError, match=said):
            FewShotConfig.of({**given, **change})


def test_a_model_with_a_decoder_is_refused(given: dict[str, Any], tokenizer: Tokenizer) -> None:
    with pytest.raises(ConfigError, match="vectors are an encoder's, and bart has a decoder too"):
        few_shot_rows(tiny_of("bart", tokenizer), ROWS, None, FewShotConfig.of(given))
