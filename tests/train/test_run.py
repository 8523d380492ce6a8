"""A run that was stopped, or whose files were damaged, ends with the bits of one that never was."""

import importlib
import json
import logging
import math
import os
import shutil
import signal
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from runs import ENCODER, config, steps, weights
from safetensors.torch import load_file

from maskwright.corpus.store import Corpus
from maskwright.errors import CheckpointError, ConfigError, InputError, Stopped, TrainingError
from maskwright.model import load
from maskwright.report.log import read_log
from maskwright.report.numbers import size
from maskwright.train import loop
from maskwright.train.pretrain import pretrain


@pytest.fixture(scope="module")
def whole(small_corpus: Corpus, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A run of twelve steps that nothing happened to."""
    out = tmp_path_factory.mktemp("whole") / "run"
    pretrain(config(small_corpus.folder, out, held_out=0.1))
    return out


@contextmanager
def at_step(monkeypatch: pytest.MonkeyPatch, number: int, act: Callable[[Any], None]) -> Iterator[None]:
    """Do something to the model just before the forward pass of a step (from 0)."""
    real = loop.backward

    def backward(model: Any, objective: Any, batches: Any, *, step: int, **rest: Any) -> Any:
        if step == number:
            act(model)
        return real(model, objective, batches, step=step, **rest)

    with monkeypatch.context() as patch:
        patch.setattr(loop, "backward", backward)
        yield


def stopped_run(corpus: Corpus, out: Path, monkeypatch: pytest.MonkeyPatch, step: int = 6, **train: Any) -> Path:
    with at_step(monkeypatch, step - 1, lambda _: signal.raise_signal(signal.SIGTERM)), pytest.raises(Stopped):
        pretrain(config(corpus.folder, out, train, held_out=0.1))
    return out


@pytest.mark.parametrize("workers", [0, 2])
@pytest.mark.parametrize("step", [5, 6])
def test_stopped_and_resumed_is_bitwise_the_same(
    small_corpus: Corpus, whole: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, step: int, workers: int
) -> None:
    out = stopped_run(small_corpus, tmp_path / "run", monkeypatch, step)
    assert [record["step"] for record in read_log(out / "log.jsonl") if record["kind"] == "step"][-1] == step
    torch.manual_seed(99)
    np.random.default_rng(99)
    finished = pretrain(config(small_corpus.folder, out, {"workers": workers}, held_out=0.1), resume=True).finished
    assert finished.steps == 12
    assert weights(out, 12) == weights(whole, 12)
    assert steps(out) == steps(whole)
    assert (out / "model" / "model.safetensors").read_bytes() == (whole / "model" / "model.safetensors").read_bytes()


def test_a_run_leaves_a_model_that_loads_and_learnt(whole: Path) -> None:
    losses = [record["loss"] for record in steps(whole) if record["kind"] == "step"]
    assert losses[-1] < losses[0] - 0.2
    model = load(whole / "model")
    assert set(model.net.heads) == {"pooler", "mlm", "nsp"}
    final = load_file(whole / "checkpoints" / "step-00000012" / "net.safetensors")
    assert all(torch.equal(p, final[f"model.{name}"]) for name, p in model.named_parameters())


def test_a_run_says_by_what_it_computed_and_how_much_memory_it_took(
    small_corpus: Corpus, tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    module = importlib.import_module("maskwright.nn.attend")
    module._say.cache_clear()
    monkeypatch.setattr(module, "_used", [])
    monkeypatch.setenv("MASKWRIGHT_ATTENTION", "padded")
    pretrain(config(small_corpus.folder, tmp_path / "run", {"steps": 2, "optimizer_options": {"fused": False}}))
    told = " ".join(capsys.readouterr().err.split())
    assert "attention by padded; AdamW (others: MASKWRIGHT_ATTENTION" in told
    end = read_log(tmp_path / "run" / "log.jsonl")[-1]
    assert f"memory at the peak: {size(end['peak_memory'])}, libraries included" in told


def test_a_model_takes_texts_as_long_as_it_has_positions(small_corpus: Corpus, tmp_path: Path) -> None:
    pretrain(config(small_corpus.folder, tmp_path / "run", {"steps": 1}, encoder={**ENCODER, "positions": 700}))
    model = load(tmp_path / "run" / "model")
    assert model.longest == 700  # its tokenizer came with a limit of 512
    start, end = (" ".join(f"{word}" for _ in range(600)) for word in ("the", "of"))
    assert not np.array_equal(model.encode([start]), model.encode([f"{start} {end}"]))


@pytest.mark.parametrize(("number", "code"), [(signal.SIGTERM, 143), (signal.SIGINT, 130)])
def test_sigterm_and_ctrl_c_save_and_leave_with_their_exit_codes(
    small_corpus: Corpus, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, number: signal.Signals, code: int
) -> None:
    before = {each: signal.getsignal(each) for each in (signal.SIGINT, signal.SIGTERM)}
    with (
        at_step(monkeypatch, 3, lambda _: os.kill(os.getpid(), number)),
        pytest.raises(Stopped, match=r"stopped after step 4 of 12; everything is saved in .* --resume") as stopped,
    ):
        pretrain(config(small_corpus.folder, tmp_path / "run"))
    assert stopped.value.exit_code == code
    assert weights(tmp_path / "run", 4)
    assert {each: signal.getsignal(each) for each in before} == before


def test_only_the_newest_checkpoints_are_kept(whole: Path) -> None:
    assert sorted(path.name for path in (whole / "checkpoints").iterdir()) == ["step-00000009", "step-00000012"]


def _flip(path: Path) -> None:
    content = bytearray(path.read_bytes())
    content[len(content) // 2] ^= 1
    path.write_bytes(content)


def _cut(path: Path) -> None:
    path.write_bytes(path.read_bytes()[:-2])


@pytest.mark.parametrize("damage", [_flip, _cut, Path.unlink])
@pytest.mark.parametrize("name", ["net.safetensors", "optimizer.safetensors", "state.json"])
def test_a_damaged_newest_checkpoint_is_skipped_with_a_warning(
    small_corpus: Corpus, whole: Path, tmp_path: Path, caplog: pytest.LogCaptureFixture, damage: Callable, name: str
) -> None:
    out = Path(shutil.copytree(whole, tmp_path / "run"))
    damage(out / "checkpoints" / "step-00000012" / name)
    pretrain(config(small_corpus.folder, out, held_out=0.1), resume=True)
    assert "skipped a damaged checkpoint" in caplog.text and "step-00000012" in caplog.text
    notes = [record["text"] for record in read_log(out / "log.jsonl") if record["kind"] == "note"]
    assert notes == ["resumed from step-00000009"]
    assert weights(out, 12) == weights(whole, 12)
    assert steps(out) == steps(whole)


@pytest.mark.parametrize("keep", [1, 2])
def test_a_half_written_newer_folder_is_skipped_and_costs_no_sound_checkpoint(
    small_corpus: Corpus, whole: Path, tmp_path: Path, caplog: pytest.LogCaptureFixture, keep: int
) -> None:
    out = Path(shutil.copytree(whole, tmp_path / "run"))
    shutil.rmtree(out / "checkpoints" / "step-00000012")
    half = out / "checkpoints" / "step-00000099"
    half.mkdir()
    (half / "net.safetensors").write_bytes(b"half of it")
    pretrain(config(small_corpus.folder, out, {"keep": keep}, held_out=0.1), resume=True)
    assert "step-00000099/state.json: no such file" in caplog.text
    kept = sorted(path.name for path in (out / "checkpoints").iterdir())
    assert kept == ["step-00000009", "step-00000012"][-keep:]
    assert weights(out, 12) == weights(whole, 12)


def test_what_a_killed_writer_left_is_ignored_and_cleared_away(
    small_corpus: Corpus, whole: Path, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    out = Path(shutil.copytree(whole, tmp_path / "run"))
    shutil.rmtree(out / "checkpoints" / "step-00000012")
    half = out / "checkpoints" / ".step-00000012.4711.part"
    half.mkdir()
    (half / "net.safetensors").write_bytes(b"half of it")
    with caplog.at_level(logging.WARNING):
        pretrain(config(small_corpus.folder, out, held_out=0.1), resume=True)
    assert not caplog.records
    assert weights(out, 12) == weights(whole, 12)
    assert not half.exists()


def test_a_run_whose_checkpoints_are_all_damaged_is_refused(small_corpus: Corpus, whole: Path, tmp_path: Path) -> None:
    out = Path(shutil.copytree(whole, tmp_path / "run"))
    for path in (out / "checkpoints").glob("*/net.safetensors"):
        _cut(path)
    with pytest.raises(CheckpointError, match="all 2 checkpoints are damaged"):
        pretrain(config(small_corpus.folder, out, held_out=0.1), resume=True)


@pytest.mark.parametrize(
    ("changes", "named"),
    [
        ({"train": {"lr": 0.02}}, "train.lr 0.02, was [0-9.]+"),
        ({"train": {"steps": 13}}, "steps 13, was [0-9]+"),
        ({"train": {"seed": 1}}, "train.seed 1, was 0"),
        ({"objective": {"mlm": {"rate": 0.2}}}, "objective.*0.2.*"),
        ({"length": 48}, "length 48, was [0-9]+"),
    ],
)
def test_resuming_with_other_settings_is_refused_and_says_which(
    small_corpus: Corpus, whole: Path, tmp_path: Path, changes: dict, named: str
) -> None:
    out = Path(shutil.copytree(whole, tmp_path / "run"))
    before = (out / "log.jsonl").read_bytes()
    with pytest.raises(CheckpointError, match=rf"other settings or data \({named}\)"):
        pretrain(config(small_corpus.folder, out, **{"held_out": 0.1, **changes}), resume=True)
    assert (out / "log.jsonl").read_bytes() == before


def test_resuming_on_other_data_is_refused(small_corpus: Corpus, whole: Path, tmp_path: Path) -> None:
    from maskwright.corpus.build import build_from
    from small import documents

    out = Path(shutil.copytree(whole, tmp_path / "run"))
    other = build_from(documents()[1:], tmp_path / "corpus", small_corpus.tokenizer(), sentences="lines")
    with pytest.raises(CheckpointError, match=r"other settings or data \(data\)"):
        pretrain(config(other.folder, out, held_out=0.1), resume=True)


def test_a_size_that_is_not_the_starting_model_s_is_refused(small_corpus: Corpus, whole: Path, tmp_path: Path) -> None:
    start = str(whole / "model")
    with pytest.raises(ConfigError, match=r"encoder.layers: 3 is asked for and the model at .* has 1"):
        pretrain(config(small_corpus.folder, tmp_path / "run", start=start, encoder={**ENCODER, "layers": 3}))
    assert pretrain(config(small_corpus.folder, tmp_path / "run", {"steps": 2}, start=start)).finished.steps == 2


def test_a_corpus_that_was_moved_can_be_gone_on_with(small_corpus: Corpus, whole: Path, tmp_path: Path) -> None:
    out = Path(shutil.copytree(whole, tmp_path / "run"))
    moved = Path(shutil.copytree(small_corpus.folder, tmp_path / "elsewhere"))
    assert pretrain(config(moved, out, held_out=0.1), resume=True).finished.steps == 12


def test_a_folder_with_a_run_is_not_written_over(small_corpus: Corpus, whole: Path, tmp_path: Path) -> None:
    out = Path(shutil.copytree(whole, tmp_path / "run"))
    before = {path: path.read_bytes() for path in out.rglob("*") if path.is_file()}
    with pytest.raises(InputError, match=r"already holds a run.*--resume"):
        pretrain(config(small_corpus.folder, out, {"seed": 5}))
    after = {path: path.read_bytes() for path in out.rglob("*") if path.is_file() and path.parent.name != "plans"}
    assert after == {path: content for path, content in before.items() if path.parent.name != "plans"}


def test_resuming_where_nothing_was_saved_yet_starts_at_the_beginning(
    small_corpus: Corpus, whole: Path, tmp_path: Path
) -> None:
    out = tmp_path / "run"
    out.mkdir()
    first = (whole / "log.jsonl").read_bytes().split(b"\n", 3)
    (out / "log.jsonl").write_bytes(b"\n".join(first[:3]) + b"\n" + b'{"kind": "st')
    pretrain(config(small_corpus.folder, out, held_out=0.1), resume=True)
    assert weights(out, 12) == weights(whole, 12)
    assert steps(out) == steps(whole)


def test_a_nan_ends_the_run_before_the_model_moves_and_is_never_logged_as_a_number(
    small_corpus: Corpus, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    kept: list[dict[str, torch.Tensor]] = []

    def poison(model: Any) -> None:
        model.net.heads["mlm"].bias.data[5] = math.nan
        kept.append({name: p.detach().clone() for name, p in model.named_parameters()})

    out = tmp_path / "run"
    with (
        at_step(monkeypatch, 5, poison),
        pytest.raises(TrainingError, match=r"step 5: the mlm loss is nan, on examples"),
    ):
        pretrain(config(small_corpus.folder, out))
    records = read_log(out / "log.jsonl")
    assert [record["step"] for record in records if record["kind"] == "step"] == [1, 2, 3, 4, 5]
    assert all(record["loss"] > 1 for record in records if record["kind"] == "step")
    assert records[-1]["kind"] == "end" and records[-1]["reason"] == "stopped: not finite"
    saved = load_file(out / "checkpoints" / "step-00000005" / "net.safetensors")
    for name, value in kept[0].items():
        assert torch.equal(saved[f"model.{name}"].nan_to_num(7.0), value.nan_to_num(7.0)), name


def test_a_nan_in_the_first_step_is_survived_too(
    small_corpus: Corpus, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with (
        at_step(monkeypatch, 0, lambda model: model.net.heads["mlm"].bias.data.fill_(math.inf)),
        pytest.raises(TrainingError, match="step 0"),
    ):
        pretrain(config(small_corpus.folder, tmp_path / "run"))


def test_evaluations_are_logged_and_the_best_weights_kept(whole: Path) -> None:
    evaluations = [record for record in steps(whole) if record["kind"] == "eval"]
    assert [record["step"] for record in evaluations] == list(range(1, 13))
    best = min(evaluations, key=lambda record: record["loss"])
    kept = json.loads((whole / "best" / "best.json").read_text())
    assert kept["step"] == best["step"] and kept["score"] == -best["loss"]


def test_patience_ends_a_run_that_gets_no_better(small_corpus: Corpus, tmp_path: Path) -> None:
    train = {"lr": 1e-12, "patience": 2, "evaluate_every": 2, "steps": 40}
    given = config(small_corpus.folder, tmp_path / "run", train, held_out=0.1)
    finished = pretrain(given).finished
    assert finished.steps < 40 and finished.reason == "no better evaluation for 2 times"
    again = pretrain(given, resume=True).finished
    assert (again.steps, again.reason) == (finished.steps, finished.reason)
