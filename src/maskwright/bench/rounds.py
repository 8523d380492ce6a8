"""The rounds of a benchmark: sides in turns, each measurement in a process of its own and kept as soon as it is there."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

import numpy as np

from maskwright import machine
from maskwright.bench.cases import CEILING, OURS, Case, Side, absent
from maskwright.bench.load import Watch
from maskwright.bench.place import furnish
from maskwright.errors import InputError
from maskwright.report.files import write_atomic

__all__ = ["SCHEMA", "Settings", "measure"]

SCHEMA = 1
_LIBRARIES = ("torch", "transformers", "sentence-transformers", "tokenizers", "openvino", "onnxruntime")
_SPIN = "300000"
"""libgomp's own GOMP_SPINCOUNT.  Importing maskwright sets another one, and a peer's process would not import it."""


@dataclass(frozen=True)
class Settings:
    """What is asked for."""

    cases: Sequence[Case]
    out: Path
    rounds: int = 3
    seconds: float = 20.0
    """A measurement lasts about so long, unless an epoch ends before, and at least as long as a case's fewest laps."""
    threads: int = 0
    """0: as many as torch takes."""
    data: Path | None = None
    model: Path | None = None
    seed: int = 0
    command: str = ""

    @property
    def file(self) -> Path:
        """Where the measurements are kept."""
        return self.out / "bench.json"


def measure(settings: Settings, tell: Callable[[str], None], *, resume: bool = False) -> dict[str, Any]:
    """Measure all rounds; return what ``bench.json`` holds.  KeyboardInterrupt leaves what was measured in the file.

    tell: is given a line before each measurement.  InputError for an --out that holds measurements, unless they are gone on
    with, and for data or settings that do not fit.
    """
    record = _begin(settings, resume)
    with tempfile.TemporaryDirectory(prefix="maskwright-bench-") as folder:
        tell("preparing networks and texts")
        record |= furnish(Path(folder), settings.cases, settings.data, settings.model, settings.seed)
        done = {(each["case"], each["side"], each["round"]) for each in record["measurements"]}
        todo = [
            each for each in _turns(settings, record["absent"]) if (each[1].name, each[2].name, each[0]) not in done
        ]
        for at, (turn, case, side) in enumerate(todo, start=1):
            tell(f"{at} of {len(todo)}  round {turn + 1}  {case.name}  {side.name}")
            record["measurements"].append(
                {"case": case.name, "side": side.name, "round": turn, **_one(settings, case, side, Path(folder))}
            )
            _compare(record["measurements"], case, turn, Path(folder))
            write_atomic(settings.file, (json.dumps(record, indent=1) + "\n").encode())
    return record


def _begin(settings: Settings, resume: bool) -> dict[str, Any]:
    asked: dict[str, Any] = {
        "rounds": settings.rounds,
        "seconds": settings.seconds,
        "threads": settings.threads,
        "seed": settings.seed,
    }
    asked |= {"data": str(settings.data or ""), "model": str(settings.model or "")}
    if not settings.file.exists():
        settings.out.mkdir(parents=True, exist_ok=True)
        return {
            "schema": SCHEMA,
            "command": settings.command,
            "asked": asked,
            "machine": machine.describe(),
            "versions": {name: found for name in _LIBRARIES if (found := _version(name))},
            "cases": {case.name: _shown(case) for case in settings.cases},
            "absent": absent(settings.cases),
            "measurements": [],
        }
    if not resume:
        raise InputError(
            f"--out {settings.out} already holds measurements: go on with them by --resume, or choose another"
        )
    record: dict[str, Any] = json.loads(settings.file.read_text("utf-8"))
    changed = [name for name, value in asked.items() if record.get("asked", {}).get(name) != value and name != "rounds"]
    if record.get("schema") != SCHEMA or changed:
        raise InputError(
            f"{settings.file} was measured with other settings ({', '.join(changed) or 'schema'}); choose another --out"
        )
    record["cases"] |= {case.name: _shown(case) for case in settings.cases}
    record["absent"] |= absent(settings.cases)
    # A round is a comparison side by side: one that was broken off is measured anew.
    record["measurements"] = [each for each in record["measurements"] if _whole(record, each)]
    return record


def _shown(case: Case) -> dict[str, Any]:
    return {**asdict(case), "lower_is_better": case.lower_is_better}


def _whole(record: Mapping[str, Any], one: Mapping[str, Any]) -> bool:
    if one["case"] == CEILING.name:
        return True
    sides = {
        each["side"] for each in record["measurements"] if (each["case"], each["round"]) == (one["case"], one["round"])
    }
    wanted: set[str] = {side["name"] for side in record["cases"][one["case"]]["sides"]} - record["absent"].keys()
    return wanted <= sides


def _turns(settings: Settings, missing: Mapping[str, str]) -> Iterator[tuple[int, Case, Side]]:
    """Yield (round, case, side): within a case the sides follow each other, and each round begins with another one."""
    for turn in range(settings.rounds):
        for case in (CEILING, *settings.cases):
            sides = [side for side in case.sides if side.name not in missing]
            shift = turn % len(sides)
            for side in sides[shift:] + sides[:shift]:
                yield turn, case, side


def _one(settings: Settings, case: Case, side: Side, folder: Path) -> dict[str, Any]:
    """Measure once; what went wrong is part of the answer."""
    suffix = "npy" if case.texts == "running" else "json"
    job = {
        "case": case.name,
        "texts": str(folder / f"{case.texts}-{case.length}.{suffix}"),
        "network": str(folder / (case.network or "none")),
        "length": case.length,
        "batch": case.batch,
        "out": str(_vectors(folder, case, side)),
        "kept": str(folder / "kept"),
    }
    told = {"make": side.make, "seconds": settings.seconds, "threads": settings.threads}
    told |= {"least": case.least, "warm": case.warm}
    answer, path = folder / "answer.json", folder / "job.json"
    answer.unlink(missing_ok=True)
    path.write_text(json.dumps({**told, "job": job, "answer": str(answer)}), "utf-8")
    watch = Watch()
    command = [sys.executable, "-m", "maskwright.bench.worker", str(path)]
    done = subprocess.run(command, capture_output=True, text=True, env=_environment(settings, side), check=False)
    load = watch.facts()
    if done.returncode or not answer.exists():
        lines = [line for line in done.stderr.splitlines() if line.strip()]
        return {"error": lines[-1][:300] if lines else f"ended with code {done.returncode}", "load": load}
    return {**json.loads(answer.read_text("utf-8")), "load": load}


def _environment(settings: Settings, side: Side) -> dict[str, str]:
    own = dict(os.environ)
    own |= {"HF_HUB_OFFLINE": "1", "TOKENIZERS_PARALLELISM": "true"}
    if settings.threads:
        own |= {"OMP_NUM_THREADS": str(settings.threads), "RAYON_NUM_THREADS": str(settings.threads)}
    if side.name != OURS and "OMP_WAIT_POLICY" not in own:
        own["GOMP_SPINCOUNT"] = _SPIN
    return own


def _vectors(folder: Path, case: Case, side: Side) -> Path:
    return folder / f"{case.name}-{''.join(letter if letter.isalnum() else '-' for letter in side.name)}.npy"


def _compare(measurements: list[dict[str, Any]], case: Case, turn: int, folder: Path) -> None:
    """Enter how near each side's vectors of a round are to those of the first peer that computes in fp32."""
    if not case.cosine:
        return
    found = {each["side"]: each for each in measurements if (each["case"], each["round"]) == (case.name, turn)}
    files = {side.name: _vectors(folder, case, side) for side in case.sides if "check" in found.get(side.name, {})}
    reference = next((name for name in files if name != OURS), None)
    if reference is None:
        return
    wanted = np.load(files[reference])
    for name, path in files.items():
        vectors = np.load(path)
        rows = min(len(vectors), len(wanted))
        a, b = vectors[:rows].astype(np.float64), wanted[:rows].astype(np.float64)
        cosines = (a * b).sum(1) / (np.linalg.norm(a, axis=1) * np.linalg.norm(b, axis=1))
        found[name]["check"]["cosine"] = {"mean": float(cosines.mean()), "least": float(cosines.min())}


def _version(name: str) -> str:
    try:
        return version(name)
    except PackageNotFoundError:
        return ""
