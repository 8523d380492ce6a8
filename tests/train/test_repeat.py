"""Several seeds and k folds: every row is held out once, labels are spread evenly, and the spread is that of the runs."""

import json
import statistics
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from maskwright.cli import run
from maskwright.config import FinetuneConfig
from maskwright.errors import ConfigError, InputError
from maskwright.model import Model
from maskwright.tasks.rows import Rows
from maskwright.train.repeat import folds_of, repeat

LABELS = ("a",) * 9 + ("b",) * 5


@pytest.fixture
def given(tiny: Callable[..., Model], tmp_path: Path) -> dict[str, Any]:
    tiny(("pooler",)).save(tmp_path / "start")
    rows = [f"the list {n} of {label}\t{label}" for n, label in enumerate(LABELS)]
    (tmp_path / "rows.tsv").write_text("\n".join(["text\tlabel", *rows]) + "\n")
    train = {"steps": 1, "examples": 4, "precision": "fp32"}
    return {"model": str(tmp_path / "start"), "data": tmp_path / "rows.tsv", "out": tmp_path / "out", "length": 16,
            "train": train, "baseline": False}  # fmt: skip


def test_every_row_is_held_out_once_and_each_fold_has_its_share_of_every_label() -> None:
    rows = Rows(tuple((str(n),) for n in range(14)), LABELS, tuple(range(14)), "")
    folds = folds_of(rows, 4, seed=0)
    assert sorted(place for fold in folds for place in fold.tolist()) == list(range(14))
    assert all(1 <= sum(LABELS[place] == "b" for place in fold) <= 2 for fold in folds)
    assert {len(fold) for fold in folds} == {3, 4}
    assert [fold.tolist() for fold in folds] != [fold.tolist() for fold in folds_of(rows, 4, seed=1)]
    with pytest.raises(InputError, match="14 rows cannot be cut into 15 folds"):
        folds_of(rows, 15, seed=0)


def test_seeds_and_folds_are_runs_of_their_own_and_their_spread_is_said(given: dict[str, Any]) -> None:
    done = repeat(FinetuneConfig.of(given), folds=2)
    assert [one["name"] for one in done.runs] == ["seed-0-fold-0", "seed-0-fold-1"]
    assert [one["dev_rows"] for one in done.runs] == [7, 7]
    values = done.values("accuracy")
    assert done.spread()["accuracy"].mean == pytest.approx(statistics.fmean(values))
    kept = json.loads((given["out"] / "runs.json").read_text("utf-8"))["runs"]
    assert [one["metrics"]["accuracy"] for one in kept] == values
    again = repeat(FinetuneConfig.of(given), folds=2, resume=True)
    assert again.values("accuracy") == values


def test_what_cannot_be_repeated_is_refused(given: dict[str, Any]) -> None:
    for seeds, folds in ((0, 0), (1, 1), (1, -2)):
        with pytest.raises(ConfigError, match="give at least 1 seed, and 0 or at least 2 folds"):
            repeat(FinetuneConfig.of(given), seeds=seeds, folds=folds)
    with pytest.raises(ConfigError, match="folds: each part of the training rows is held out"):
        repeat(FinetuneConfig.of({**given, "dev": given["data"]}), folds=2)


def test_the_command_shows_mean_spread_and_median(given: dict[str, Any], capsys: pytest.CaptureFixture[str]) -> None:
    words = ["finetune", "--model", given["model"], "--data", str(given["data"]), "--out", str(given["out"])]
    words += ["--length", "16", "--train.steps", "1", "--seeds", "2", "--no-baseline"]
    assert run(words) == 0
    out = capsys.readouterr().out
    assert "2 runs" in out and "median" in out and "95 % of the mean" in out
    assert (given["out"] / "seed-1" / "report.html").exists() and (given["out"] / "seed-1" / "model").is_dir()
