"""Next sentences or sentence order: what does each teach?  ALBERT's cross table, on models that fit the time there is.

    OUT/protocol.json                  written first; see ``studies.protocol``
    OUT/seed-0/base/ none/ nsp/ sop/   runs and models;   OUT/seed-0/beside.json  what knows nothing
    OUT/seed-0/ARM/frozen.json, tuned-nsp.json, …         scores, each written when it is whole
    OUT/study.json, OUT/report.html    everything together

A part that is finished is not done again: after an interruption give the same command.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from dataclasses import asdict
from functools import partial
from pathlib import Path
from typing import Any

from maskwright import machine
from maskwright.corpus.store import Corpus
from maskwright.errors import Stopped
from maskwright.report.files import write_atomic
from maskwright.studies.arms import Seed, Tell
from maskwright.studies.nsp_sop_config import NspSopConfig
from maskwright.studies.probe import beside
from maskwright.studies.protocol import ARMS, TASKS, UNTRAINED, keep_protocol, protocol_of
from maskwright.studies.readings import frozen, parts_for, tuned
from maskwright.studies.verdict import summary

__all__ = ["run_nsp_sop"]


def run_nsp_sop(config: NspSopConfig, *, command: str = "", tell: Tell = lambda text: None) -> dict[str, Any]:
    """Do what is missing of the study; return everything measured, which ``study.json`` holds too.

    tell: receives a line before each part.  Raises ConfigError for a folder of another protocol, Stopped after saving, and what
    ``pretrain`` raises.
    """
    corpus = Corpus.open(config.corpus)
    corpus.verify(corpus.tokens().tokenizer_fingerprint)
    protocol = protocol_of(config, corpus)
    keep_protocol(config.out, protocol)
    cells, beside_them = [], {}
    try:
        for seed in (Seed(config, corpus, number, tell) for number in range(config.seeds)):
            beside_them[str(seed.seed)] = _beside(seed)
            cells += [_cell(seed, arm) for arm in (UNTRAINED, *ARMS)]
    except Stopped as error:
        text = f"stopped; what is done is saved in {config.out}. Give the same command again to go on"
        raise Stopped(text, exit_code=error.exit_code) from None
    found = {
        "protocol": protocol,
        "command": command,
        "machine": machine.describe(),
        "cells": cells,
        "beside": beside_them,
        "summary": summary(cells, beside_them),
    }
    _write(config.out / "study.json", found)
    return found


def _beside(seed: Seed) -> dict[str, Any]:
    """What knows nothing, on the scored documents."""

    def score() -> dict[str, Any]:
        seed.tell(f"seed {seed.seed}: rules that know nothing")
        model = seed.begun()
        return {task: asdict(beside(parts_for(seed, model, task), task)) for task in ("mlm", *TASKS)}

    return _kept(seed.folder / "beside.json", score)


def _cell(seed: Seed, arm: str) -> dict[str, Any]:
    """All scores of one model."""

    def read() -> dict[str, Any]:
        model = seed.model(arm)
        seed.tell(f"seed {seed.seed}, {arm}: heads on the frozen encoder")
        return frozen(seed, model)

    def tune(task: str, path: Path) -> dict[str, Any]:
        model = seed.model(arm)
        seed.tell(f"seed {seed.seed}, {arm}: fine-tuned on {task}")
        return asdict(tuned(seed, model, task, path.with_suffix("")))

    found = {"seed": seed.seed, "arm": arm} | _kept(seed.folder / arm / "frozen.json", read)
    paths = {task: seed.folder / arm / f"tuned-{task}.json" for task in TASKS if arm != UNTRAINED}
    return found | {"tuned": {task: _kept(path, partial(tune, task, path)) for task, path in paths.items()}}


def _kept(path: Path, make: Callable[[], Mapping[str, Any]]) -> dict[str, Any]:
    """Return what a file holds; made and written first, whole or not at all, where there is none."""
    if not path.exists():
        _write(path, make())
    found: dict[str, Any] = json.loads(path.read_text("utf-8"))
    return found


def _write(path: Path, value: Mapping[str, Any]) -> None:
    write_atomic(path, (json.dumps(value, indent=1, ensure_ascii=False) + "\n").encode())
