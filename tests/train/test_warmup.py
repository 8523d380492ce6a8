"""Shorter examples and smaller steps at first; gradient checkpointing; averages: what each run is, and that it resumes bitwise."""

import shutil
from pathlib import Path
from typing import Any

import pytest
from runs import config, steps, weights
from safetensors.torch import load_file

from maskwright.corpus.store import Corpus
from maskwright.data.loader import Place
from maskwright.errors import TrainingError
from maskwright.nn.stack import Stack
from maskwright.report.log import read_log
from maskwright.train import loop
from maskwright.train.calibrate import copies
from maskwright.train.pretrain import pretrain
from maskwright.train.setup import Pretraining

WARM = {"length_warmup": 0.6, "held_out": 0.1}
TRAIN = {"steps": 10, "batch_warmup": 0.4, "ema": 0.9, "save_every": 1, "keep": 20}


def resumed_at(whole: Path, step: int, out: Path) -> Path:
    """A copy of a run as a kill just after that step's checkpoint leaves it."""
    shutil.copytree(whole, out)
    for path in (out / "checkpoints").iterdir():
        if int(path.name.removeprefix("step-")) > step:
            shutil.rmtree(path)
    return out


def test_lengths_and_batches_grow_and_every_moment_resumes_bitwise(small_corpus: Corpus, tmp_path: Path) -> None:
    whole = tmp_path / "whole"
    given = config(small_corpus.folder, whole, TRAIN, **WARM)
    pretrain(given)
    records = [record for record in read_log(whole / "log.jsonl") if record["kind"] == "step"]
    epochs = [record["epoch"] for record in records]
    # Batches of a quarter for 2 steps and of a half for 2, lengths of a quarter for 3 and of a half for 3.
    assert epochs[:7] == [0, 0, 1, 2, 3, 3, 4]
    tokens = [b["tokens"] - a["tokens"] for a, b in zip([{"tokens": 0}, *records], records, strict=False)]
    assert all(300 < count <= 500 for count in tokens[:2])
    assert all(700 < count <= 1_000 for count in tokens[2:4])
    assert all(1_500 < count <= 2_000 for count in tokens[4:9])
    for step in (1, 2, 3, 6, 9):
        out = resumed_at(whole, step, tmp_path / str(step))
        pretrain(config(small_corpus.folder, out, TRAIN, **WARM), resume=True)
        assert weights(out, 10) == weights(whole, 10)
        assert steps(out) == steps(whole)
        for file in ("checkpoints/step-00000010/average.safetensors", "model/model.safetensors"):
            assert (out / file).read_bytes() == (whole / file).read_bytes()


def test_examples_are_no_longer_than_the_warm_up_says(small_corpus: Corpus, tmp_path: Path) -> None:
    parts = Pretraining.of(config(small_corpus.folder, tmp_path / "run", **WARM))
    loader = parts.warmed_up(parts.loader(), 10)
    assert [phase.until for phase in loader.warmup] == [3, 6]
    longest = []
    for data in loader.steps(Place()):
        longest.append(max(int(batch.layout.cu.diff().max()) for batch in data.batches))
        if data.next.taken == 8:
            break
    assert max(longest[:3]) == 16 and max(longest[3:6]) == 32 and max(longest[6:]) == 64


def test_the_model_and_the_evaluations_are_of_the_average(small_corpus: Corpus, tmp_path: Path) -> None:
    given = config(small_corpus.folder, tmp_path / "run", {"ema": 0.9}, held_out=0.1)
    done = pretrain(given)
    state = tmp_path / "run" / "checkpoints" / "step-00000012"
    raw, average = load_file(state / "net.safetensors"), load_file(state / "average.safetensors")
    names = [name for name, _ in done.model.named_parameters()]
    for number, name in enumerate(names):
        assert done.model.get_parameter(name).equal(average[str(number)])
    assert any(not done.model.get_parameter(name).equal(raw[f"model.{name}"]) for name in names)
    best = load_file(tmp_path / "run" / "best" / "net.safetensors")
    assert any(not best[f"model.{name}"].equal(raw[f"model.{name}"]) for name in names)


def test_gradient_checkpointing_computes_the_same_bits(small_corpus: Corpus, tmp_path: Path) -> None:
    encoder = {"layers": 2, "width": 32, "heads": 2, "positions": 64, "dropout": 0.1, "attention_dropout": 0.1}
    for name, on in (("plain", False), ("again", True)):
        pretrain(
            config(small_corpus.folder, tmp_path / name, {"steps": 4, "gradient_checkpointing": on}, encoder=encoder)
        )
    assert weights(tmp_path / "plain", 4) == weights(tmp_path / "again", 4)


def test_what_looks_ahead_of_a_run_keeps_as_little_as_the_run(small_corpus: Corpus, tmp_path: Path) -> None:
    for on in (False, True):
        given = config(small_corpus.folder, tmp_path / "run", {"gradient_checkpointing": on})
        parts = Pretraining.of(given)
        with copies(parts.model, parts.objective, given.train) as (trial, _, _):
            assert [each.recompute for each in trial.modules() if isinstance(each, Stack)] == [on]
        assert not any(each.recompute for each in parts.model.modules() if isinstance(each, Stack))


def test_steps_that_are_not_finite_are_left_out_as_often_as_allowed_and_their_batches_kept(
    small_corpus: Corpus, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    real = loop.backward

    def backward(*rest: Any, step: int, **named: Any) -> Any:
        if step in (2, 3, 6, 7, 8):
            raise TrainingError(f"step {step}: bad on purpose")
        return real(*rest, step=step, **named)

    monkeypatch.setattr(loop, "backward", backward)
    out = tmp_path / "run"
    with pytest.raises(TrainingError, match=r"step 8: bad on purpose\. The batch is in .*step-00000008-rank-0\.json"):
        pretrain(config(small_corpus.folder, out, {"bad_steps": 2}))
    records = read_log(out / "log.jsonl")
    lost = [record["step"] - 1 for record in records if record["kind"] == "step" and record["loss"] != record["loss"]]
    assert lost == [2, 3, 6, 7]
    assert len(list((out / "bad").iterdir())) == 5
    monkeypatch.undo()
    # With the cause gone, the run goes on with the step that it had to stop at.
    assert pretrain(config(small_corpus.folder, out, {"bad_steps": 2}), resume=True).finished.steps == 12


def test_some_checkpoints_can_be_kept_for_good(small_corpus: Corpus, tmp_path: Path) -> None:
    pretrain(config(small_corpus.folder, tmp_path / "run", {"save_every": 2, "keep": 1, "keep_every": 4}))
    assert sorted(path.name for path in (tmp_path / "run" / "checkpoints").iterdir()) == [
        "step-00000004",
        "step-00000008",
        "step-00000012",
    ]
