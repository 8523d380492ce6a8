"""What transformers' sides of training share: a plain loop of its parts, in the order and with the settings of its Trainer.

The Trainer's own overhead is left out, in its favour.  AdamW (fused), weight decay 0.01 but on biases and norms, gradient
norm 1, linear decay: as ours.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from contextlib import nullcontext
from typing import Any, cast

import torch

from maskwright import machine
from maskwright.bench.worker import Clock, Ready

__all__ = ["CHECKED", "RATE", "by_length", "shuffled", "trained"]

CHECKED = 4
"""Rows on which losses are compared."""
RATE = 1e-4
"""Learning rate of these comparisons."""
Batch = dict[str, Any]


def shuffled(count: int, batch: int) -> list[list[int]]:
    """Return the batches of an epoch in random order."""
    order = torch.randperm(count, generator=torch.Generator().manual_seed(0)).tolist()
    return _parts(order, batch)


def by_length(sizes: Sequence[int], batch: int) -> list[list[int]]:
    """Return the batches of an epoch as ``group_by_length`` makes them, in an order of which any beginning is typical.

    Its own order goes from long to short within each large group, and a measurement may end within one.
    """
    from transformers.trainer_pt_utils import LengthGroupedSampler

    sampler = LengthGroupedSampler(batch, lengths=list(sizes), generator=torch.Generator().manual_seed(0))
    parts = _parts(list(sampler), batch)
    golden = (5**0.5 - 1) / 2
    return [part for _, part in sorted(enumerate(parts), key=lambda each: each[0] * golden % 1)]


def _parts(order: list[int], batch: int) -> list[list[int]]:
    return [order[at : at + batch] for at in range(0, len(order), batch)]


def trained(
    net: Any,
    rows: Sequence[Batch],
    collate: Callable[[list[Batch]], Batch],
    batches: list[list[int]],
    sizes: Sequence[int],
    fixed: Batch,
    tuned: bool,
) -> Ready:
    """Return a training over the batches; ``fixed`` is the batch on which losses are compared."""
    from maskwright.bench.own import digest

    where = machine.device()
    net, fixed = net.to(where), _on(where, fixed)
    context: Any = nullcontext
    if tuned:
        machine.keep_buffers()
        dtype = machine.precision("auto", where)
        context = lambda: machine.autocast(where, dtype)  # noqa: E731
    check = {"ids": digest(row["input_ids"] for row in rows), "losses": _losses(net, fixed, context)}
    optimizer = _optimizer(net, 5e-5)
    schedule = torch.optim.lr_scheduler.LambdaLR(optimizer, lambda step: max(0.0, 1 - step / len(batches)))
    net.train()

    def run(clock: Clock) -> None:
        pinned = where.type == "cuda"  # as its Trainer does
        loader: Any = torch.utils.data.DataLoader(
            cast(Any, rows), batch_sampler=batches, collate_fn=collate, pin_memory=pinned
        )
        for numbers, batch in zip(batches, loader, strict=True):
            _step(net, _on(where, batch), optimizer, context)
            schedule.step()
            if not clock.lap(sum(sizes[n] for n in numbers)):
                return

    return Ready(run, check)


def _on(where: torch.device, batch: Batch) -> Batch:
    return {name: value.to(where, non_blocking=where.type == "cuda") for name, value in batch.items()}


def _step(net: Any, batch: Batch, optimizer: torch.optim.Optimizer, context: Any) -> float:
    with context():
        loss = net(**batch).loss
    loss.backward()
    torch.nn.utils.clip_grad_norm_(net.parameters(), 1.0)
    optimizer.step()
    optimizer.zero_grad()
    return float(loss.detach())


def _optimizer(net: Any, rate: float) -> torch.optim.Optimizer:
    groups: list[dict[str, Any]] = [
        {"params": [p for p in net.parameters() if p.dim() > 1], "weight_decay": 0.01},
        {"params": [p for p in net.parameters() if p.dim() <= 1], "weight_decay": 0.0},
    ]
    return torch.optim.AdamW(groups, lr=rate, fused=True)


def _losses(net: Any, batch: Batch, context: Any) -> list[float]:
    """The loss before and after each of two updates, without dropout; the network is left as it was."""
    kept = {name: value.clone() for name, value in net.state_dict().items()}
    optimizer = _optimizer(net.eval(), RATE)
    found = [_step(net, batch, optimizer, context) for _ in range(3)]
    net.load_state_dict(kept)
    return found
