"""The optimiser, by its name in ``torch.optim``, and the learning rate of each step.

AdamW: Loshchilov & Hutter 2019, https://arxiv.org/abs/1711.05101; warm-up and linear decay as in Devlin et al. 2019, appendix
A.2; rates that fall with depth: Howard & Ruder 2018, section 3.2, https://arxiv.org/abs/1801.06146, and ELECTRA's fine-tuning.
"""

from __future__ import annotations

import inspect
import math
import re
from typing import Any

import torch
from torch import nn

from maskwright.config import TrainConfig
from maskwright.errors import ConfigError, did_you_mean

__all__ = ["learning_rate", "make_optimizer"]

_BLOCK = re.compile(r"(?:^|\.)stack\.blocks\.(\d+)\.")
_UNUSABLE = {"LBFGS", "SparseAdam", "Optimizer"}
"""One asks for the loss again and again within a step, one takes sparse gradients only, one is the base class."""
_SETTINGS = {"betas": ("beta1", "beta2"), "eps": ("eps",), "weight_decay": ("weight_decay",)}
"""Argument of an optimiser -> our fields."""


def make_optimizer(module: nn.Module, config: TrainConfig) -> torch.optim.Optimizer:
    """Return the configured optimiser; biases, norms and other vectors are not decayed.

    Each group has a ``share`` of the learning rate: 1, or less by ``layer_decay`` for each block below the heads.
    ConfigError for a name that torch.optim has not, and for a setting that this optimiser does not take.
    """
    named = [(name, p) for name, p in module.named_parameters() if p.requires_grad]
    blocks = 1 + max((int(found[1]) for name, _ in named if (found := _BLOCK.search(name))), default=-1)
    groups: dict[tuple[int, bool], list[nn.Parameter]] = {}
    for name, p in named:
        depth = 0 if config.layer_decay == 1 else blocks + 1 - _height(name, blocks)
        groups.setdefault((depth, p.dim() <= 1), []).append(p)
    kind, arguments = _kind(config)
    decays = "weight_decay" in inspect.signature(kind).parameters
    made = [
        {"params": groups[depth, vector], "share": config.layer_decay**depth}
        | ({"weight_decay": 0.0 if vector else config.weight_decay} if decays else {})
        for depth, vector in sorted(groups)
    ]
    try:
        return kind(made, **arguments)
    except (TypeError, ValueError, RuntimeError) as error:
        raise ConfigError(f"train.optimizer {config.optimizer}: torch refuses these settings: {error}") from None


def _height(name: str, blocks: int) -> int:
    """0 for the embeddings, 1 for the first block, blocks + 1 for heads and whatever stands beside the encoder."""
    if found := _BLOCK.search(name):
        return int(found[1]) + 1
    return 0 if ".embed." in name else blocks + 1


def _kind(config: TrainConfig) -> tuple[type[torch.optim.Optimizer], dict[str, Any]]:
    """Return the class and what to call it with; nothing that was set is ignored in silence."""
    known = {
        name: each
        for name, each in vars(torch.optim).items()
        if isinstance(each, type) and issubclass(each, torch.optim.Optimizer) and name not in _UNUSABLE
    }
    kind = next((each for name, each in known.items() if name.lower() == config.optimizer.lower()), None)
    if kind is None:
        raise ConfigError(
            f"train.optimizer: {config.optimizer!r} is none of torch.optim's.{did_you_mean(config.optimizer, known)} "
            f"There are {', '.join(sorted(known))}"
        )
    ours = {"lr": config.lr, "betas": (config.beta1, config.beta2), "eps": config.eps, "fused": True}
    # Adafactor's eps is a pair of another meaning: what is not of our kind is not ours to set.
    takes = {
        name
        for name, each in inspect.signature(kind).parameters.items()
        if name != "eps" or isinstance(each.default, float)
    }
    for argument, fields in _SETTINGS.items():
        if argument not in takes and (set_here := [name for name in fields if name in config.model_fields_set]):
            raise ConfigError(f"train.{set_here[0]}: {config.optimizer} has no {argument}; leave it out")
    return kind, {name: value for name, value in ours.items() if name in takes} | config.optimizer_options


def learning_rate(config: TrainConfig, step: int, steps: int) -> float:
    """Return the rate of optimiser step ``step`` (from 0) of ``steps``.

    It rises linearly from zero over ``ceil(warmup * steps)`` steps and, but for ``constant``, falls to zero behind the last.
    """
    warm = math.ceil(config.warmup * steps)
    if step < warm:
        return config.lr * step / warm
    left = (steps - step) / max(1, steps - warm)
    match config.schedule:
        case "linear":
            return config.lr * left
        case "cosine":
            return config.lr * 0.5 * (1 - math.cos(math.pi * left))
        case "constant":
            return config.lr
