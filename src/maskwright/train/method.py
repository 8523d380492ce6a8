"""How a fine-tuning changes what it starts from: blocks that stay as they are, blocks that start anew, how classes count.

Re-initialised top blocks: Zhang et al. 2021, section 4, https://arxiv.org/abs/2006.05987.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager

from torch import nn

from maskwright.config import MethodConfig
from maskwright.errors import ConfigError, did_you_mean
from maskwright.model import Model
from maskwright.objective import Objective
from maskwright.tasks.adversarial import Adversarial
from maskwright.tasks.base import Task
from maskwright.tasks.classify import Classification
from maskwright.tasks.multilabel import MultiLabel
from maskwright.tasks.rows import Rows

__all__ = ["frozen", "objective_of", "prepare_task", "renew"]


def prepare_task(task: Task, rows: Rows, config: MethodConfig) -> None:
    """Set what the loss and the head are; ConfigError for an option of classes where the task has none."""
    task.read_by(config.pooling)
    if isinstance(config.class_weights, dict) and isinstance(task, Classification | MultiLabel):
        task.weigh(_of_labels(config.class_weights, task.labels))
    if isinstance(task, Classification):
        task.label_smoothing = config.label_smoothing
        if config.class_weights == "balanced":
            task.balance(rows)
        return
    refused = {name: getattr(config, name) for name in ("label_smoothing", "calibrate")}
    if not isinstance(task, MultiLabel):
        refused["class_weights"] = config.class_weights
    elif config.class_weights == "balanced":
        raise ConfigError(f"class_weights: {task.name} balances by --options.balance; or give weights by hand")
    for name, value in refused.items():
        if value != MethodConfig.model_fields[name].default:
            raise ConfigError(f"{name}: {task.name} has no classes; leave it out")


def _of_labels(weights: Mapping[str, float], labels: Sequence[str]) -> list[float]:
    """Put the weights in the labels' order; ConfigError for a label that is none."""
    for name in weights:
        if name not in labels:
            raise ConfigError(
                f"class_weights: no label {name!r}.{did_you_mean(name, labels)} Labels: {', '.join(labels[:12])}"
            )
    return [weights.get(name, 1.0) for name in labels]


def objective_of(task: Task, config: MethodConfig) -> Objective:
    """Return what is trained: the task, or the task and its adversarial copy."""
    return Adversarial(task, config.fgm) if config.fgm else task


def renew(model: Model, config: MethodConfig) -> None:
    """Give the top blocks and the pooler fresh weights; call it under a seed."""
    if not config.reinit:
        return
    blocks = _blocks(model, "reinit", config.reinit)
    for block in blocks[len(blocks) - config.reinit :]:
        model.net.initialise(block)
    if "pooler" in model.net.heads:
        model.net.initialise(model.net.heads["pooler"])


@contextmanager
def frozen(model: Model, config: MethodConfig) -> Iterator[None]:
    """Keep the embeddings and the lowest blocks from being trained inside."""
    parts: list[nn.Module] = []
    if config.freeze:
        parts = [model.net.embed, *_blocks(model, "freeze", config.freeze)[: config.freeze]]
    held = [p for part in parts for p in part.parameters() if p.requires_grad]
    for p in held:
        p.requires_grad_(False)
    try:
        yield
    finally:
        for p in held:
            p.requires_grad_(True)


def _blocks(model: Model, name: str, count: int) -> list[nn.Module]:
    stack = model.net.stack
    blocks: list[nn.Module] = list(stack.blocks)
    if len(blocks) != len(stack.order):
        raise ConfigError(f"{name}: the layers of this {model.family.name} share their weights; leave it out")
    if count > len(blocks):
        raise ConfigError(f"{name} {count} is more than the model's {len(blocks)} blocks")
    return blocks
