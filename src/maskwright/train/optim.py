"""AdamW and the learning rate of each step.

Loshchilov & Hutter 2019, https://arxiv.org/abs/1711.05101; warm-up and linear decay as in Devlin et al. 2019, appendix A.2.
"""

from __future__ import annotations

import math

import torch
from torch import nn

from maskwright.config import TrainConfig

__all__ = ["learning_rate", "make_optimizer"]


def make_optimizer(module: nn.Module, config: TrainConfig) -> torch.optim.AdamW:
    """Return AdamW over the parameters; biases, norms and other vectors are not decayed."""
    named = [(name, p) for name, p in module.named_parameters() if p.requires_grad]
    groups = [
        {"params": [p for _, p in named if p.dim() > 1], "weight_decay": config.weight_decay},
        {"params": [p for _, p in named if p.dim() <= 1], "weight_decay": 0.0},
    ]
    return torch.optim.AdamW(
        [group for group in groups if group["params"]],
        lr=config.lr,
        betas=(config.beta1, config.beta2),
        eps=config.eps,
        fused=True,
    )


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
