"""The study keeps to its protocol: written first, never changed, the same bits after a kill, a control that must be found."""

import json
import signal
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from study_run import config

from maskwright.cli import run
from maskwright.corpus.store import Corpus
from maskwright.data.pairs import NeighbourPairs
from maskwright.errors import ConfigError
from maskwright.evaluation.cross import ALBERT_CROSS
from maskwright.keys import Key
from maskwright.report.study import cross_table, difference_table, study_notes, study_page
from maskwright.studies.arms import Seed
from maskwright.studies.controls import LongerPairs
from maskwright.studies.nsp_sop import run_nsp_sop
from maskwright.studies.nsp_sop_config import NspSopConfig
from maskwright.studies.verdict import summary
from maskwright.train.setup import Pretraining


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Where it lies."""
    return tmp_path_factory.mktemp("study") / "out"


@pytest.fixture(scope="module")
def study(small_corpus: Corpus, folder: Path) -> dict[str, Any]:
    """A study of a few steps."""
    return run_nsp_sop(config(small_corpus.folder, folder))


def numbers(found: dict[str, Any]) -> dict[str, Any]:
    """What does not depend on where or when it was measured."""
    return {name: found[name] for name in ("cells", "beside", "summary", "protocol")}


def test_every_arm_is_read_in_every_way_that_it_can_be(study: dict[str, Any]) -> None:
    assert [(cell["seed"], cell["arm"]) for cell in study["cells"]] == [
        (seed, arm) for seed in (0, 1) for arm in ("untrained", "none", "nsp", "sop")
    ]
    own = {cell["arm"]: set(cell["own"]) for cell in study["cells"]}
    assert own == {"untrained": set(), "none": {"mlm"}, "nsp": {"mlm", "nsp"}, "sop": {"mlm", "sop"}}
    counts = {(cell["seed"], cell["frozen"]["nsp"]["count"]) for cell in study["cells"]}
    assert len(counts) == 2  # one number a seed: all arms answer the same pairs


def test_the_positive_control_is_found_and_labels_by_lot_are_not(study: dict[str, Any]) -> None:
    frozen = [cell["frozen"] for cell in study["cells"]]
    assert min(each["longer"]["accuracy"]["value"] for each in frozen) > 0.8
    assert np.mean([each["lot"]["accuracy"]["value"] for each in frozen]) < 0.6


def test_the_parts_share_no_document(small_corpus: Corpus, tmp_path: Path) -> None:
    one = Seed(config(small_corpus.folder, tmp_path), small_corpus, 3, lambda text: None)
    documents, parts = one.documents, Pretraining.of(one.pretraining("nsp", objectives="mlm,nsp"))
    learn, scored, trained = map(set, (documents.learn, documents.scored, parts.train_documents))
    assert learn and scored and not (learn & scored or learn & trained or scored & trained)
    assert len(learn | scored | trained) == small_corpus.documents


def test_longer_pairs_say_which_segment_is_longer(small_corpus: Corpus) -> None:
    rows = LongerPairs(NeighbourPairs(64, swap_rate=0.0))(small_corpus.tokens(), np.arange(10), Key(0))
    a, b = rows[:, 1] - rows[:, 0], rows[:, 3] - rows[:, 2]
    assert len(rows) > 50 and set(rows[:, 4]) == {0, 1}
    assert ((b > a) == rows[:, 4]).all() and (np.abs(a - b) >= 8).all()


def test_a_killed_study_goes_on_to_the_same_numbers(
    study: dict[str, Any], small_corpus: Corpus, tmp_path: Path
) -> None:
    script = [
        sys.executable,
        str(Path(__file__).with_name("study_run.py")),
        str(small_corpus.folder),
        str(tmp_path / "out"),
        str(torch.get_num_threads()),
    ]
    # Killed in a pre-training of an arm, and again in a fine-tuning.
    for when in ("seed 0, none: pre-training", "seed 0, none: fine-tuned on sop"):
        done = subprocess.run([*script, when], capture_output=True, check=False)
        assert done.returncode == -signal.SIGKILL, done.stderr.decode()
    assert (tmp_path / "out" / "seed-0" / "none" / "frozen.json").exists()
    told: list[str] = []
    again = run_nsp_sop(config(small_corpus.folder, tmp_path / "out"), tell=told.append)
    assert numbers(again) == numbers(study)
    assert told[0] == "seed 0, none: fine-tuned on sop" and not any("seed 0, base" in text for text in told)


def test_another_protocol_is_refused_by_name(study: dict[str, Any], small_corpus: Corpus, tmp_path: Path) -> None:
    out = tmp_path / "out"
    out.mkdir()
    (out / "protocol.json").write_text(json.dumps(study["protocol"]), "utf-8")
    other = config(small_corpus.folder, out, tune_steps=9, train={"lr": 0.5})
    with pytest.raises(ConfigError, match=r"begun under another protocol \(settings\.tune_steps, train\.lr\)"):
        run_nsp_sop(other)
    (out / "protocol.json").write_text("{", "utf-8")
    with pytest.raises(ConfigError, match=r"protocol\.json: not valid JSON"):
        run_nsp_sop(other)
    (out / "protocol.json").rename(out / "notes.txt")
    with pytest.raises(ConfigError, match=r"is not empty and holds no protocol\.json"):
        run_nsp_sop(other)


def test_the_study_sets_the_steps_itself() -> None:
    with pytest.raises(ConfigError, match="minutes is the study's to set: all arms see equal steps"):
        NspSopConfig.of({"corpus": "c", "train": {"minutes": 3}})


def cells_of(*scores: tuple[float, float, float]) -> list[dict[str, Any]]:
    """One seed each: frozen accuracy on both tasks of none, nsp, sop; all controls fine, all tasks learnt."""

    def held(value: float) -> dict[str, Any]:
        return {"accuracy": {"value": value}}

    found = []
    for seed, values in enumerate(scores):
        for arm, value in zip(("untrained", "none", "nsp", "sop"), (0.5, *values), strict=True):
            pairs = {"nsp": held(value), "sop": held(value), "longer": held(0.99)}
            own = {
                task: held(0.9 + 0.01 * seed) for task in ("mlm", arm) if arm not in ("untrained",) and task != "none"
            }
            tuned = {} if arm == "untrained" else pairs
            found.append({"seed": seed, "arm": arm, "own": own, "frozen": pairs | {"lot": held(0.5)}, "tuned": tuned})
    return found


BESIDE = {
    str(seed): {task: {"accuracy": {"majority": 0.5}} for task in ("mlm", "nsp", "sop", "longer")} for seed in range(3)
}


def test_the_verdict_follows_the_intervals_and_nulls_are_said() -> None:
    told = summary(cells_of((0.50, 0.60, 0.51), (0.52, 0.63, 0.50), (0.51, 0.60, 0.53)), BESIDE)
    says = {(one["arm"], one["reading"]): one["says"] for one in told["differences"] if one["task"] == "nsp"}
    assert says["nsp", "frozen"] == "more" and says["sop", "frozen"] == "no difference shown"
    assert all(each["passed"] for each in (*told["checks"], *told["learnt"]))
    low = summary(cells_of((0.60, 0.50, 0.6), (0.61, 0.51, 0.6), (0.6, 0.5, 0.61)), BESIDE)["differences"]
    assert {one["says"] for one in low if one["arm"] == "nsp"} == {"less"}


def test_a_failed_control_and_an_unlearnt_task_are_said(study: dict[str, Any]) -> None:
    cells = cells_of((0.5, 0.6, 0.5), (0.5, 0.6, 0.5), (0.5, 0.6, 0.5))
    cells[4]["frozen"]["longer"] = {"accuracy": {"value": 0.7}}
    for cell in cells:
        if cell["arm"] == "sop":
            cell["own"]["sop"] = {"accuracy": {"value": 0.5}}
    notes = " ".join(study_notes(study | {"summary": summary(cells, BESIDE)}))
    assert "Positive control FAILED" in notes and "nothing follows from this study" in notes
    assert "Trained with SOP: did not learn SOP" in notes and "of what it teaches the study says nothing" in notes


def test_the_page_and_the_tables_hold_every_reading(study: dict[str, Any]) -> None:
    columns, rows = cross_table(study, ALBERT_CROSS)
    assert all(len(row) == len(columns) for row in rows) and rows[-2][:2] == ["ALBERT, NSP", "published"]
    assert rows[-2][2:] == ["54.5", "90.5", "52.0", "–"]
    assert len(difference_table(study)[1]) == 8
    html = study_page(study, ALBERT_CROSS).html()
    assert "<svg" in html and "not like for like" in html


def test_the_command_goes_on_with_a_study_and_tells_what_was_found(
    study: dict[str, Any], folder: Path, small_corpus: Corpus, capsys: pytest.CaptureFixture[str]
) -> None:
    given = config(small_corpus.folder, folder).model_dump(exclude_unset=True)
    words = ["study", "nsp-vs-sop"]
    for name, value in given.items():
        group = value if isinstance(value, dict) else {"": value}
        words += [
            word for each, one in group.items() for word in (f"--{name}.{each}".strip(".").replace("_", "-"), str(one))
        ]
    assert run(words) == 0
    shown = capsys.readouterr().out
    assert "Positive control" in shown and "ALBERT" in shown and (folder / "report.html").exists()
    assert json.loads((folder / "study.json").read_text("utf-8"))["cells"] == study["cells"]
