"""The learning curve: each point is the run that its rows alone would give, and goes into the report."""

import json
import statistics
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from maskwright.cli import run
from maskwright.config import FinetuneConfig
from maskwright.errors import ConfigError
from maskwright.evaluation.diagnosis import baselines
from maskwright.model import Model, load
from maskwright.report.finetuned import curve_page
from maskwright.report.log import read_log
from maskwright.report.run import run_page
from maskwright.tasks.rows import Rows
from maskwright.train import curve
from maskwright.train.curve import learning_curve
from maskwright.train.finetune import finetune, read_data
from maskwright.train.repeat import repeat_curve

TEXTS = ("open the file", "a list of names", "close the socket", "the default value")


@pytest.fixture
def given(tiny: Callable[..., Model], tmp_path: Path) -> dict[str, Any]:
    tiny(("pooler",)).save(tmp_path / "start")
    rows = [f"{TEXTS[n % 4]} {n}\t{('verb', 'noun')[n % 2]}" for n in range(20)]
    for name, part in (("rows", rows), ("dev", rows[::3])):
        (tmp_path / f"{name}.tsv").write_text("\n".join(["text\tlabel", *part]) + "\n")
    train = {"epochs": 2, "examples": 4, "precision": "fp32", "lr": 1e-2, "evaluate_every": 5}
    paths = {"model": str(tmp_path / "start"), "data": tmp_path / "rows.tsv", "dev": tmp_path / "dev.tsv"}
    return {**paths, "out": tmp_path / "run", "length": 16, "train": train}


def result_of(folder: Path) -> dict[str, Any]:
    return [record for record in read_log(folder / "log.jsonl") if record["kind"] == "result"][-1]


def test_each_point_is_the_run_of_its_rows_beside_tf_idf_of_the_same(given: dict[str, Any], tmp_path: Path) -> None:
    config = FinetuneConfig.of(given)
    done, points = learning_curve(config, [0.5, 0.2, 1])
    assert [point["rows"] for point in points] == [4, 10, 20]
    assert points == result_of(given["out"])["learning_curve"]
    assert points[-1]["scores"] == result_of(given["out"])["scores"]
    plain = finetune(config.model_copy(update={"out": tmp_path / "plain"}))
    assert plain.metrics == done.metrics == {"accuracy": points[-1]["scores"]["accuracy"]["value"]}
    learnt = {}
    task, rows, dev = read_data(config)
    for point in points[:2]:
        # The rows of a point, from what was logged of it: its run alone, and TF-IDF on these rows, score the same.
        order = curve.Key(0).stream("rows.curve").order(20)[: point["rows"]]
        few: Rows = rows.pick(sorted(order.tolist()))
        learnt[point["rows"]] = set(few.lines)
        lines = [f"{text}\t{label}" for (text,), label in zip(few.texts, few.labels or (), strict=True)]
        (tmp_path / "few.tsv").write_text("\n".join(["text\tlabel", *lines]) + "\n")
        alone = finetune(config.model_copy(update={"data": tmp_path / "few.tsv", "out": tmp_path / f"{point['rows']}"}))
        assert alone.metrics["accuracy"] == point["scores"]["accuracy"]["value"]
        beside = {name: scores["accuracy"] for name, scores in baselines(task, few, dev).items()}
        assert point["scores"]["accuracy"]["beside"] == beside
    assert learnt[4] < learnt[10]
    assert load(given["out"] / "model") and not (given["out"] / "curve" / "rows-4" / "model").exists()


def test_the_report_draws_the_curve_with_its_intervals(given: dict[str, Any]) -> None:
    learning_curve(FinetuneConfig.of(given), [0.5])
    html = run_page(read_log(given["out"] / "log.jsonl")).html()
    assert html.count(">Learning curve<") >= 1 and "Score by training rows" in html and "Confusions" in html
    finetune(FinetuneConfig.of({**given, "out": given["out"] / "plain"}))
    assert "Learning curve" not in run_page(read_log(given["out"] / "plain" / "log.jsonl")).html()


def test_a_curve_that_was_cut_off_goes_on_and_runs_nothing_twice(
    given: dict[str, Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    config = FinetuneConfig.of(given)
    real, seen = curve.finetune_rows, []

    def counted(*args: Any, **named: Any) -> Any:
        if len(seen) == 1:
            seen.append("stopped")
            raise KeyboardInterrupt
        seen.append(named["label"])
        return real(*args, **named)

    monkeypatch.setattr(curve, "finetune_rows", counted)
    with pytest.raises(KeyboardInterrupt):
        learning_curve(config, [0.2, 0.5])
    _, points = learning_curve(config, [0.2, 0.5], resume=True)
    assert seen == ["4 rows", "stopped", "10 rows"] and [point["rows"] for point in points] == [4, 10, 20]


def test_a_curve_over_seeds_is_the_mean_of_each_seed_s_with_the_lowest_and_the_highest(given: dict[str, Any]) -> None:
    config = FinetuneConfig.of({**given, "dev": None, "train": {**given["train"], "seed": 3}})
    done, points = repeat_curve(config, [0.5], seeds=3)
    curves = [result_of(given["out"] / f"seed-{seed}")["learning_curve"] for seed in (3, 4, 5)]
    assert [point["rows"] for point in points] == [9, 18] and {point["seeds"] for point in points} == {3}
    for at, point in enumerate(points):
        scores = [one[at]["scores"]["accuracy"] for one in curves]
        values, found = [score["value"] for score in scores], point["scores"]["accuracy"]
        assert found["value"] == pytest.approx(sum(values) / 3) and found["sd"] == pytest.approx(
            statistics.stdev(values)
        )
        assert (found["low"], found["high"]) == (min(values), max(values))
        for method, value in found["beside"].items():
            assert value == pytest.approx(sum(score["beside"][method] for score in scores) / 3)
    assert done.values("accuracy") == [one[-1]["scores"]["accuracy"]["value"] for one in curves]
    assert json.loads((given["out"] / "runs.json").read_text())["learning_curve"] == points
    # Seeds that drew the same rows, or one seed thrice, would not differ.
    assert len({tuple(point["scores"]["accuracy"]["value"] for point in one) for one in curves}) > 1
    again, same = repeat_curve(config, [0.5], seeds=3, resume=True)
    assert same == points and again.runs == done.runs
    html = curve_page(points, "maskwright finetune").html()
    assert "mean of 3 seeds; bars, and what stands in brackets: the lowest and the highest" in " ".join(html.split())


def test_ends_and_means_are_those_of_a_case_worked_by_hand() -> None:
    curves = [
        [{"rows": 5, "scores": {"f1": {"value": value, "low": 0.0, "high": 1.0, "beside": {"TF-IDF": other}}}}]
        for value, other in ((0.5, 0.25), (0.75, 0.5), (1.0, 0.75))
    ]
    (point,) = curve.over_seeds(curves)
    score = {"value": 0.75, "low": 0.5, "high": 1.0, "sd": 0.25, "beside": {"TF-IDF": 0.5}}
    assert point == {"rows": 5, "seeds": 3, "scores": {"f1": score}}
    assert curve.over_seeds(curves[:1])[0]["scores"]["f1"]["sd"] is None


def test_the_command_prints_the_curve_and_refuses_what_is_none(
    given: dict[str, Any], capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    command = ["finetune", "--model", given["model"], "--data", str(given["data"]), "--length", "16"]
    short = ["--train.steps", "2", "--train.precision", "fp32", "--out", str(given["out"])]
    assert run([*command, *short, "--learning-curve", "0.25,0.5"]) == 0
    told = " ".join(capsys.readouterr().out.split())
    assert "Learning curve" in told and "training rows" in told
    seeds = [*short[:-1], str(given["out"] / "seeds"), "--seeds", "2"]
    assert run([*command, *seeds, "--learning-curve", "0.25,0.5"]) == 0
    told = " ".join(capsys.readouterr().out.split())
    assert "Learning curve, mean of 2 seeds [lowest, highest]" in told and "median" in told
    assert (given["out"] / "seeds" / "report.html").exists()
    for extra, status, said in (
        (["--learning-curve", "few"], 2, "--learning-curve takes shares with commas, such as 0.1,0.3, not 'few'"),
        (["--learning-curve", "0.5", "--folds", "2"], 2, "--learning-curve takes --seeds, not --folds"),
        (["--learning-curve", "0.5", "--seeds", "0"], 1, "seeds 0: give at least 1"),
        (["--learning-curve", "1.5"], 1, "shares of the rows lie above 0 and up to 1, not 1.5"),
    ):
        assert run([*command, *short, *extra]) == status
        assert said in " ".join(capsys.readouterr().err.split())
    monkeypatch.setenv("WORLD_SIZE", "2")
    with pytest.raises(ConfigError, match="the learning curve runs in one process"):
        learning_curve(FinetuneConfig.of(given), [0.5])
