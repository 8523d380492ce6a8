"""The faults: files that rot, disks that fill up, processes that die, losses that are not finite.

Commands and writers run in processes of their own, forked from a server that has imported everything already, so that one
costs no more than its work.
"""

import json
import multiprocessing
import os
import random
import resource
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
import torch

from maskwright.cli import run
from maskwright.objective import Loss, Part, Pass
from maskwright.objectives import OBJECTIVES
from maskwright.objectives.mlm import Mlm, MlmConfig
from maskwright.registry import Entry

_SERVER = multiprocessing.get_context("forkserver")
_LONGEST = 300
"""Seconds after which a process ends by itself, so that none outlives a test run that was killed."""
# torch._dynamo: torch's optimisers import it at their first step, which takes longer than all else here.
_SERVER.set_forkserver_preload(
    ["pytest", "torch._dynamo", "maskwright.cli", "maskwright.train.pretrain", "maskwright.objectives.mlm"]
)


# Files -------------------------------------------------------------------------------------------------------------------


def flip(path: Path, at: int | None = None, bit: int = 0) -> None:
    """Turn one bit over; in the middle, unless ``at`` says where."""
    content = bytearray(path.read_bytes())
    content[len(content) // 2 if at is None else at] ^= 1 << bit
    path.write_bytes(content)


def cut(path: Path, away: int = 2) -> None:
    """Take the last bytes away."""
    path.write_bytes(path.read_bytes()[:-away])


def half_written(whole: Path, out: Path, files: int) -> None:
    """Make ``out`` what a writer leaves that put its files into place one by one and got through ``files`` of them and a half."""
    out.mkdir()
    for number, path in enumerate(sorted(whole.iterdir())[: files + 1]):
        content = path.read_bytes()
        (out / path.name).write_bytes(content if number < files else content[: len(content) // 2])


def files_of(folder: Path) -> list[str]:
    """Every file below a folder."""
    return sorted(path.relative_to(folder).as_posix() for path in folder.rglob("*") if path.is_file())


# Disks -------------------------------------------------------------------------------------------------------------------


@contextmanager
def small_disk(path: Path, size: str) -> Iterator[bool]:
    """Mount a file system of a few megabytes; says whether the system let us."""
    path.mkdir()
    mount = ["mount", "-t", "tmpfs", "-o", f"size={size}", "tmpfs", str(path)]
    mounted = shutil.which("mount") is not None and subprocess.run(mount, capture_output=True).returncode == 0
    try:
        yield mounted
    finally:
        if mounted:
            # Lazily: maps and logs of what ran here may still be open.
            subprocess.run(["umount", "-l", str(path)], check=True)


# Processes ---------------------------------------------------------------------------------------------------------------


class Child:
    """A function in a process of its own, in a group of its own; its words go to ``said``."""

    def __init__(self, act: Callable[..., Any], *given: Any, said: Path, longest_file: int | None = None) -> None:
        self._said = said
        self._process = _SERVER.Process(target=_begin, args=(act, given, said, longest_file))
        self._process.start()

    @property
    def lives(self) -> bool:
        return self._process.is_alive()

    def kill(self) -> None:
        """SIGKILL; says nothing if it was dead before."""
        self._process.kill()
        self._process.join()

    def signal_all(self, number: signal.Signals) -> None:
        """Signal it and all that it started, as a batch system does."""
        os.killpg(self._process.pid, number)

    def wait(self, seconds: float = 120) -> int:
        """Its exit code; minus the signal's number where one ended it."""
        self._process.join(seconds)
        assert self._process.exitcode is not None, f"still running after {seconds} s: {self.said}"
        return self._process.exitcode

    @property
    def said(self) -> str:
        return " ".join(self._said.read_text("utf-8", "replace").split()) if self._said.exists() else ""


def _begin(act: Callable[..., Any], given: Sequence[Any], said: Path, longest_file: int | None) -> None:
    os.setsid()
    signal.alarm(_LONGEST)
    with said.open("ab") as file:
        os.dup2(file.fileno(), 1)
        os.dup2(file.fileno(), 2)
    if longest_file is not None:
        # As on a full disk, a file can be begun and not ended.
        resource.setrlimit(resource.RLIMIT_FSIZE, (longest_file, resource.getrlimit(resource.RLIMIT_FSIZE)[1]))
    with sabotage():
        sys.exit(act(*given))


def maskwright(*tokens: object, said: Path, longest_file: int | None = None) -> Child:
    """Start a ``maskwright`` command."""
    return Child(run, [str(token) for token in tokens], said=said, longest_file=longest_file)


def until(true: Callable[[], object], child: Child, seconds: float = 60) -> None:
    """Wait until something is so, or the child has ended."""
    end = time.monotonic() + seconds
    while not true() and child.lives:
        assert time.monotonic() < end, f"nothing in {seconds} s: {child.said}"
        time.sleep(0.002)


def moments(seed: int, number: int, longest: float) -> list[float]:
    """Random waits in seconds."""
    chance = random.Random(seed)
    return [chance.uniform(0, longest) for _ in range(number)]


# Losses ------------------------------------------------------------------------------------------------------------------


class SabotagedConfig(MlmConfig):
    """MLM's, and where the orders are."""

    orders: str


class Sabotaged(Mlm):
    """Masked language modelling that goes wrong on order.

    orders: a JSON file, name of an act -> numbers of the training passes (from 0, in this process) at which to do it.  No file,
    nothing happens: so a run can go on, with the same settings, without its fault.
    """

    Config = SabotagedConfig

    def __init__(self, config: SabotagedConfig) -> None:
        super().__init__(config)
        path = Path(config.orders)
        self.orders: Mapping[str, list[int]] = json.loads(path.read_text()) if path.exists() else {}
        self.passes = 0

    def forward(self, run: Pass) -> Loss:
        loss = super().forward(run)
        if not torch.is_grad_enabled():
            return loss
        now = {act for act, numbers in self.orders.items() if self.passes in numbers}
        self.passes += 1
        if "stop" in now:
            signal.raise_signal(signal.SIGTERM)
        if "wait" in now:
            time.sleep(3)
        scale = torch.tensor(float("nan") if "nan" in now else 10.0 if "spike" in now else 1.0)
        return {name: Part(part.sum * scale, part.count, part.weight, part.hits) for name, part in loss.items()}


@contextmanager
def sabotage() -> Iterator[None]:
    """Let there be an objective ``sabotaged`` inside, and one thread: a fault must be all that two runs differ in."""
    entry = Entry("sabotaged", "mlm that goes wrong on order", "injector:Sabotaged")
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        with pytest.MonkeyPatch.context() as patch:
            patch.setitem(OBJECTIVES._entries, "sabotaged", entry)
            yield
    finally:
        torch.set_num_threads(threads)
