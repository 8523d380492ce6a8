"""What a run over GLUE reads: each task's rows, and the order in which tasks must be run."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from maskwright.config import GlueConfig
from maskwright.errors import ConfigError, InputError, did_you_mean
from maskwright.evaluation.metrics import metric
from maskwright.keys import Key
from maskwright.tasks import DATASETS
from maskwright.tasks.glue import AX
from maskwright.tasks.glueset import GlueSet
from maskwright.tasks.rows import Rows
from maskwright.train.finetune import held_out

__all__ = ["TaskData", "order_of", "read_tasks"]

_NINE = ("cola", "sst2", "mrpc", "stsb", "qqp", "mnli", "qnli", "rte", "wnli")


@dataclass(frozen=True)
class TaskData:
    """One task's rows."""

    name: str
    files: GlueSet
    train: Rows
    dev: Rows
    official: bool
    """Whether training and dev rows are all of the published ones."""
    why_not: str
    """What is not as published, where something is not."""
    more: dict[str, tuple[GlueSet, Rows]] = field(default_factory=dict)
    """Further splits to predict, by name: dev_mismatched, test, test_mismatched, ax-test …"""

    @property
    def task(self) -> str:
        """As ``finetune --task`` takes it."""
        return self.name if self.name in DATASETS else f"glue/{self.name}"

    def facts(self) -> dict[str, Any]:
        """Return what a reader of the table has to know."""
        return {
            "title": self.files.title,
            "metrics": list(metric(self.files.metric)([0, 1], [0, 1])),
            "train_rows": len(self.train),
            "dev_rows": len(self.dev),
            "official": self.official,
            "why_not": self.why_not,
        }


def read_tasks(config: GlueConfig) -> tuple[dict[str, TaskData], dict[str, str]]:
    """Return the tasks' rows, and of ``all`` those that are left out with the reason.

    ConfigError for an unknown task, InputError where a named one has no training file, DataError (file, line) for a row.
    """
    known = {
        entry.name.removeprefix("glue/"): entry for entry in DATASETS if entry.name not in ("glue/ax", "goemotions")
    }
    every = config.tasks.strip() == "all"
    names = list(_NINE) if every else [name.strip() for name in config.tasks.split(",") if name.strip()]
    if not names or len(set(names)) < len(names):
        raise ConfigError(f"tasks: name at least one, each once, not {config.tasks!r}")
    if unknown := [name for name in names if name not in known]:
        hint = did_you_mean(unknown[0], known)
        raise ConfigError(f"tasks: no task {unknown[0]!r}.{hint} Known: {', '.join(known)}, all")
    if not config.data.is_dir():
        raise InputError(f"data: {config.data} is no folder; give the one that holds CoLA/, SST-2/ and so on")
    found, left_out = {}, {}
    for name in names:
        files: GlueSet = known[name].load()
        if every and files.find(config.data, "train") is None:
            left_out[name] = f"no training file of {files.title} in {config.data}"
            continue
        found[name] = _read(config, name, files)
    if not found:
        raise InputError(
            f"{config.data}: no training file of any task; give the folder that holds CoLA/, SST-2/ and so on"
        )
    return found, left_out


def _read(config: GlueConfig, name: str, files: GlueSet) -> TaskData:
    where, seed = config.data, config.train.seed
    train, why = files.rows(where, "train"), []
    if files.find(where, "dev") is None:
        train, dev = held_out(train, config.dev_share, seed)
        why.append("dev rows held out of train")
    else:
        dev = files.rows(where, "dev")
        if len(dev) != files.sizes.get("dev"):
            why.append(f"{len(dev):,} dev rows")
    if config.rows is not None and config.rows < len(train):
        order = Key(seed).stream("glue.rows").order(len(train))[: config.rows]
        train = train.pick(np.sort(order).tolist())
    if len(train) != files.sizes.get("train"):
        why.append(f"{len(train):,} training rows")
    more = {
        split: (files, files.rows(where, split))
        for split in files.splits
        if _further(split) and files.find(where, split)
    }
    if name == "mnli":
        more |= {f"ax-{split}": (AX, AX.rows(where, split)) for split in AX.splits if _there(AX, where, split)}
    return TaskData(name, files, train, dev, not why, ", ".join(why), more)


def _further(split: str) -> bool:
    return split not in ("train", "dev")


def _there(files: GlueSet, where: Path, split: str) -> bool:
    """In its own folder: in GLUE's root a file called test.tsv is another's."""
    return any(files.find(where / name, split) for name in (files.folder, files.hub))


def order_of(config: GlueConfig, names: list[str]) -> list[str]:
    """Return the tasks so that each stands behind the one that it starts from; ConfigError for a circle."""
    for option in (config.start_from, config.per_task):
        if unknown := [name for name in option if name not in names]:
            which = "start_from" if option is config.start_from else "per_task"
            raise ConfigError(
                f"{which}.{unknown[0]}: not among the tasks of this run ({', '.join(names)}).{did_you_mean(unknown[0], names)}"
            )
    done: list[str] = []
    left = list(names)
    while left:
        ready = [name for name in left if config.start_from.get(name) not in left]
        if not ready:
            raise ConfigError(f"start_from: {', '.join(left)} start from one another in a circle")
        done += ready
        left = [name for name in left if name not in ready]
    return done
