"""What a run log says, record by record: curves as columns of numbers, and what state the run is in.

Columns, not records: a million steps are some tens of megabytes, and a run that is followed grows its history instead
of being read anew.
"""

from __future__ import annotations

import math
from array import array
from bisect import bisect_left
from collections import deque
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal, NamedTuple, Self

from maskwright.report.records import LogTail

__all__ = ["Curve", "Followed", "History", "State", "mapping"]

RECENT = 500
PATIENCE = 120.0
"""Seconds without a new record after which a run counts as silent, unless its records have always come that slowly."""


class Curve(NamedTuple):
    """A field of the step records: the steps that have it, and its values there."""

    xs: array[float]
    ys: array[float]


class State(NamedTuple):
    """What a run is doing, and the same in words."""

    kind: Literal["going", "ended", "silent"]
    text: str


@dataclass
class _Sitting:
    """From a start or a resume to the next."""

    first: float
    last: float
    before: float
    """Seconds of training before it."""
    gap: float = 0.0
    end: Mapping[str, Any] | None = None

    @property
    def seconds(self) -> float:
        return float((self.end or {}).get("seconds", self.last - self.first))


@dataclass
class History:
    """The records of one run, sorted by kind as they come in."""

    start: Mapping[str, Any] = field(default_factory=dict)
    """The last start: after a resume it is what the run went on with."""
    evals: list[Mapping[str, Any]] = field(default_factory=list)
    results: list[Mapping[str, Any]] = field(default_factory=list)
    curves: dict[tuple[str, str], Curve] = field(default_factory=dict)
    """(group, field) → its curve; the group of ``loss`` is "", that of a part's loss "parts"."""
    first: Mapping[str, Any] | None = None
    last: Mapping[str, Any] | None = None
    """The first and the last step record."""
    newest: Mapping[str, Any] | None = None
    """The last record of any kind."""
    began: float | None = None
    broken: list[int] = field(default_factory=list)
    """Steps with a loss or a gradient norm that is not finite."""
    stride: int = 1
    """Of so many steps one was read."""

    def __post_init__(self) -> None:
        self._sittings: list[_Sitting] = []
        self._recent: deque[tuple[float, int]] = deque(maxlen=RECENT)

    @classmethod
    def of(cls, records: Iterable[Mapping[str, Any]]) -> Self:
        """Return the history that these records tell."""
        history = cls()
        for record in records:
            history.add(record)
        return history

    def add(self, record: Mapping[str, Any]) -> None:
        """Take the next record in."""
        time, kind = float(record["time"]), record["kind"]
        if self.began is None:
            self.began = time
        if not self._sittings or kind == "start" or (kind == "note" and _is_resume(record)):
            self._sittings.append(
                _Sitting(time, time, self._sittings[-1].before + self._span if self._sittings else 0.0)
            )
            self._recent.clear()
        sitting = self._sittings[-1]
        sitting.gap = max(sitting.gap, time - sitting.last)
        sitting.last, self.newest = time, record
        match kind:
            case "start":
                self.start = record
            case "step":
                self._step(record, sitting.before + time - sitting.first)
                self._recent.append((time, record["step"]))
            case "eval":
                self.evals.append(record)
            case "result":
                self.results.append(record)
            case "end":
                sitting.end = record

    @property
    def _span(self) -> float:
        return self._sittings[-1].last - self._sittings[-1].first

    def _step(self, record: Mapping[str, Any], elapsed: float) -> None:
        step = record["step"]
        self.first, self.last = self.first or record, record
        self._take(("", "elapsed"), step, elapsed)
        for name, value in record.items():
            if name in ("kind", "time", "step"):
                continue
            if isinstance(value, dict):
                for inner, number in value.items():
                    self._take((name, inner), step, number)
            else:
                self._take(("", name), step, value)
        if not all(math.isfinite(v) for k in ("loss", "grad_norm") if isinstance(v := record.get(k), int | float)):
            self.broken.append(step)

    def _take(self, name: tuple[str, str], step: float, value: object) -> None:
        if isinstance(value, float | int) and not isinstance(value, bool):
            curve = self.curves.get(name)
            if curve is None:
                curve = self.curves[name] = Curve(array("d"), array("d"))
            curve.xs.append(step)
            curve.ys.append(value)

    def curve(self, name: str, group: str = "") -> Curve:
        """Return a field's curve, empty where no step has it."""
        return self.curves.get((group, name)) or Curve(array("d"), array("d"))

    def names(self, group: str) -> list[str]:
        """Return the fields of a group that any step or evaluation has, in the order in which they appeared."""
        trained = [name for of, name in self.curves if of == group]
        return list(dict.fromkeys([*trained, *(name for one in self.evals for name in mapping(one.get(group)))]))

    def at(self, step: float, axis: str) -> float | None:
        """Return how many tokens were seen, or seconds trained (``axis`` tokens, elapsed), by a step; None: unknown."""
        if axis == "step":
            return step
        curve = self.curve(axis)
        place = bisect_left(curve.xs, step)
        if place < len(curve.xs) and curve.xs[place] == step:
            return curve.ys[place]
        if not 0 < place < len(curve.xs):
            return None
        (x0, x1), (y0, y1) = curve.xs[place - 1 : place + 1], curve.ys[place - 1 : place + 1]
        return y0 + (y1 - y0) * (step - x0) / (x1 - x0)

    @property
    def best(self) -> int | None:
        """The place of the evaluation that says it is the best one, else of the one with the lowest loss."""
        named = [at for at, one in enumerate(self.evals) if one.get("best")]
        if named:
            return named[-1]
        losses = [(one["loss"], at) for at, one in enumerate(self.evals) if math.isfinite(one.get("loss", math.nan))]
        return min(losses)[1] if losses else None

    @property
    def end(self) -> Mapping[str, Any] | None:
        """The end record, unless the run was gone on with after it."""
        return self._sittings[-1].end if self._sittings else None

    @property
    def seconds(self) -> float:
        """Time spent, without the pauses between a stop and a resume."""
        return sum(one.seconds for one in self._sittings)

    @property
    def resumes(self) -> int:
        """How often the run was gone on with."""
        return max(len(self._sittings) - 1, 0)

    @property
    def steps(self) -> int:
        """The last step taken; 0 before the first."""
        return int(self.last["step"]) if self.last else 0

    @property
    def planned(self) -> int | None:
        """How many steps the run was to take."""
        steps = self.start.get("steps")
        return steps if isinstance(steps, int) and steps > 0 else None

    def seconds_left(self) -> float | None:
        """Return how long the rest takes at the pace of the last 500 steps, evaluations between them included."""
        if self.planned is None or len(self._recent) < 2:
            return None
        (t0, s0), (t1, s1) = self._recent[0], self._recent[-1]
        return (t1 - t0) / (s1 - s0) * max(self.planned - s1, 0) if s1 > s0 else None

    def state(self, now: float) -> State:
        """Return what the run is doing, judged by its last record's age: seconds since 1970 are ``now``."""
        if self.end is not None:
            return State("ended", str(self.end["reason"]))
        newest = self.newest or {}
        said = str(newest.get("text", ""))
        if said.startswith("stopped by"):
            return State("silent", said.partition(";")[0])
        sitting = self._sittings[-1] if self._sittings else _Sitting(now, now, 0.0)
        if now - sitting.last > max(PATIENCE, 4 * sitting.gap):
            return State("silent", f"no end recorded; silent after step {self.steps:,}")
        return State("going", "going")


class Followed:
    """A run whose log may still be written."""

    def __init__(self, name: str, path: Path) -> None:
        self.name, self.path = name, path
        self._tail, self.history = LogTail(path), History()

    def look(self) -> bool:
        """Take in what is new and say whether anything is; a log that was rewritten is read anew.  Errors as LogTail."""
        changed = self._tail.rewritten()
        if changed:
            self.history = History()
        self.history.stride = self._tail.stride
        for record in self._tail.new():
            self.history.add(record)
            changed = True
        return changed


def mapping(value: object) -> Mapping[str, Any]:
    """Return the value where it is a mapping, else an empty one."""
    return value if isinstance(value, Mapping) else {}


def _is_resume(record: Mapping[str, Any]) -> bool:
    text = str(record.get("text", ""))
    return "resumed" in record or text.startswith(("resumed from", "no checkpoint to resume from"))
