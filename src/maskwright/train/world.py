"""The processes that train together: this one alone, or as many as ``torchrun`` started.

    torchrun --nproc_per_node 2 -m maskwright pretrain …

Every process computes its share of each step; gradients are added up, so all of them hold the same weights.  The first one
writes the log, the checkpoints and the model.  Gradients travel by NCCL between GPUs, by gloo between CPUs; plain numbers
always by gloo.  They are added in large flat pieces once the step's backward passes are done.  DistributedDataParallel would
overlap the two, but it goes by the last micro-batch when it decides which parameters took part; here a process may have no
example in a step, or no target of one objective, and the sum is still exact.
"""

from __future__ import annotations

import os
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any, TypeVar

import torch
import torch.distributed as dist
from torch import Tensor, nn

from maskwright import machine
from maskwright.errors import ConfigError, TrainingError

__all__ = ["ALONE", "World", "need_alone", "together"]

Thing = TypeVar("Thing")

PIECE = 8 << 20
"""Values added up at once: large enough that starting a transfer costs nothing beside it, small enough to hold twice."""


@dataclass(frozen=True)
class World:
    """This process among the others."""

    rank: int = 0
    size: int = 1
    numbers: Any = None
    """Process group for plain numbers."""

    @property
    def first(self) -> bool:
        """Whether this is the process that writes."""
        return self.rank == 0

    def gather(self, thing: Thing) -> list[Thing]:
        """Return what every process gave, by rank."""
        if self.size == 1:
            return [thing]
        found: list[Any] = [None] * self.size
        dist.all_gather_object(found, thing, group=self.numbers)
        return found

    def of_first(self, thing: Thing) -> Thing:
        """Return what the first process gave; the others wait for it."""
        return self.gather(thing)[0]

    def wait(self) -> None:
        """Go on when all are here."""
        if self.size > 1:
            dist.barrier(group=self.numbers)

    def same_weights(self, module: nn.Module) -> None:
        """Give every process the first one's parameters and buffers."""
        if self.size > 1:
            for tensor in module.state_dict().values():
                dist.broadcast(tensor, 0)

    def add_up(self, parameters: Sequence[nn.Parameter]) -> None:
        """Add the gradients of all processes; a parameter that had none anywhere keeps none."""
        if self.size == 1:
            return
        took_part = torch.tensor(
            [p.grad is not None for p in parameters], dtype=torch.int32, device=parameters[0].device
        )
        dist.all_reduce(took_part, op=dist.ReduceOp.MAX)
        taken = [p for p, took in zip(parameters, took_part.tolist(), strict=True) if took]
        for piece in _pieces(taken):
            flat = torch.cat([_gradient(p).flatten() for p in piece])
            dist.all_reduce(flat)
            for p, total in zip(piece, torch.split(flat, [p.numel() for p in piece]), strict=True):
                p.grad = total.view_as(p).clone()


ALONE = World()


def need_alone(what: str) -> None:
    """ConfigError where torchrun started several processes, for what is made of several runs."""
    if int(os.environ.get("WORLD_SIZE", "1")) > 1:
        raise ConfigError(f"{what} runs in one process; start it without torchrun")


_LAST_WORDS = 10
"""Seconds."""


def _gradient(p: nn.Parameter) -> Tensor:
    return torch.zeros_like(p) if p.grad is None else p.grad


def _pieces(parameters: Sequence[nn.Parameter]) -> Iterator[list[nn.Parameter]]:
    held: list[nn.Parameter] = []
    for p in parameters:
        if held and (sum(q.numel() for q in held) + p.numel() > PIECE or p.dtype != held[0].dtype):
            yield held
            held = []
        held.append(p)
    if held:
        yield held


@contextmanager
def together() -> Iterator[World]:
    """Join the processes that torchrun started; alone where it started none."""
    size = int(os.environ.get("WORLD_SIZE", "1"))
    if size == 1:
        yield ALONE
        return
    if torch.cuda.is_available():
        torch.cuda.set_device(int(os.environ["LOCAL_RANK"]))
    dist.init_process_group("nccl" if machine.device().type == "cuda" else "gloo")
    try:
        yield World(dist.get_rank(), size, dist.new_group(backend="gloo"))
    except RuntimeError as error:
        if "onnection" not in str(error):
            raise
        # Whoever broke it off is to be seen to have ended first: torchrun reports that process, and then ends this one.
        time.sleep(_LAST_WORDS)
        raise TrainingError("another process of this training has ended; its error is the one to mend") from error
    # Not after an error: the connection stays open until this process has said why it ends.
    dist.destroy_process_group()
