"""``maskwright similarity`` from files to vectors, and the verbs that take its model."""

import json
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from maskwright.cli import run
from maskwright.model import Model, load

ROWS = "text\tpair\tlabel\nopen the file\tread the file\t5\nreturn none\ta list of names\t1\nraise an error\tan exception\t4\n"


def say(capsys: pytest.CaptureFixture[str], *tokens: object) -> tuple[int, str]:
    code = run([str(token) for token in tokens])
    told = capsys.readouterr()
    return code, " ".join((told.out + told.err).split())


def test_a_model_is_trained_evaluated_and_asked(
    tiny: Callable[..., Model], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    tiny((), dropout=0.0, attention_dropout=0.0).save(tmp_path / "start")
    data, out = tmp_path / "rows.tsv", tmp_path / "run"
    data.write_text(ROWS)
    command = ["similarity", "--model", tmp_path / "start", "--data", data, "--loss", "cosine", "--out", out]
    columns = ["--pair", "pair", "--label", "label", "--options.high", "5", "--dev", data, "--pooling", "first"]
    code, told = say(capsys, *command, *columns, "--train.steps", "4", "--train.precision", "fp32")
    assert code == 0, told
    assert "spearman" in told and "before training" in told and (out / "report.html").is_file()
    assert load(out / "model").card.task["pooling"] == "first"
    code, told = say(capsys, "evaluate", out / "model", "--data", data, "--pair", "pair")
    assert code == 0 and "pearson" in told
    answers = tmp_path / "answers.jsonl"
    assert say(capsys, "predict", out / "model", data, "--pair", "pair", "--out", answers)[0] == 0
    rows = [json.loads(line) for line in answers.read_text().splitlines()]
    assert [row["text"] for row in rows] == ["open the file", "return none", "raise an error"]
    assert all(-1 <= row["label"] <= 1 for row in rows) and len({row["label"] for row in rows}) == 3
    vectors = load(out / "model").encode([rows[0]["text"], rows[0]["pair"]]).astype(np.float64)
    cosine = vectors[0] @ vectors[1] / np.linalg.norm(vectors[0]) / np.linalg.norm(vectors[1])
    assert rows[0]["label"] == pytest.approx(cosine, abs=1e-6)
    code, told = say(capsys, "evaluate", out / "model", "--data", data)
    assert (
        code == 1
        and "rows.tsv, line 2: one text, and this model was trained on pairs; give rows of two (--pair names" in told
    )


def test_mistakes_are_told_in_one_sentence(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "rows.tsv").write_text(ROWS)
    command = ["similarity", "--model", "no/where/at/all", "--data", tmp_path / "rows.tsv"]
    for extra, said in (
        (["--loss", "tripplet"], "no similarity loss 'tripplet'. Did you mean 'triplet'?"),
        ([], "pair: the loss 'in-batch' needs it; name the column"),
        (
            ["--loss", "simcse", "--text", "txt"],
            "rows.tsv, line 2: no column 'txt' (columns: text, pair, label). Did you mean 'text'? Name the right one with --text",
        ),
        (
            ["--pair", "pair", "--dev", tmp_path / "rows.tsv", "--dev-text", "first"],
            "Name the right one with --dev-text",
        ),
        (["--pooling", "men"], "field 'pooling': input should be 'mean', 'first' or 'max', not 'men'"),
        (["--length", "3"], "field 'length': input should be greater than or equal to 8"),
    ):
        code, told = say(capsys, *command, *extra)
        assert code in (1, 2) and said in told, told


def test_a_recipe_is_read(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    recipe = tmp_path / "recipe.yaml"
    recipe.write_text("schema: 1\nmodel: nowhere\ndata: rows.tsv\nloss: triplet\npair: p\n")
    code, told = say(capsys, "similarity", "--recipe", recipe)
    assert code == 1 and "negative: the loss 'triplet' needs it" in told
