"""A run over GLUE: every cell once, what is cut off goes on, and only like scores stand beside these."""

import json
import zipfile
from collections.abc import Callable
from dataclasses import asdict
from pathlib import Path
from typing import Any

import pytest

from maskwright.cli import run
from maskwright.config import GlueConfig
from maskwright.errors import CheckpointError, ConfigError, InputError
from maskwright.evaluation.published import PUBLISHED, beside
from maskwright.model import Model, load
from maskwright.report.glue import average, glue_lines, glue_notes, glue_page, glue_table
from maskwright.train import glue as module
from maskwright.train.glue import run_glue

WORDS = ("the file", "a socket", "the list", "an error", "some value", "no name")


def pairs(head: str, labels: tuple[str, ...] | None, count: int = 12) -> str:
    rows = [f"{n}\t{WORDS[n % 6]} is open\t{WORDS[n % 5]} is closed" for n in range(count)]
    return head + "".join(
        f"{row}{'' if labels is None else chr(9) + labels[n % len(labels)]}\n" for n, row in enumerate(rows)
    )


def write(path: Path, text: str) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text, "utf-8")


@pytest.fixture
def given(tiny: Callable[..., Model], tmp_path: Path) -> dict[str, Any]:
    """A folder with a few rows of RTE, MNLI with both dev sets, STS-B and AX, and a tiny model."""
    tiny(("pooler",)).save(tmp_path / "model")
    data, pair = tmp_path / "data", "index\tsentence1\tsentence2"
    for split in ("train", "dev"):
        write(data / "RTE" / f"{split}.tsv", pairs(f"{pair}\tlabel\n", ("entailment", "not_entailment")))
        write(data / "STS-B" / f"{split}.tsv", pairs(f"{pair}\tscore\n", ("0.5", "4.25", "3", "1")))
    for split in ("train", "dev_matched", "dev_mismatched"):
        labels = ("neutral", "entailment", "contradiction")
        write(data / "MNLI" / f"{split}.tsv", pairs(f"{pair}\tgold_label\n", labels))
    for name in ("RTE/test", "STS-B/test", "MNLI/test_matched", "MNLI/test_mismatched", "diagnostic/diagnostic"):
        write(data / f"{name}.tsv", pairs(f"{pair}\n", None, 5))
    train = {"epochs": 1, "examples": 6, "precision": "fp32"}
    return {
        "model": str(tmp_path / "model"),
        "data": data,
        "out": tmp_path / "out",
        "length": 24,
        "train": train,
        "seeds": 2,
    }


def test_every_task_and_seed_is_run_once_and_gives_scores_and_archives(given: dict[str, Any]) -> None:
    told: list[str] = []
    config = GlueConfig.of({**given, "seeds": 1, "start_from": {"rte": "mnli"}})
    found = run_glue(config, tell=told.append)
    assert list(found["tasks"]) == ["stsb", "mnli", "rte"]
    assert set(found["left_out"]) == {"cola", "sst2", "mrpc", "qqp", "qnli", "wnli"}
    assert [(cell["task"], cell["seed"]) for cell in found["cells"]] == [(task, 0) for task in ("stsb", "mnli", "rte")]
    assert set(found["cells"][1]["scores"]) == {"dev", "dev_mismatched"}
    assert json.loads((given["out"] / "glue.json").read_text("utf-8"))["cells"] == found["cells"]
    with zipfile.ZipFile(given["out"] / "submission-seed-0.zip") as archive:
        assert archive.namelist() == ["AX.tsv", "MNLI-m.tsv", "MNLI-mm.tsv", "RTE.tsv", "STS-B.tsv"]
        for name in archive.namelist():
            lines = archive.read(name).decode().splitlines()
            assert lines[0] == "index\tprediction" and [line.split("\t")[0] for line in lines[1:]] == list("01234")
    sealed = given["out"] / "mnli" / "seed-0" / "cell" / "cell.json"
    before = sealed.stat().st_mtime_ns
    again: list[str] = []
    assert run_glue(config, tell=again.append) == found
    assert sealed.stat().st_mtime_ns == before
    assert again.count("     done before") == 3 and told.count("     done before") == 0


def test_a_task_that_starts_from_another_has_its_weights_and_a_head_of_its_own(given: dict[str, Any]) -> None:
    config = GlueConfig.of(
        {**given, "tasks": "mnli,rte", "seeds": 1, "start_from": {"rte": "mnli"}, "baseline": False,
         "per_task": {"rte": {"steps": 1, "lr": 1e-9}}}
    )  # fmt: skip
    found = run_glue(config)
    assert [cell["steps"] for cell in found["cells"]] == [2, 1]
    first, second = (load(given["out"] / name / "seed-0" / "run" / "model") for name in ("mnli", "rte"))
    assert second.net.head_outputs()["classify"] == 2 and first.net.head_outputs()["classify"] == 3
    blocks = [dict(model.net.stack.named_parameters()) for model in (first, second)]
    assert all((blocks[0][name] - blocks[1][name]).abs().max() < 1e-6 for name in blocks[0])
    begun = dict(load(given["model"]).net.stack.named_parameters())
    assert any((blocks[1][name] - begun[name]).abs().max() > 1e-6 for name in begun)


def test_a_run_that_was_cut_off_goes_on_and_gives_the_same(
    given: dict[str, Any], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    config = GlueConfig.of({**given, "tasks": "rte", "baseline": False})
    whole = run_glue(config.model_copy(update={"out": tmp_path / "whole"}))

    def cut(*given: Any) -> None:
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr(module, "answer", cut)
        with pytest.raises(KeyboardInterrupt):
            run_glue(config)
    assert not (given["out"] / "rte" / "seed-0" / "cell").exists()
    found = run_glue(config)
    assert [cell["seed"] for cell in found["cells"]] == [0, 1]
    assert [cell["scores"] for cell in found["cells"]] == [cell["scores"] for cell in whole["cells"]]
    folders = [out / "rte" / "seed-0" / "cell" for out in (tmp_path / "whole", given["out"])]
    assert folders[0].joinpath("test.tsv").read_bytes() == folders[1].joinpath("test.tsv").read_bytes()


def test_cells_of_other_settings_are_not_taken_for_these_and_damage_is_seen(given: dict[str, Any]) -> None:
    config = {**given, "tasks": "rte", "seeds": 1, "baseline": False}
    run_glue(GlueConfig.of(config))
    with pytest.raises(
        ConfigError, match=r"rte/seed-0 was run with other settings or data \(train\.lr 0\.001, was .*\);"
    ):
        run_glue(GlueConfig.of({**config, "train": {**given["train"], "lr": 1e-3}}))
    write(given["data"] / "RTE" / "test.tsv", "index\tsentence1\tsentence2\n0\tother\trows\n")
    with pytest.raises(ConfigError, match=r"other settings or data \(data\.test\);"):
        run_glue(GlueConfig.of(config))
    (given["out"] / "rte" / "seed-0" / "cell" / "dev.tsv").write_text("index\tprediction\n")
    with pytest.raises(CheckpointError, match=r"dev\.tsv: damaged"):
        run_glue(GlueConfig.of(config))


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"tasks": "rte,rtf"}, "no task 'rtf'. Did you mean 'rte'"),
        ({"tasks": "rte,rte"}, "each once"),
        ({"tasks": "cola"}, "no train.tsv there, nor in CoLA/"),
        ({"start_from": {"rte": "mnlii"}}, "'mnlii' is neither a task of this run .* nor a model folder. Did you mean 'mnli'"),
        ({"start_from": {"mnli": "rte", "rte": "mnli"}}, "in a circle"),
        ({"start_from": {"cola": "mnli"}}, "start_from.cola: not among the tasks of this run"),
        ({"per_task": {"rte": {"epoch": 3}}}, "no field 'per_task.rte.epoch'. Did you mean 'epochs'"),
        ({"per_task": {"wnli": {"epochs": 3}}}, "per_task.wnli: not among the tasks of this run"),
        ({"beside": "bert"}, None),
    ],
)  # fmt: skip
def test_what_cannot_be_is_refused_before_the_first_run(
    given: dict[str, Any], change: dict[str, Any], said: str
) -> None:
    if said is None:
        with pytest.raises(ConfigError, match="no published scores 'bert'"):
            beside(change["beside"])
        return
    with pytest.raises(InputError, match=said):
        run_glue(GlueConfig.of({**given, "tasks": "stsb,mnli,rte", "baseline": False, **change}))
    assert not given["out"].exists()


def test_a_model_of_a_data_set_is_scored_and_answers_by_the_data_set_s_name(
    given: dict[str, Any], capsys: pytest.CaptureFixture[str]
) -> None:
    data, out = str(given["data"]), given["out"]
    words = ["--model", given["model"], "--task", "glue/mnli", "--data", data, "--out", str(out), "--length", "24"]
    assert run(["finetune", *words, "--train.steps", "1", "--no-baseline"]) == 0
    model = str(out / "model")
    for split in ("dev", "dev_mismatched"):
        assert run(["evaluate", model, "--dataset", "glue/mnli", "--data", data, "--split", split]) == 0
    assert "accuracy" in capsys.readouterr().out
    assert run(["evaluate", model, "--dataset", "glue/mnli", "--data", data, "--split", "test"]) == 1
    assert "test has no labels to score by" in capsys.readouterr().err
    assert run(["predict", model, data, "--dataset", "glue/mnli", "--out", str(out / "a.csv")]) == 0
    lines = (out / "a.csv").read_text("utf-8").splitlines()
    assert lines[0] == "text,pair,label,p(entailment),p(neutral),p(contradiction)" and len(lines) == 6


def made(**changes: Any) -> dict[str, Any]:
    """Measured by hand: two seeds of MRPC and one dev set more of MNLI."""
    facts = {"train_rows": 3668, "dev_rows": 408, "official": True, "why_not": "", "baselines": {}}
    cells = [("mrpc", 0, {"dev": {"accuracy": 0.8, "f1": 0.9}}), ("mrpc", 1, {"dev": {"accuracy": 0.9, "f1": 0.92}}),
             ("mnli", 0, {"dev": {"accuracy": 0.5}, "dev_mismatched": {"accuracy": 0.6}}),
             ("mnli", 1, {"dev": {"accuracy": 0.7}, "dev_mismatched": {"accuracy": 0.6}})]  # fmt: skip
    config = GlueConfig(model="m", data=Path("d"), **changes).model_dump(mode="json")
    return {
        "config": config, "command": "", "left_out": {"qqp": "no file"}, "archives": {},
        "tasks": {"mrpc": {**facts, "title": "MRPC", "baselines": {"a": {"accuracy": 0.6, "f1": 0.7}, "b": {"accuracy": 0.65, "f1": 0.6}}},
                  "mnli": {**facts, "title": "MNLI"}},
        "cells": [{"task": t, "seed": s, "scores": x, "steps": 9, "seconds": 1.5} for t, s, x in cells],
    }  # fmt: skip


def test_the_table_holds_mean_sd_median_rival_and_published_score() -> None:
    bert = asdict(PUBLISHED["bert-base"])
    columns, rows = glue_table(made(), bert)
    assert columns == ["task", "metric", "mean ± sd", "median", "TF-IDF", "BERT-base, cased"]
    assert rows == [
        ["MRPC", "accuracy", "85.0 ± 7.1", "85.0", "65.0", "84.1"],
        ["", "f1", "91.0 ± 1.4", "91.0", "70.0", "88.8"],
        ["MNLI", "accuracy", "60.0 ± 14.1", "60.0", "–", "83.9"],
        ["MNLI-mm", "accuracy", "60.0 ± 0.0", "60.0", "–", "84.1"],
        ["average of 2", "", "74.0 ± 5.7", "74.0", "–", "–"],
    ]
    alone = made()
    alone["cells"], alone["tasks"] = (
        [dict(c, scores={"dev": {"accuracy": 0.5}}) for c in alone["cells"][2:]],
        {"mnli": alone["tasks"]["mnli"]},
    )
    assert [row[0] for row in glue_table(alone, bert)[1]] == ["MNLI"]
    assert average(made()) == pytest.approx(((85 + 55) / 2, (91 + 65) / 2))
    html = glue_page(made(), bert).html()
    assert "BERT-base, cased" in html and "85.0 ± 7.1" in html


@pytest.mark.parametrize(
    ("changes", "why"),
    [({"weights": "best"}, "best weights here, last there"), ({"start_from": {"mrpc": "mnli"}}, "starts from mnli")],
)
def test_unlike_protocols_are_not_put_side_by_side(changes: dict[str, Any], why: str) -> None:
    found, bert = made(**changes), asdict(PUBLISHED["bert-base"])
    assert glue_lines(found, bert)[0].published is None
    assert any(why in note for note in glue_notes(found, bert))
    subset = made()
    subset["tasks"]["mrpc"] |= {"official": False, "why_not": "64 training rows"}
    assert [line.published is None for line in glue_lines(subset, bert)] == [True, True, False, False]
    assert "No published score beside MRPC: 64 training rows." in glue_notes(subset, bert)


def test_published_scores_name_metrics_that_the_tasks_have() -> None:
    metrics = {
        "cola": {"matthews"},
        "mrpc": {"accuracy", "f1"},
        "qqp": {"accuracy", "f1"},
        "stsb": {"pearson", "spearman"},
    }
    for each in PUBLISHED.values():
        for task, scores in each.scores.items():
            assert set(scores) <= metrics.get(task, {"accuracy"})
            assert all(20 < value < 100 for value in scores.values())


def test_the_command_prints_the_table_and_writes_the_report(
    given: dict[str, Any], capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("COLUMNS", "80")
    words = ["glue", "--model", given["model"], "--data", str(given["data"]), "--tasks", "rte", "--seeds", "1"]
    words += ["--out", str(given["out"]), "--length", "24", "--per-task.rte.steps", "1", "--no-keep-models"]
    assert run(words) == 0
    out = capsys.readouterr().out
    out = "".join(out.split())  # lines are broken wherever a folder's name makes them too long
    assert "RTE" in out and "12trainingrows" in out and "submission-seed-0.zip" in out
    assert "(11of11filesmissingorshort)" in out
    assert (given["out"] / "report.html").stat().st_size > 3_000
    assert not (given["out"] / "rte" / "seed-0" / "run" / "model").exists()
    assert (given["out"] / "rte" / "seed-0" / "run" / "report.html").exists()
