"""Masked language modelling on full blocks of text."""

from __future__ import annotations

import tempfile
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import torch

from maskwright import machine
from maskwright.bench import peer
from maskwright.bench.own import digest, losses_of, timed_run
from maskwright.bench.worker import Clock, Job, Ready
from maskwright.config import PretrainTrainConfig
from maskwright.data.batch import Collator, Sample
from maskwright.data.loader import Loader
from maskwright.data.plan import Budget
from maskwright.data.source import RowsSource
from maskwright.keys import Key
from maskwright.model import load
from maskwright.text.tokenizer import Tokenizer
from maskwright.train.setup import make_objective

__all__ = ["compiled", "default", "flash", "ours", "tuned"]

_EVERY = 7
"""For the comparison of losses every seventh token is hidden, so that all sides hide the same."""


def ours(job: Job) -> Ready:
    """The loop of ``maskwright pretrain --objectives mlm`` on the blocks."""
    return _ours(job)


def compiled(job: Job) -> Ready:
    """The same with the network given to torch.compile, which the loop itself never does."""
    return _ours(job, compiled=True)


def _ours(job: Job, compiled: bool = False) -> Ready:
    blocks = np.load(job.texts)
    model = load(job.network).to(machine.device())
    tokenizer, objective = model.tokenizer, make_objective("mlm", {})
    objective.prepare(model)
    source = RowsSource([(row,) for row in blocks.tolist()], np.zeros(len(blocks)), tokenizer.frame, "")
    train = PretrainTrainConfig.model_validate({"epochs": 1, "examples": job.batch})
    collate = Collator.of(objective.stages(model), tokenizer)
    loader = Loader(source, collate, Budget(examples=job.batch), 0, micro_tokens=16_384)
    plan = source.plan(Budget(examples=job.batch), Key(0), shuffle=False)
    samples = [_hidden(source.sample(plan, n), tokenizer) for n in range(peer.CHECKED)]
    fixed = Collator.of((), tokenizer)(samples, Key(0))
    check = {
        "ids": digest(source.sample(plan, n).ids for n in range(len(blocks))),
        "losses": losses_of(model, objective, fixed, train),
    }
    if compiled:
        model.net.compile(dynamic=True)
    out = tempfile.TemporaryDirectory()
    run = timed_run(model, objective, loader, train, Path(out.name) / "run")

    def timed(clock: Clock) -> None:
        with out:
            run(clock)

    return Ready(timed, check)


def _hidden(sample: Sample, tokenizer: Tokenizer) -> Sample:
    places, ids = np.arange(1, len(sample.ids) - 1, _EVERY), sample.ids.copy()
    ids[places] = tokenizer.mask_id
    return replace(sample, ids=ids).with_target("mlm", places, sample.ids[places])


def default(job: Job) -> Ready:
    """transformers as it comes: fp32, its own collator, scores at every token."""
    return _theirs(job, tuned=False)


def tuned(job: Job) -> Ready:
    """The same in bf16 where that is fast, with buffers kept; rows are alike, so there is nothing to group."""
    return _theirs(job, tuned=True)


def flash(job: Job) -> Ready:
    """The same with attention by the flash-attn package, which computes nothing on padding."""
    return _theirs(job, tuned=True, attention="flash_attention_2")


def _theirs(job: Job, tuned: bool, attention: str | None = None) -> Ready:
    import transformers

    net = transformers.AutoModelForMaskedLM.from_pretrained(job.network, attn_implementation=attention)
    tokenizer = transformers.AutoTokenizer.from_pretrained(job.network)
    own = Tokenizer.load(job.network)
    frame = own.frame.single
    rows: list[dict[str, Any]] = []
    for block in np.load(job.texts).tolist():
        ids: list[int] = []
        special: list[int] = []
        for place in frame:
            ids += block if place.id is None else [place.id]
            special += [0] * len(block) if place.id is None else [1]
        rows.append({"input_ids": ids, "attention_mask": [1] * len(ids), "special_tokens_mask": special})
    collate = transformers.DataCollatorForLanguageModeling(tokenizer)
    ids_BS = torch.tensor([row["input_ids"] for row in rows[: peer.CHECKED]])
    labels_BS = torch.full_like(ids_BS, -100)
    labels_BS[:, 1:-1:_EVERY] = ids_BS[:, 1:-1:_EVERY]
    fixed = {
        "input_ids": torch.where(labels_BS >= 0, own.mask_id, ids_BS),
        "attention_mask": torch.ones_like(ids_BS),
        "labels": labels_BS,
    }
    return peer.trained(net, rows, collate, peer.shuffled(len(rows), job.batch), [job.length] * len(rows), fixed, tuned)
