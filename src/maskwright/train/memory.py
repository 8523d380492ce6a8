"""How much memory a training needs, in closed form, and how many tokens at once the free memory holds.

Weights, gradients and moments are counted exactly.  Activations are what the backward pass keeps of each token, the sizes of
Korthikanti et al. 2022, section 4, https://arxiv.org/abs/2205.05198, less what is not kept here: attention weights (computed
again, on the CPU) and padding.  Then a factor measured on the CPU; on a GPU none of this has been measured.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, fields
from pathlib import Path

import psutil
import torch

from maskwright import machine
from maskwright.config import TrainConfig
from maskwright.errors import InputError
from maskwright.families import Spec
from maskwright.families.seq2seq import Seq2SeqSpec
from maskwright.model import Model
from maskwright.nn.stack import StackSpec
from maskwright.objective import Objective
from maskwright.report.numbers import size

__all__ = ["Memory", "free_memory", "micro_tokens_for", "predict"]

_HOLES = 1.6
"""Peak over what is kept: buffers of the moment, and holes between them.  With it 14 runs of four sizes were met by -15 to
+20 %."""
_LIBRARIES = 100_000_000
"""Kernels that a first step pages in, in bytes."""
_SHARE, _UNIT, _MOST = 0.6, 1_024, 65_536
"""Of the free memory that an automatic budget uses; tokens it is a multiple of, and at the most."""
_MOMENTS = {"SGD": 0, "RMSprop": 1, "Adagrad": 1, "Muon": 1, "Adafactor": 0}
"""Values that an optimiser keeps for each parameter, where they are not two as Adam's."""


@dataclass(frozen=True)
class Memory:
    """Bytes at the peak of a step, beyond what Python and the libraries take before the first one."""

    weights: int
    gradients: int
    optimiser: int
    average: int
    """Of an exponential average of the weights."""
    activations: int
    """And what goes with them: weights cast to bf16, buffers of the moment."""

    @property
    def total(self) -> int:
        """All of it."""
        return sum(getattr(self, each.name) for each in fields(self))


def predict(
    spec: Spec,
    parameters: int,
    train: TrainConfig,
    *,
    micro_tokens: int,
    length: int,
    where: torch.device,
    rate: float = 0.15,
    beside: Sequence[Spec] = (),
) -> Memory:
    """Predict the peak of a step.

    parameters: of the model and its objectives; micro_tokens: most tokens computed at once; length: tokens in an example;
    rate: share of the tokens that are predicted, each with a row of V scores; beside: other networks that read the tokens.
    """
    half = machine.precision(train.precision, where) == torch.bfloat16
    per_token = rate * spec.vocabulary * (14 if half else 12)  # scores: softmax and two gradients of it
    for each in (spec, *beside):
        per_token += _of_blocks(each, half, train.gradient_checkpointing) + _of_embeddings(each)
        if where.type != "cpu" and each.stack.block.attention_dropout:
            # There the attention weights of a whole layer are kept: scores, softmax, mask, product.
            layers = 1 if train.gradient_checkpointing else each.stack.layers
            per_token += layers * 4 * (2 if half else 4) * each.stack.block.heads * length
    moments = _MOMENTS.get(train.optimizer, 2)
    if train.optimizer == "SGD" and train.optimizer_options.get("momentum"):
        moments = 1
    return Memory(
        weights=4 * parameters,
        gradients=4 * parameters,
        optimiser=4 * moments * parameters,
        average=4 * parameters if train.ema else 0,
        activations=round(_HOLES * per_token * micro_tokens) + (2 * parameters if half else 0) + _LIBRARIES,
    )


def _of_blocks(spec: Spec, half: bool, recompute: bool) -> float:
    """Bytes a token that the blocks keep: of the stack that keeps more, where a decoder has tokens of its own."""
    stacks = [spec.stack, *([spec.decoder] if isinstance(spec, Seq2SeqSpec) else [])]
    return max(_of_stack(stack, half, recompute) for stack in stacks)


def _of_stack(stack: StackSpec, half: bool, recompute: bool) -> float:
    block, layers = stack.block, len(stack.order)
    d, f, e = block.width, block.feed_forward, 2 if half else 4
    # Queries, keys, values and what attention gives; both sides of the activation function; the masks of two dropouts.
    inside = e * ((8 if block.cross else 4) * d + (3 if block.gated else 2) * f + (2 * d if block.dropout else 0))
    # Two sums before the norms and one norm after attention; with bf16 its output and the block's input are cast copies.
    inside += (8 * d + 2 * e * d) if half else 12 * d
    states = 4 * d * layers
    return states + inside * (1 if recompute else layers)


def _of_embeddings(spec: Spec) -> float:
    """Bytes a token."""
    return 4 * spec.width * (3 if spec.embed.dropout else 2)


def free_memory(where: torch.device) -> int:
    """Return the bytes that can still be had on a device: of a GPU, of the machine, or of the control group it is in."""
    if where.type == "cuda":
        return torch.cuda.mem_get_info(where)[0]
    free = int(psutil.virtual_memory().available)
    limit = _group_limit()
    return free if limit is None else min(free, limit)


def _group_limit(folder: Path = Path("/sys/fs/cgroup")) -> int | None:
    """Bytes left in the control group (version 2) of a container, cached files not counted; None where there is no limit."""
    try:
        most = int((folder / "memory.max").read_text())
        used = int((folder / "memory.current").read_text())
        kept = dict(line.split() for line in (folder / "memory.stat").read_text().splitlines())
        return max(0, most - used + int(kept.get("inactive_file", 0)))
    except (OSError, ValueError):  # no such file, or "max"
        return None


def micro_tokens_for(
    model: Model, train: TrainConfig, length: int, *, free: int | None = None, objective: Objective | None = None
) -> int:
    """Return how many tokens to compute at once: a multiple of 1,024 whose predicted peak takes 60 % of the free memory.

    At most 65,536 and, rounded up, a step's tokens.  free: bytes, by default those of the model's device; objective: what is
    learned, unless that is a task.
    InputError where the memory does not even hold the fewest.
    """
    where = model.device
    free = free_memory(where) if free is None else free
    learned = [*model.parameters(), *(objective.parameters() if objective else ())]
    parameters = sum(p.numel() for p in learned if p.requires_grad)
    rate, beside = (objective.share, objective.readers) if objective else (0.15, ())
    step = train.tokens or (train.examples or 1) * length
    most = min(_MOST, _UNIT * -(-step // _UNIT))

    def needed(tokens: int) -> int:
        memory = predict(
            model.spec, parameters, train, micro_tokens=tokens, length=length, where=where, rate=rate, beside=beside
        )
        return memory.total - memory.weights  # these are there already

    least = max(_UNIT, length)
    if needed(least) > free:
        raise InputError(
            f"train.micro_tokens: {least:,} tokens of this encoder need about {size(needed(least))} and {size(free)} of memory "
            "are free. Choose a smaller encoder, set train.gradient_checkpointing, or end other programs"
        )
    fixed = needed(0)
    fits = int((_SHARE * free - fixed) / ((needed(most) - fixed) / most))
    return max(_UNIT, min(most, fits // _UNIT * _UNIT))
