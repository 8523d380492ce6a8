"""Token ids of texts, in batches as a model takes them: 32 at once, cut to length, and padded where the side pads."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np
import torch

from maskwright.bench.own import digest
from maskwright.bench.worker import Clock, Job, Ready
from maskwright.data.batch import Collator
from maskwright.data.plan import Budget
from maskwright.data.source import RowsSource, tokenise_rows
from maskwright.keys import Key
from maskwright.text.tokenizer import Tokenizer

__all__ = ["ours", "raw", "transformers"]

Ids = tuple[torch.Tensor, torch.Tensor | int]
"""(B, S) ids and their mask; or (T,) ids and how many are no filling."""
Make = Callable[[Sequence[str]], Ids]
_CHECKED = 4
"""Batches whose ids are compared."""


def ours(job: Job) -> Ready:
    """Rows to ids to a ``Batch``, which lays the texts end to end."""
    return _ready(job, lambda: _ours(job))


def _ours(job: Job) -> Make:
    tokenizer = Tokenizer.load(job.network)
    collate = Collator.of((), tokenizer)

    def make(texts: Sequence[str]) -> Ids:
        rows = tokenise_rows(tokenizer, [(text,) for text in texts], job.length)
        source = RowsSource(rows, np.zeros(len(rows)), tokenizer.frame, "")
        plan = source.plan(Budget(examples=len(rows)), Key(0), shuffle=False)
        batch = collate([source.sample(plan, n) for n in range(len(rows))], Key(0))
        return batch.ids_T, batch.tokens

    return make


def raw(job: Job) -> Ready:
    """The ``tokenizers`` library itself, its batches made into tensors."""
    return _ready(job, lambda: _raw(job))


def _raw(job: Job) -> Make:
    import tokenizers

    backend = tokenizers.Tokenizer.from_file(str(job.network / "tokenizer.json"))
    backend.enable_truncation(job.length)
    backend.enable_padding(pad_id=Tokenizer.load(job.network).pad_id)

    def make(texts: Sequence[str]) -> Ids:
        made = backend.encode_batch_fast(list(texts))
        ids_BS, mask_BS = (torch.tensor([getattr(each, name) for each in made]) for name in ("ids", "attention_mask"))
        return ids_BS, mask_BS

    return make


def transformers(job: Job) -> Ready:
    """The same library through transformers' call."""
    return _ready(job, lambda: _transformers(job))


def _transformers(job: Job) -> Make:
    import transformers as library

    tokenizer = library.AutoTokenizer.from_pretrained(job.network)

    def make(texts: Sequence[str]) -> Ids:
        made = tokenizer(list(texts), padding=True, truncation=True, max_length=job.length, return_tensors="pt")
        return made["input_ids"], made["attention_mask"]

    return make


def _ready(job: Job, side: Callable[[], Make]) -> Ready:
    texts = [row[0] for row in job.rows()]
    groups = [texts[at : at + job.batch] for at in range(0, len(texts), job.batch)]
    found = map(side(), groups[:_CHECKED])  # by another tokenizer: the timed one has seen no word yet
    check = {"ids": digest(_real(ids, which).tolist() for ids, which in found)}
    make = side()

    def run(clock: Clock) -> None:
        for group in groups:
            _, which = make(group)
            if not clock.lap(float(which if isinstance(which, int) else which.sum())):
                return

    return Ready(run, check)


def _real(ids: torch.Tensor, which: torch.Tensor | int) -> torch.Tensor:
    return ids[:which] if isinstance(which, int) else ids[which.bool()]
