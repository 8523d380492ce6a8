"""Where the time of a training step goes, and how much of what the machine can it makes use of.

    matrix products    linear layers, forward and backward
    attention          everything inside an attention operator, its products, softmax and dropout too
    element-wise       activations, norms, sums, copies, look-ups, losses
    dropout            the masks outside attention
    optimiser          clipping and the update
    waiting for data   making the next batch, or waiting for a worker that does
    other              Python, autograd's book-keeping, and gaps

Steps are taken on copies: some to prepare the kernels, some by the clock alone, some under torch.profiler.  The profiler slows
small operators, so shares are from under it, and the step's time, tokens a second and the share of the peak from without.
"""

from __future__ import annotations

import json
import time
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import torch
from torch.profiler import ProfilerActivity, profile, record_function

from maskwright import machine
from maskwright.config import TrainConfig
from maskwright.data.batch import Batch
from maskwright.data.loader import Loader, Place
from maskwright.families import Spec
from maskwright.model import Model
from maskwright.nn.layout import Ragged
from maskwright.objective import Objective
from maskwright.report.files import write_atomic
from maskwright.report.numbers import rate, share
from maskwright.train.calibrate import copies
from maskwright.train.coupled import coupled_backward
from maskwright.train.optim import make_optimizer
from maskwright.train.step import backward, update

__all__ = ["GROUPS", "Profile", "group_of", "operations", "profile_steps", "sums"]

PRODUCTS, ATTENTION, ELEMENTS, DROPOUT, OPTIMISER, DATA, OTHER = GROUPS = (
    "matrix products",
    "attention",
    "element-wise",
    "dropout",
    "optimiser",
    "waiting for data",
    "other",
)
_WHOLE = {
    "maskwright::attend": ATTENTION,
    "aten::scaled_dot_product_attention": ATTENTION,
    "aten::_scaled_dot_product": ATTENTION,
    "aten::_flash_attention": ATTENTION,
    "aten::_efficient_attention": ATTENTION,
    "torch_attn::": ATTENTION,
    "_Drop": DROPOUT,
    "aten::native_dropout": DROPOUT,
    "aten::dropout": DROPOUT,
    f"step: {OPTIMISER}": OPTIMISER,
    f"step: {DATA}": DATA,
}
"""Beginnings of names: such an event is of the group with all that happens inside it."""
_ALONE = {
    **dict.fromkeys(("aten::mm", "aten::addmm", "aten::bmm", "aten::baddbmm", "aten::matmul", "aten::linear"), PRODUCTS),
    **dict.fromkeys(("aten::_addmm_activation", "mkldnn::_linear", "aten::mkldnn_linear"), PRODUCTS),
    "maskwright::cross_entropy": ELEMENTS,
    "maskwright::add_norm": ELEMENTS,
    "aten::": ELEMENTS,
}  # fmt: skip
"""Beginnings of names of operators that stand for themselves; the first that fits counts."""
_WARM, _TOP = 3, 8
"""Steps before anything is timed; operators that are named."""


@dataclass(frozen=True)
class Profile:
    """What a step is made of."""

    steps: int
    seconds: float
    """Of a step, without the profiler."""
    slowed: float
    """Of a step under the profiler."""
    groups: Mapping[str, float]
    """Seconds of a step under the profiler, by group; they sum to ``slowed``."""
    top: Mapping[str, float]
    """Seconds of a step in the operators that take most."""
    tokens: float
    """Real tokens of a step."""
    flops: float
    """Operations of a step on real tokens, forward and backward."""
    peak: float
    """Operations a second of the fastest matrix product measured beside it, in the same precision."""
    precision: str
    threads: int

    @property
    def share(self) -> float:
        """Of the peak that is made use of on real tokens."""
        return self.flops / self.seconds / self.peak

    def save(self, folder: Path) -> Path:
        """Write it as ``profile.json``."""
        content = json.dumps({**asdict(self), "share": self.share}, indent=1) + "\n"
        return write_atomic(folder / "profile.json", content.encode())

    def rows(self) -> list[tuple[str, str, str]]:
        """Return group, milliseconds of a step, share of the step, for a table."""
        return [(name, f"{1e3 * taken:.2f}", share(taken / self.slowed)) for name, taken in self.groups.items()]

    def facts(self) -> dict[str, str]:
        """Return the step as a whole, for people."""
        top = ", ".join(f"{name} {1e3 * taken:.1f}" for name, taken in self.top.items())
        return {
            "a step": f"{1e3 * self.seconds:.1f} ms ({1e3 * self.slowed:.1f} under the profiler), {self.steps} steps",
            "real tokens": f"{self.tokens:,.0f} a step, {rate(self.tokens / self.seconds)}",
            "of the peak": f"{share(self.share)}: {self.flops / self.seconds / 1e12:.3f} TFLOP/s on real tokens, where matrix "
            f"products alone give {self.peak / 1e12:.3f} ({self.precision}, {self.threads} threads)",
            "most, ms": top,
        }


def group_of(name: str) -> tuple[str, bool]:
    """Return the group of an event, and whether it takes what happens inside it along."""
    for table, whole in ((_WHOLE, True), (_ALONE, False)):
        for beginning, group in table.items():
            if name.startswith(beginning):
                return group, whole
    return OTHER, False


def sums(events: Sequence[Any], total: float, device: bool = False) -> tuple[dict[str, float], dict[str, float]]:
    """Return seconds by group, which sum to ``total``, and by operator.

    events: of a torch profile; device: whether operators run on a GPU, whose time counts then.
    """
    groups, names = dict.fromkeys(GROUPS, 0.0), dict[str, float]()
    for event in events:
        group, node = group_of(event.name)[0], event
        while node is not None:  # the outermost whole that it is part of
            found, whole = group_of(node.name)
            group, node = found if whole else group, node.cpu_parent
        own = event.self_device_time_total if device and group != DATA else event.self_cpu_time_total
        groups[group] += own / 1e6
        if group not in (DATA, OTHER):
            names[event.name] = names.get(event.name, 0.0) + own / 1e6
    groups[OTHER] = 0.0
    groups[OTHER] = total - sum(groups.values())
    return groups, names


def operations(spec: Spec, batch: Batch, share: float) -> float:
    """Return the operations of a training step on a batch's real tokens: three times those of the forward pass.

    share: of the tokens at which a vocabulary is scored.  Tokens that are not read spare most of the last layer.  Small heads
    are not counted.
    """
    layout = batch.layout
    lengths = layout.cu.diff().tolist() if isinstance(layout, Ragged) else [layout.length] * layout.batch
    layers = sum(length * spec.flops(length) for length in lengths if length)
    if batch.read is not None:
        read = batch.read.layout.cu.diff().tolist()
        layers -= sum(
            2 * (length - some) * spec.stack.spared(length) for length, some in zip(lengths, read, strict=True)
        )
    return 3.0 * (layers + 2 * share * sum(lengths) * spec.width * spec.vocabulary)


def profile_steps(model: Model, objective: Objective, loader: Loader, train: TrainConfig, steps: int) -> Profile:
    """Look at ``steps`` steps on copies; nothing of the model changes."""
    learn = coupled_backward if objective.couples else backward
    where, dtype = model.device, machine.precision(train.precision, model.device)
    with copies(model, objective, train) as (trial, loss, whole):
        optimizer, parameters = make_optimizer(whole, train), list(whole.parameters())
        data = enumerate(loader.steps(Place()))
        seen: list[Batch] = []

        def take(count: int) -> float:
            began = time.perf_counter()
            for _ in range(count):
                with record_function(f"step: {DATA}"):
                    step, given = next(data)
                learn(trial, loss, given.batches, seed=train.seed, step=step, dtype=dtype)
                with record_function(f"step: {OPTIMISER}"):
                    update(parameters, optimizer, given.batches, lr=0.0, clip=train.clip, step=step)
                seen.extend(given.batches)
            return time.perf_counter() - began

        members = getattr(objective, "members", (objective,))
        scored = sum(member.share for member in members)
        take(_WARM)
        seen.clear()
        plain = take(steps)
        if model.net.narrows:
            seen = [batch.asking(objective.reads(model, batch)) for batch in seen]
        flops = sum(operations(model.spec, batch, scored) for batch in seen)
        tokens = sum(batch.tokens for batch in seen)
        gpu = where.type == "cuda"
        with profile(activities=[ProfilerActivity.CPU, *[ProfilerActivity.CUDA] * gpu], acc_events=True) as found:
            slowed = take(steps)
    groups, names = sums(found.events(), slowed, gpu)
    top = sorted(names.items(), key=lambda each: -each[1])[:_TOP]
    return Profile(
        steps,
        plain / steps,
        slowed / steps,
        {name: seconds / steps for name, seconds in groups.items()},
        {name: seconds / steps for name, seconds in top},
        tokens / steps,
        flops / steps,
        machine.peak(dtype, where),
        str(dtype).removeprefix("torch."),
        torch.get_num_threads(),
    )
