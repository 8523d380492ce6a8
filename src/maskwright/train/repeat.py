"""The same fine-tuning several times: with several seeds, or with each part of the rows held out in turn (k folds).

One run of a few thousand rows says little: the seed alone moves it by points.  What is reported is mean, spread and median,
never the best.
"""

from __future__ import annotations

import json
from collections import defaultdict
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeVar

import numpy as np

from maskwright.config import FinetuneConfig
from maskwright.errors import ConfigError, InputError
from maskwright.evaluation.intervals import Spread, mean_sd
from maskwright.keys import Key
from maskwright.report.files import write_atomic
from maskwright.report.log import read_log
from maskwright.tasks.base import Task
from maskwright.tasks.few_config import FewShotConfig
from maskwright.tasks.rows import Rows
from maskwright.train.curve import learning_curve, over_seeds
from maskwright.train.few_shot import few_shot
from maskwright.train.finetune import finetune_rows, read_data, start, training_rows

__all__ = ["Repeated", "folds_of", "repeat", "repeat_curve", "repeat_few_shot"]

Configured = TypeVar("Configured", FinetuneConfig, FewShotConfig)


@dataclass(frozen=True)
class Repeated:
    """What the runs gave."""

    runs: tuple[dict[str, Any], ...]
    """name, seed, fold (None without folds), metrics, dev_rows: one a run."""

    def spread(self) -> dict[str, Spread]:
        """Return mean, sd and the mean's 95 % interval of each metric over the runs."""
        return {name: mean_sd(self.values(name)) for name in self.runs[0]["metrics"]}

    def values(self, name: str) -> list[float]:
        """Return one metric of every run."""
        return [run["metrics"][name] for run in self.runs]


def repeat(
    config: FinetuneConfig,
    *,
    seeds: int = 1,
    folds: int = 0,
    resume: bool = False,
    command: str = "",
    tell: Callable[[str], None] = lambda text: None,
) -> Repeated:
    """Fine-tune once for each seed from ``train.seed`` on and, with folds, for each of so many parts held out.

    Each run has a folder of its own in ``out``; ``out/runs.json`` holds all scores.  The folds are the same for every seed, and
    each holds its share of every label.  resume: go on with runs that were cut off, and do not run finished ones again.
    ConfigError for numbers that cannot be, and for a dev file beside folds; InputError for too few rows.
    """
    if seeds < 1 or folds < 0 or folds == 1:
        raise ConfigError(f"seeds {seeds}, folds {folds}: give at least 1 seed, and 0 or at least 2 folds")
    if folds and config.dev is not None:
        raise ConfigError(
            "folds: each part of the training rows is held out in turn, so a dev file has no use; leave it out"
        )
    first = config.train.seed
    runs: list[dict[str, Any]] = []
    for seed in range(first, first + seeds):
        for fold in range(folds) if folds else (None,):
            name = f"seed-{seed}" + ("" if fold is None else f"-fold-{fold}")
            one = _one(config, seed, name)
            task, rows, dev = read_data(one) if fold is None else _fold(one, folds, fold, first)
            tell(name)
            again = resume and (one.out / "log.jsonl").exists()
            done = finetune_rows(start(one), task, rows, dev, one, resume=again, command=command, label=name)
            runs.append(
                {"name": name, "seed": seed, "fold": fold, "metrics": dict(done.metrics), "dev_rows": done.dev_rows}
            )
    return _written(config.out, runs, command)


def repeat_curve(
    config: FinetuneConfig,
    shares: Sequence[float],
    *,
    seeds: int,
    resume: bool = False,
    command: str = "",
    tell: Callable[[str], None] = lambda text: None,
) -> tuple[Repeated, list[dict[str, Any]]]:
    """Draw a learning curve once for each seed from ``train.seed`` on; return the runs on all rows, and the points.

    A point is what ``curve.over_seeds`` makes of the runs at its rows.  Folders as ``repeat`` has them, each with its own
    ``curve/``; ``out/runs.json`` holds the points too.  ConfigError for shares that cannot be and for no seed.
    """
    if seeds < 1:
        raise ConfigError(f"seeds {seeds}: give at least 1")
    runs: list[dict[str, Any]] = []
    curves: list[list[dict[str, Any]]] = []
    for seed in range(config.train.seed, config.train.seed + seeds):
        name = f"seed-{seed}"
        one = _one(config, seed, name)
        tell(name)
        again = resume and (one.out / "log.jsonl").exists()
        done, points = learning_curve(one, shares, resume=again, command=command, tell=tell)
        curves.append(points)
        metrics = dict(done.metrics)
        runs.append({"name": name, "seed": seed, "fold": None, "metrics": metrics, "dev_rows": done.dev_rows})
    points = over_seeds(curves)
    return _written(config.out, runs, command, learning_curve=points), points


def repeat_few_shot(config: FewShotConfig, *, seeds: int, resume: bool = False, command: str = "") -> Repeated:
    """Learn from few rows once for each seed from ``train.seed`` on, each time from rows of its own.

    Folders and ``out/runs.json`` as ``repeat`` has them; what simple methods score on the same rows is among the metrics.
    ConfigError where nothing is drawn or left to score by.
    """
    if seeds < 1 or (config.each is None and config.dev is None):
        raise ConfigError(f"seeds {seeds}: give at least 1, and --each, or --dev for rows to score by")
    runs: list[dict[str, Any]] = []
    for seed in range(config.train.seed, config.train.seed + seeds):
        name = f"seed-{seed}"
        one = _one(config, seed, name)
        again = resume and (one.out / "encoder" / "log.jsonl").exists()
        done = few_shot(one, resume=again, command=command)
        if not done.dev_rows:
            raise ConfigError(f"each {config.each}: no row of {config.data} is left to score by; give --dev")
        result = [record for record in read_log(one.out / "encoder" / "log.jsonl") if record["kind"] == "result"][-1]
        beside = {
            f"{metric}, {method}": value
            for metric, score in result["scores"].items()
            for method, value in score["beside"].items()
        }
        metrics = {**done.metrics, **beside}
        runs.append({"name": name, "seed": seed, "fold": None, "metrics": metrics, "dev_rows": done.dev_rows})
    return _written(config.out, runs, command)


def _one(config: Configured, seed: int, name: str) -> Configured:
    """The configuration of one of the runs."""
    train = config.train.model_copy(update={"seed": seed})
    return config.model_copy(update={"train": train, "out": config.out / name})


def _written(out: Path, runs: list[dict[str, Any]], command: str, **more: Any) -> Repeated:
    content = json.dumps({"command": command, "runs": runs, **more}, indent=1) + "\n"
    write_atomic(out / "runs.json", content.encode())
    return Repeated(tuple(runs))


def _fold(config: FinetuneConfig, folds: int, fold: int, seed: int) -> tuple[Task, Rows, Rows]:
    task, rows = training_rows(config)
    parts = folds_of(rows, folds, seed)
    others = np.sort(np.concatenate([part for at, part in enumerate(parts) if at != fold]))
    return task, rows.pick(others.tolist()), rows.pick(parts[fold].tolist())


def folds_of(rows: Rows, count: int, seed: int) -> Sequence[Any]:
    """Return the places of the rows of each fold, rising; each label's rows are dealt out in turn.

    InputError where there are fewer rows than folds.
    """
    if len(rows) < count:
        raise InputError(f"{rows.file}: {len(rows)} rows cannot be cut into {count} folds")
    order = Key(seed).stream("rows.folds").order(len(rows)).tolist()
    by_label: dict[str, list[int]] = defaultdict(list)
    for place in order:
        by_label[rows.labels[place] if rows.labels else ""].append(place)
    dealt = [place for label in sorted(by_label) for place in by_label[label]]
    return [np.sort(np.array(dealt[fold::count], dtype=np.int64)) for fold in range(count)]
