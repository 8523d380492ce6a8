"""Fault 2: the disk is full while a state is saved.  The reason is told, and what was saved before resumes."""

import shutil
from collections.abc import Callable
from pathlib import Path

import pytest
from injector import small_disk, until
from trials import Trial

from maskwright.checkpoint.seal import verify


def states(trial: Trial) -> list[Path]:
    return sorted((trial.out / "checkpoints").iterdir())


def test_a_full_disk_ends_the_run_with_its_reason_and_what_was_saved_resumes(
    make: Callable[..., Trial], whole: Trial, tmp_path: Path
) -> None:
    with small_disk(tmp_path / "disk", "16m") as mounted:
        if not mounted:
            pytest.skip("only root can mount a small disk; the other test limits the size of a file instead")
        trial = make("run", inside=tmp_path / "disk")
        trial.orders = tmp_path / "orders.json"
        trial.order(wait=[4])
        child = trial.start()
        until((trial.out / "checkpoints" / "step-00000003").exists, child)
        # While it waits in its fifth step, others fill the disk: half a checkpoint has room.
        (tmp_path / "disk" / "others").write_bytes(bytes(shutil.disk_usage(tmp_path / "disk").free - 300_000))
        assert child.wait() == 1, child.said
        assert "The disk is full; nothing already saved was touched. Free some space" in child.said
        assert "Traceback" not in child.said
        assert [path.name for path in states(trial)] == ["step-00000003"]
        assert verify(states(trial)[0], "state.json")
        trial.order()
        (tmp_path / "disk" / "others").unlink()
        trial.go(resume=True)
        assert trial.weights() == whole.weights()
        assert trial.log("step") == whole.log("step")


def test_a_file_that_can_be_begun_and_not_ended_ends_the_run_with_its_reason_and_what_was_saved_resumes(
    make: Callable[..., Trial], whole: Trial
) -> None:
    trial = make()
    trial.stop_after(5)
    # The network fits, the optimiser's state is twice as large.
    child = trial.start("--resume", longest_file=250_000)
    assert child.wait() == 1
    assert "The file size limit is reached; nothing already saved was touched." in child.said
    assert [path.name for path in states(trial)] == ["step-00000003", "step-00000005"]
    assert all(verify(path, "state.json") for path in states(trial))
    trial.go(resume=True)
    assert trial.weights() == whole.weights()
    assert trial.log("step") == whole.log("step")
