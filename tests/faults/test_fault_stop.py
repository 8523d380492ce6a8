"""Faults 7 and 8: SIGTERM, and a loss that is not finite or far too large."""

import json
import signal
from collections.abc import Callable
from itertools import pairwise
from pathlib import Path

import pytest
from injector import maskwright, until
from trials import STEPS, Trial

from maskwright.errors import TrainingError
from maskwright.model import Model
from maskwright.report.log import read_log

GRACE = 30
"""Seconds between a scheduler's SIGTERM and its SIGKILL: Kubernetes' and Slurm's usual."""


def steps_in(log: Path) -> int:
    return log.read_text().count('"kind": "step"') if log.exists() else 0


def test_sigterm_to_a_command_and_its_workers_saves_in_time_and_the_rest_is_bitwise_the_same(
    make: Callable[..., Trial],
) -> None:
    trial, other = make("run"), make("other")
    many = {"steps": 2_000, "evaluate_every": 1_000}  # more than can be taken before the signal comes
    child = trial.start(workers=2, **many)
    until(lambda: steps_in(trial.out / "log.jsonl") > 8, child)
    child.signal_all(signal.SIGTERM)
    assert child.wait(GRACE) == 143, child.said
    assert "everything is saved" in child.said and "Go on with --resume" in child.said
    taken = trial.log("step")[-1]["step"]
    assert trial.weights(taken)
    # What would have come next is what comes next.
    trial.stop_after(3, resume=True, **many)
    other.stop_after(taken + 3, **many)
    assert trial.weights(taken + 3) == other.weights(taken + 3)
    assert trial.log("step") == other.log("step")


def test_sigterm_stops_a_fine_tuning_too_and_it_goes_on_to_the_same_model(
    tiny: Callable[..., Model], tmp_path: Path
) -> None:
    tiny(("pooler",)).save(tmp_path / "model")
    rows = "".join(f"{word} of {number},{word}\n" for number in range(60) for word in ("north", "south"))
    (tmp_path / "rows.csv").write_text("text,label\n" + rows)
    given = ["finetune", "--model", tmp_path / "model", "--data", tmp_path / "rows.csv", "--length", 16]
    given += ["--train.steps", 60, "--train.examples", 4, "--train.evaluate-every", 30, "--train.precision", "fp32"]
    child = maskwright(*given, "--out", tmp_path / "stopped", said=tmp_path / "said.txt")
    until(lambda: steps_in(tmp_path / "stopped" / "log.jsonl") > 3, child)
    child.signal_all(signal.SIGTERM)
    assert child.wait(GRACE) == 143, child.said
    # In processes of their own too: bits are those of one number of threads.
    for number, rest in enumerate((["--out", tmp_path / "stopped", "--resume"], ["--out", tmp_path / "whole"])):
        assert maskwright(*given, *rest, said=tmp_path / f"said-{number}.txt").wait(GRACE) == 0
    one, two = (tmp_path / name / "model" / "model.safetensors" for name in ("stopped", "whole"))
    assert one.read_bytes() == two.read_bytes()


def test_a_nan_stops_the_run_before_the_update_keeps_its_batch_and_is_gone_on_from(
    make: Callable[..., Trial], whole: Trial
) -> None:
    trial = make()
    trial.order(nan=[6])
    with pytest.raises(TrainingError, match=r"step 6: the mlm loss is nan.*The model was not changed.*The batch is in"):
        trial.go()
    assert [record["step"] for record in trial.log("step")] == [1, 2, 3, 4, 5, 6]
    assert trial.log("step") == whole.log("step")[:6]
    assert trial.log("end")[-1]["reason"] == "stopped: not finite"
    assert "NaN" not in (trial.out / "log.jsonl").read_text()
    (kept,) = (trial.out / "bad").iterdir()
    bad = json.loads(kept.read_text("utf-8"))
    assert bad["step"] == 6 and bad["examples"] and all(each["text"] for each in bad["examples"])
    stopped = trial.weights(6)
    trial.order()
    trial.go(resume=True)
    assert trial.weights() == whole.weights()  # as if the step had never failed
    assert stopped != trial.weights()


def test_steps_with_a_nan_may_be_left_out_but_only_so_many_in_succession(make: Callable[..., Trial]) -> None:
    trial = make("run")
    trial.order(nan=[2, 5, 6, 8, 9, 10])
    with pytest.raises(TrainingError, match="step 10: the mlm loss is nan"):
        trial.go(bad_steps=2, save_every=1, keep=100)
    losses = [record["loss"] for record in trial.log("step")]
    assert [number for number, loss in enumerate(losses) if loss != loss] == [2, 5, 6, 8, 9]
    assert len(list((trial.out / "bad").iterdir())) == 6
    for before, after in pairwise(range(1, 11)):  # numbers of checkpoints: after so many steps
        moved = trial.weights(before)["net.safetensors"] != trial.weights(after)["net.safetensors"]
        assert moved == (before not in (2, 5, 6, 8, 9)), before


def test_a_loss_of_ten_times_the_others_is_in_the_log_as_it_was(make: Callable[..., Trial], whole: Trial) -> None:
    trial = make()
    trial.order(spike=[STEPS - 1])
    trial.go()
    usual = whole.log("step")
    spiked = trial.log("step")
    assert spiked[:-1] == usual[:-1]
    assert spiked[-1]["loss"] == pytest.approx(10 * usual[-1]["loss"], rel=1e-5)
    assert spiked[-1]["grad_norm"] == pytest.approx(10 * usual[-1]["grad_norm"], rel=1e-3)
    assert [record["reason"] for record in read_log(trial.out / "log.jsonl") if record["kind"] == "end"] == ["finished"]
