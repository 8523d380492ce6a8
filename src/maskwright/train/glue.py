"""GLUE: every task and seed a run of its own, the same loop as everywhere, and what they give together.

    OUT/rte/seed-0/run/    the fine-tuning: log, report, model
    OUT/rte/seed-0/cell/   sealed when it is done: scores, and predictions of dev and test rows as .tsv
    OUT/glue.json          everything measured;  OUT/submission-seed-0.zip, … one archive a seed

A sealed cell is never run again, and one that was cut off goes on where it was: to resume, give the same command again.
"""

from __future__ import annotations

import hashlib
import json
import shutil
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from maskwright.checkpoint.hub import resolve
from maskwright.checkpoint.seal import sealed_folder, sha256, verify
from maskwright.config import RUNTIME, FinetuneConfig, FinetuneTrainConfig, GlueConfig, MethodConfig, differences
from maskwright.errors import ConfigError, Stopped, did_you_mean
from maskwright.evaluation.diagnosis import baselines
from maskwright.evaluation.metrics import metric
from maskwright.model import create, load
from maskwright.report.files import write_atomic
from maskwright.report.log import read_log
from maskwright.report.run import run_page
from maskwright.tasks.glue import AX
from maskwright.tasks.submission import EXPECTED, predictions, tsv, write_submission
from maskwright.train.finetune import answer, finetune_rows
from maskwright.train.glue_data import TaskData, order_of, read_tasks
from maskwright.train.world import need_alone

__all__ = ["Cell", "run_glue"]

_SEAL = "cell.json"
_FACTS = ("identity", "scores", "best", "steps", "seconds")
_METHOD = set(MethodConfig.model_fields) - {"model"}
_GROUPS = (("steps", "epochs", "minutes"), ("tokens", "examples"))


@dataclass(frozen=True)
class Cell:
    """One task and seed, done."""

    task: str
    seed: int
    folder: Path
    facts: Mapping[str, Any]
    """identity; scores by split; steps; seconds."""


def run_glue(
    config: GlueConfig, *, command: str = "", tell: Callable[[str], None] = lambda text: None
) -> dict[str, Any]:
    """Run what is missing of the table; return everything measured, which ``glue.json`` holds too.

    tell: receives a line before each run.  Raises ConfigError for tasks, options or files that cannot be, before the first
    run, and for a folder whose cells had other settings; Stopped, after saving; and what ``finetune`` raises.
    """
    need_alone("glue")
    data, left_out = read_tasks(config)
    order = order_of(config, list(data))
    _check_starts(config, data)
    seeds = range(config.train.seed, config.train.seed + config.seeds)
    runs = {(name, seed): _run_config(config, data, name, seed) for seed in seeds for name in order}
    begin = {"model": _weights(config.model)} | {s: _weights(s) for s in config.start_from.values() if s not in data}
    simple = {name: _baselines(config, data[name]) for name in order} if config.baseline else {}
    cells: dict[tuple[str, int], Cell] = {}
    for place, ((name, seed), run) in enumerate(runs.items(), 1):
        source = config.start_from.get(name)
        start = cells[source, seed].facts["identity"] if source in data else begin[source or "model"]
        identity = _identity(run, data[name], start)
        tell(f"{place}/{len(runs)}  {data[name].files.title}, seed {seed}")
        cells[name, seed] = _cell(data[name], run, identity, command, tell)
    if not config.keep_models:
        for cell in cells.values():
            shutil.rmtree(cell.folder / "run" / "model", ignore_errors=True)
    found = {
        "config": config.model_dump(mode="json"),
        "command": command,
        "tasks": {name: data[name].facts() | {"baselines": simple.get(name, {})} for name in data},
        "left_out": left_out,
        "cells": [{"task": cell.task, "seed": cell.seed, **cell.facts} for cell in cells.values()],
        "archives": {
            seed: _archive(config, data, [cell for cell in cells.values() if cell.seed == seed]) for seed in seeds
        },
    }
    write_atomic(config.out / "glue.json", (json.dumps(found, indent=1, ensure_ascii=False) + "\n").encode())
    return found


def _check_starts(config: GlueConfig, data: Mapping[str, TaskData]) -> None:
    for name, start in config.start_from.items():
        if start not in data and "/" not in start and not Path(start).is_dir():
            raise ConfigError(
                f"start_from.{name}: {start!r} is neither a task of this run ({', '.join(data)}) nor a model folder."
                f"{did_you_mean(start, data)}"
            )


def _run_config(config: GlueConfig, data: Mapping[str, TaskData], name: str, seed: int) -> FinetuneConfig:
    """The options of one cell; ConfigError for an option of ``per_task`` that cannot be."""
    own = config.per_task.get(name, {})
    train = config.train.model_dump(exclude_defaults=True)
    for group in _GROUPS:
        if any(each in own for each in group):
            train = {each: value for each, value in train.items() if each not in group}
    source = config.start_from.get(name)
    if source is not None and source in data:
        source = str(config.out / source / f"seed-{seed}" / "run" / "model")
    return FinetuneConfig(
        **config.model_dump(include=_METHOD),
        model=source or config.model,
        task=data[name].task,
        out=config.out / name / f"seed-{seed}" / "run",
        baseline=False,
        train=FinetuneTrainConfig.of(train | dict(own) | {"seed": seed}, f"per_task.{name}." if own else "train."),
    )


def _weights(model: str) -> str:
    """Of the files that the weights lie in: another model under the same name is another start."""
    files = sorted(resolve(model).glob("*.safetensors"))
    return hashlib.sha256("".join(map(sha256, files)).encode()).hexdigest()


def _identity(run: FinetuneConfig, data: TaskData, start: Any) -> dict[str, Any]:
    """Everything that the scores depend on, as JSON gives it back."""
    settings = run.train.model_dump(mode="json", exclude=set(RUNTIME) - {"steps", "minutes"})
    if isinstance(start, Mapping):
        start = hashlib.sha256(json.dumps(start, sort_keys=True).encode()).hexdigest()
    rows = {split: rows.fingerprint for split, (_, rows) in data.more.items()}
    identity = {
        **run.model_dump(mode="json", include=_METHOD),
        "start": start,
        "train": settings,
        "data": {"train": data.train.fingerprint, "dev": data.dev.fingerprint, **rows},
    }
    found: dict[str, Any] = json.loads(json.dumps(identity))
    return found


def _cell(
    data: TaskData, run: FinetuneConfig, identity: dict[str, Any], command: str, tell: Callable[[str], None]
) -> Cell:
    folder, seed = run.out.parent, run.train.seed
    if (folder / "cell").exists():
        facts = verify(folder / "cell", _SEAL)
        if changed := differences(identity, facts["identity"]):
            raise ConfigError(
                f"{folder} was run with other settings or data ({'; '.join(changed)}); give the same ones, or choose another "
                "--out"
            )
        tell("     done before")
        return Cell(data.name, seed, folder, {name: facts[name] for name in _FACTS})
    model = load(run.model)
    if run.fresh:
        model = create(model.spec, model.tokenizer, seed=seed)
    task = data.files.task()
    label = f"{data.files.title}, seed {seed}"
    resume = (run.out / "log.jsonl").exists()
    try:
        done = finetune_rows(model, task, data.train, data.dev, run, resume=resume, command=command, label=label)
    except Stopped as error:
        text = (
            f"stopped in {label}; what is done is saved in {folder.parent.parent}. Give the same command again to go on"
        )
        raise Stopped(text, exit_code=error.exit_code) from None
    logits = {"dev": done.dev_logits} | {split: answer(done, rows, run) for split, (_, rows) in data.more.items()}
    scores = {"dev": dict(done.metrics)}
    for split, (files, rows) in data.more.items():
        if rows.labels is not None:
            truth = task.numbers(rows)
            scores[split] = metric(files.metric)(truth, task.answers(logits[split]))
    facts = {
        "identity": identity,
        "scores": scores,
        "best": done.finished.best_score,
        "steps": done.finished.steps,
        "seconds": done.finished.seconds,
    }
    with sealed_folder(folder / "cell", _SEAL, facts) as staging:
        for split, found in logits.items():
            files = data.more[split][0] if split in data.more else data.files
            (staging / f"{split}.tsv").write_bytes(tsv(predictions(files, task, found)))
    run_page(read_log(run.out / "log.jsonl")).write(run.out / "report.html")
    for spent in ("checkpoints", "best", "plans"):
        shutil.rmtree(run.out / spent, ignore_errors=True)
    return Cell(data.name, seed, folder, facts)


def _baselines(config: GlueConfig, data: TaskData) -> dict[str, dict[str, float]]:
    """Fitted once a task, and kept: some take a minute."""
    path = config.out / data.name / "baseline.json"
    rows = data.train.fingerprint + data.dev.fingerprint
    if path.is_file() and (kept := json.loads(path.read_text("utf-8"))).get("rows") == rows:
        scores: dict[str, dict[str, float]] = kept["scores"]
        return scores
    scores = baselines(data.files.task(), data.train, data.dev, config.train.seed)
    write_atomic(path, (json.dumps({"rows": rows, "scores": scores}, indent=1) + "\n").encode())
    return scores


def _archive(config: GlueConfig, data: Mapping[str, TaskData], cells: Sequence[Cell]) -> dict[str, Any]:
    """Write the archive of one seed; return its path and what the server would miss.  Without a test set there is none."""
    held: dict[str, bytes] = {}
    for cell in cells:
        names = {**data[cell.task].files.answers, "ax-test": AX.answers["test"]}
        for split, name in names.items():
            if (path := cell.folder / "cell" / f"{split}.tsv").is_file() and name in EXPECTED:
                held[name] = path.read_bytes()
    if not held:
        return {}
    path = config.out / f"submission-seed-{cells[0].seed}.zip"
    return {"path": str(path), "files": sorted(held), "missing": write_submission(path, held)}
