"""Rounds: sides in turns, nothing lost by an interruption, the same work on both sides of a ratio."""

import importlib
import json
from pathlib import Path
from typing import Any

import pytest
from made_bench import one

from maskwright.bench import finetune, mlm, place, rounds
from maskwright.bench.cases import CASES, Case, Side, absent, chosen
from maskwright.bench.place import PROFILES, furnish
from maskwright.bench.rounds import Settings, measure
from maskwright.bench.table import ratios, unequal
from maskwright.bench.worker import Clock, Job
from maskwright.checkpoint.folder import Card
from maskwright.cli import run
from maskwright.errors import InputError
from maskwright.tasks.classify import Classification
from small import documents

TWO = Case("two", "two", "s", "sentences", "encoder", 64, (Side("maskwright", "x:y"), Side("other", "x:z"), Side("third", "x:w")), by="lap")  # fmt: skip


@pytest.fixture
def faked(monkeypatch: pytest.MonkeyPatch) -> list[tuple[str, str]]:
    """No networks, no processes: who was asked, in order."""
    asked: list[tuple[str, str]] = []

    def measured(settings: Settings, case: Case, side: Side, folder: Path) -> dict[str, Any]:
        if len(asked) == settings.seed:  # after so many measurements somebody presses Ctrl-C
            asked.append(("Ctrl-C", ""))
            raise KeyboardInterrupt
        asked.append((case.name, side.name))
        found = one(case.name, side.name, 0, 1.0 + len(asked), 1)
        return {name: found[name] for name in ("seconds", "amount", "laps", "median_lap", "check", "load")}

    monkeypatch.setattr(rounds, "furnish", lambda *given: {"networks": {}, "texts": {}})
    monkeypatch.setattr(rounds, "_one", measured)
    return asked


def test_each_round_begins_with_another_side(faked: list[tuple[str, str]], tmp_path: Path) -> None:
    measure(Settings((TWO,), tmp_path, rounds=3, seed=99), print)
    sides = [side for case, side in faked if case == "two"]
    assert sides == ["maskwright", "other", "third", "other", "third", "maskwright", "third", "maskwright", "other"]
    assert [case for case, _ in faked].count("ceiling") == 3


def test_an_interruption_loses_nothing_and_a_broken_round_is_measured_anew(
    faked: list[tuple[str, str]], tmp_path: Path
) -> None:
    with pytest.raises(KeyboardInterrupt):
        measure(Settings((TWO,), tmp_path, rounds=2, seed=6), print)
    kept = json.loads((tmp_path / "bench.json").read_text())["measurements"]
    assert len(kept) == 6  # a whole round of 1 + 3, and of the next the ceiling and one side
    with pytest.raises(InputError, match="--resume"):
        measure(Settings((TWO,), tmp_path, rounds=2, seed=6), print)
    with pytest.raises(InputError, match="seconds"):
        measure(Settings((TWO,), tmp_path, rounds=2, seed=6, seconds=1), print, resume=True)
    faked.clear()
    faked += [("", "")] * 10  # beyond the interruption
    record = measure(Settings((TWO,), tmp_path, rounds=2, seed=6), print, resume=True)
    assert record["measurements"][:5] == kept[:5]
    assert [name for _, name in faked[10:]] == ["other", "third", "maskwright"]
    assert len(ratios(record, "two", "other")) == 2


def test_who_is_not_installed_is_said_and_left_out(
    faked: list[tuple[str, str]], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    gone = Side("other", "x:z", ("no_such_library",), "pip install it")
    case = Case("two", "two", "s", "sentences", "encoder", 64, (TWO.sides[0], gone), by="lap")
    record = measure(Settings((case,), tmp_path, rounds=1, seed=99), print)
    assert record["absent"] == {"other": "no_such_library not installed: pip install it"}
    assert faked == [("ceiling", "maskwright"), ("two", "maskwright")]


def test_names_are_chosen_by_their_beginnings() -> None:
    assert [case.name for case in chosen("mlm-mini,ready")] == ["mlm-mini-128", "mlm-mini-512", "ready"]
    assert chosen("") == CASES
    with pytest.raises(InputError, match="Did you mean 'encode'"):
        chosen("encod3")


def test_every_side_has_its_function() -> None:
    for case in CASES:
        for side in case.sides:
            module, _, name = side.make.partition(":")
            assert callable(getattr(importlib.import_module(f"maskwright.bench.{module}"), name)), side
    assert set(absent(CASES)) <= {side.name for case in CASES for side in case.sides}


def test_a_clock_goes_on_until_the_time_is_up_and_the_fewest_laps_are_done() -> None:
    clock = Clock(seconds=3, least=2)
    assert clock.took(5, 1)
    assert not clock.took(1, 1)
    assert clock.facts() == {"seconds": 6, "amount": 2, "laps": 2, "median_lap": 3}
    assert Clock(seconds=3, least=1).took(2, 1)


def test_laps_that_warm_up_are_taken_and_not_counted() -> None:
    clock = Clock(seconds=1, least=1, warm=2)
    assert clock.took(9, 1) and clock.took(9, 1)
    assert not clock.took(2, 5)
    assert clock.facts() == {"seconds": 2, "amount": 5, "laps": 1, "median_lap": 2}


@pytest.fixture
def texts(tmp_path: Path) -> Path:
    path = tmp_path / "texts.jsonl"
    lines = [line for document in documents() for line in document.text.splitlines() if len(line.split()) > 3][:200]
    path.write_text("".join(json.dumps({"text": line}) + "\n" for line in lines))
    return path


def test_tokens_are_counted_side_by_side_in_processes_of_their_own(texts: Path, tmp_path: Path) -> None:
    case = next(case for case in CASES if case.name == "tokenise")
    case = Case(**{**vars(case), "sides": case.sides[:2], "network": "mini"})
    record = measure(Settings((case,), tmp_path / "out", rounds=1, seconds=1, threads=1, data=texts), print)
    assert [one.get("error") for one in record["measurements"]] == [None] * 3
    assert unequal(record, "tokenise", "tokenizers") == ""
    assert len(ratios(record, "tokenise", "tokenizers")) == 1
    ours = next(one for one in record["measurements"] if one["side"] == "maskwright" and one["case"] == "tokenise")
    assert ours["amount"] == record["texts"]["long-512"]["tokens"]
    assert ours["load"]["others"] >= 0 and len(ours["load"]["queue"]) == 2


def job_of(model: Any, folder: Path, texts: Path, length: int) -> Job:
    model.save(folder / "network")
    return Job("case", texts, folder / "network", length, 4, folder / "out.npy", folder / "kept")


@pytest.mark.parametrize("module", [finetune, mlm])
def test_sides_of_a_training_do_the_same_work(module: Any, tiny: Any, tmp_path: Path) -> None:
    pytest.importorskip("transformers")
    import numpy as np

    model = tiny(["classify", "pooler"] if module is finetune else ["mlm"])
    if module is finetune:
        model.add_head("classify", 2)
        facts, labels = Classification(place.LABELS).card()
        model.card = Card(facts, tuple(labels))
        path = tmp_path / "rows.json"
        path.write_text(json.dumps([["a text to learn from " * (1 + n % 9), "and another"] for n in range(16)]))
    else:
        path = tmp_path / "blocks.npy"
        np.save(path, np.arange(16 * 30).reshape(16, 30) % 500 + 100)
    job = job_of(model, tmp_path, path, 32)
    amounts, checks = {}, {}
    for name in ("ours", "default", "tuned"):
        ready, clock = getattr(module, name)(job), Clock(0, 100)
        clock.start()
        ready.run(clock)
        amounts[name], checks[name] = (len(clock.laps), clock.facts()["amount"]), ready.check
    assert len(set(amounts.values())) == 1, amounts  # an epoch: as many steps, as many real tokens
    for name in ("default", "tuned"):
        assert checks[name]["ids"] == checks["ours"]["ids"]
        assert checks[name]["losses"] == pytest.approx(checks["ours"]["losses"], rel=0.02)
    assert checks["ours"]["losses"][2] < checks["ours"]["losses"][0]


def test_texts_have_the_lengths_of_their_profile(tmp_path: Path) -> None:
    cases = [case for case in CASES if case.name in ("finetune-pairs", "single")]
    cases = [Case(**{**vars(case), "network": "mini"}) for case in cases]
    found = furnish(tmp_path, cases, None, None, 0)
    for key, name in (("pairs-128", "pairs"), ("sentences-128", "sentences")):
        facts, profile = found["texts"][key], PROFILES[name]
        assert facts["rows"] == profile.rows and facts["mean"] == pytest.approx(profile.mean, rel=0.1)
        assert facts["longest"] <= 128


def test_too_few_texts_are_refused(tmp_path: Path) -> None:
    (tmp_path / "few.txt").write_text("one text\n")
    with pytest.raises(InputError, match="1 texts are too few"):
        furnish(tmp_path, chosen("single"), tmp_path / "few.txt", None, 0)


def test_the_verb_says_what_is_wrong(capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["bench", "--only", "nothing"]) == 1
    assert "no case 'nothing'" in capsys.readouterr().err
    assert run(["bench", "--rounds", "0"]) == 2
