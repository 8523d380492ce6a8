"""Fault 1: SIGKILL at random moments of a save.  What is there afterwards is whole, and the newest of it resumes."""

import itertools
import logging
import os
import signal
import time
from pathlib import Path

import pytest
import torch
from injector import Child, moments, until

from maskwright.checkpoint import swap
from maskwright.checkpoint.seal import sealed_folder, verify
from maskwright.errors import CheckpointError
from maskwright.train.state import load_state, newest, retain, save_state
from maskwright.verify import examine

KILLS = 50


def state(number: float) -> tuple[torch.nn.Module, torch.optim.Optimizer]:
    """A module and an optimiser all of whose numbers are one number."""
    module = torch.nn.Linear(200, 200)
    optimizer = torch.optim.AdamW(module.parameters())
    module(torch.ones(1, 200)).sum().backward()
    optimizer.step()
    _fill(module, optimizer, number)
    return module, optimizer


def _tensors(module: torch.nn.Module, optimizer: torch.optim.Optimizer) -> list[torch.Tensor]:
    moments = [value for each in optimizer.state_dict()["state"].values() for value in each.values()]
    return [*module.state_dict().values(), *moments]


def _fill(module: torch.nn.Module, optimizer: torch.optim.Optimizer, number: float) -> None:
    with torch.no_grad():
        for tensor in _tensors(module, optimizer):
            tensor.fill_(number)


def resumed(folder: Path) -> int:
    """Load the newest sound state, all of which must be of one step; 0 where there is none yet."""
    module, optimizer = state(-1)
    path = newest(folder)
    if path is None:
        return 0
    step = load_state(path, module, optimizer)["step"]
    assert path.name == f"step-{step:08}"
    assert all((tensor == step).all() for tensor in _tensors(module, optimizer))
    return int(step)


def save_for_ever(folder: Path) -> None:
    """Go on from the newest state and do nothing but save."""
    step = resumed(folder)
    module, optimizer = state(step)
    while True:
        step += 1
        _fill(module, optimizer, step)
        save_state(folder, step, module, optimizer, {})
        retain(folder, 2, step)


def test_killed_at_fifty_random_moments_of_a_save_the_newest_whole_state_resumes(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    folder, reached, halves = tmp_path / "checkpoints", 0, 0
    for wait in moments(1, KILLS, 0.06):
        child = Child(save_for_ever, folder, said=tmp_path / "said.txt")
        until(lambda before=reached: (folder / f"step-{before + 1:08}").exists(), child)
        time.sleep(wait)
        assert child.lives, child.said
        child.kill()
        halves += any(folder.glob(".step-*"))
        with caplog.at_level(logging.WARNING):
            step = resumed(folder)
        assert step > reached
        assert not any(found.damage for found in examine(folder))
        reached = step
    assert not caplog.records  # nothing half-written, nor half-removed, was ever in sight
    assert halves > KILLS / 10  # the kills did fall into saves


def replace_for_ever(folder: Path, exchange: bool) -> None:
    """Write one folder over and over; its two files and its seal are of one number."""
    if not exchange:
        swap._exchange = lambda one, two: False
    for number in itertools.count(int(time.time() * 1e6)):
        with sealed_folder(folder, "seal.json", {"number": number}) as staging:
            for name in ("one", "two"):
                (staging / name).write_text(str(number))


def number_in(folder: Path) -> int:
    number = verify(folder, "seal.json")["number"]
    assert {(folder / name).read_text() for name in ("one", "two")} == {str(number)}
    return int(number)


def test_killed_while_a_folder_is_replaced_one_whole_folder_is_always_there(tmp_path: Path) -> None:
    folder, reached, halves = tmp_path / "best", 0, 0
    for wait in moments(2, KILLS // 2, 0.03):
        child = Child(replace_for_ever, folder, True, said=tmp_path / "said.txt")
        until(lambda before=reached: folder.exists() and number_in_or(before, folder) > before, child)
        time.sleep(wait)
        assert child.lives, child.said
        child.kill()
        halves += any(tmp_path.glob(".best.*"))
        assert number_in(folder) > reached
        reached = number_in(folder)
    assert halves > KILLS / 20
    with sealed_folder(folder, "seal.json", {"number": 0}) as staging:
        (staging / "file").touch()
    assert sorted(path.name for path in tmp_path.iterdir()) == ["best", "said.txt"]


def number_in_or(default: int, folder: Path) -> int:
    """The number, or ``default`` where the folder was replaced under the reader's eyes."""
    try:
        return number_in(folder)
    except (CheckpointError, OSError, AssertionError):
        return default


def test_a_folder_is_never_absent_while_it_is_replaced(tmp_path: Path) -> None:
    folder = tmp_path / "best"
    child = Child(replace_for_ever, folder, True, said=tmp_path / "said.txt")
    until(folder.exists, child)
    # Without a pause: what would be missed is a few microseconds long.
    seen, end = set(), time.monotonic() + 60
    while len(seen) < 100 and time.monotonic() < end:
        seen.add(folder.stat().st_mtime_ns)
    child.kill()
    assert len(seen) == 100, child.said


def test_where_folders_cannot_be_exchanged_a_kill_leaves_the_old_one_and_the_next_writer_puts_it_back(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(swap, "_exchange", lambda one, two: False)
    folder, real = tmp_path / "best", Path.rename

    def killed_after_the_first(self: Path, target: Path) -> Path:
        if self.suffix == ".part":
            os.kill(os.getpid(), signal.SIGKILL)
        return real(self, target)

    with sealed_folder(folder, "seal.json", {"number": 1}) as staging:
        (staging / "one").write_text("1")
    if not (killed := os.fork()):
        Path.rename = killed_after_the_first  # type: ignore[method-assign]
        with sealed_folder(folder, "seal.json", {"number": 2}) as staging:
            (staging / "one").write_text("2")
    assert os.waitpid(killed, 0)[1] == signal.SIGKILL
    assert not folder.exists()
    old = tmp_path / f".best.{killed}.old"
    with pytest.raises(CheckpointError, match=f"best: missing, since a writer was killed; .* mv {old} {folder}"):
        verify(folder, "seal.json")
    # The next writer fails too, of something else: the folder of before is there again all the same.
    with pytest.raises(ZeroDivisionError), sealed_folder(folder, "seal.json", {"number": 3}):
        raise ZeroDivisionError
    assert verify(folder, "seal.json")["number"] == 1
    assert [path.name for path in tmp_path.iterdir()] == ["best"]


def test_what_living_writers_and_other_folders_have_beside_it_is_left_alone(tmp_path: Path) -> None:
    mine = [f".best.{os.getppid()}.part", ".best.v2.4194304.part", ".best.x.part", ".bestof.4194304.old"]
    for name in (*mine, ".best.4194304.part", ".best.4194304.old"):  # above the largest number of a process
        (tmp_path / name).mkdir()
    with sealed_folder(tmp_path / "best", "seal.json", {}) as staging:
        (staging / "file").touch()
    assert {path.name for path in tmp_path.iterdir()} == {"best", *mine}
