"""Weights of several losses that are decided anew each step.

FashionBERT's adaptive multi-task weights, Gao et al. 2020, section 3.3, https://arxiv.org/abs/2005.09801, and what its released
code (alibaba/EasyTransfer, scripts/fashion_bert) does instead.  With L parts of losses l_i (means over a step) and g_i² the
squared norm of the gradient of l_i, every mode but ``equal`` has weights proportional to 1 / a_i, and they sum to 1:

    equal         all the same, 1 / L
    loss-softmax  a_i = L - softmax(l)_i²: the released formula; larger losses get slightly larger weights
    released      the same weights, and as in the released code the gradient flows through them too
    grad          a_i = L - g_i²: the paper's formula; where some g_i² >= L it has no positive weight, and the step is refused
    grad-share    a_i = L - g_i² / Σ g²: the same on shares, which always has one
    grad-plus     a_i = L + g_i²: what minimises ½ Σ w² g² + ¼ ΣΣ (w_i - w_j)² under Σ w = 1, which the paper sets out from

But for ``released``, weights are constants when the gradient is taken.  Gradients g are taken over the encoder, which all
parts share, and not over heads or networks beside the model.
"""

from __future__ import annotations

import math
from collections.abc import Mapping

import torch
from torch import Tensor

from maskwright.errors import TrainingError

__all__ = ["BY_GRADIENT", "BY_LOSS", "coefficients", "part_weights"]

BY_LOSS = ("loss-softmax", "released")
"""Modes that have to know the losses of the whole step before its gradient."""
BY_GRADIENT = ("grad", "grad-share", "grad-plus")
"""Modes that have to know the squared norm of each part's gradient."""


def part_weights(mode: str, values_L: Tensor) -> Tensor:
    """Return the weights (L,) of parts with these losses, or for the modes in ``BY_GRADIENT`` these squared norms (L,).

    Raises ValueError for ``grad`` where no positive weights follow.
    """
    parts = len(values_L)
    match mode:
        case "equal":
            a_L = torch.ones_like(values_L)
        case "loss-softmax" | "released":
            a_L = parts - values_L.softmax(0) ** 2
        case "grad":
            a_L = parts - values_L
        case "grad-share":
            a_L = parts - values_L / values_L.sum().clamp(min=torch.finfo(values_L.dtype).tiny)
        case "grad-plus":
            a_L = parts + values_L
        case _:
            raise ValueError(f"no mode {mode!r}")
    if not (a_L > 0).all():
        raise ValueError("some value leaves no positive weight")
    return (1 / a_L) / (1 / a_L).sum()


def coefficients(mode: str, values: Mapping[str, float], step: int) -> tuple[dict[str, float], dict[str, float]]:
    """Return each part's weight, and what its gradient is multiplied by, which is the same but for ``released``.

    values: mean losses, or squared gradient norms, by part.  TrainingError, naming the parts, where ``grad`` has no weights.
    """
    names = list(values)
    given = torch.tensor(list(values.values()), dtype=torch.float64, requires_grad=True)
    try:
        weights = part_weights(mode, given)
    except ValueError:
        large = ", ".join(f"{name} {value:.3g}" for name, value in values.items() if not value < len(values))
        raise TrainingError(
            f"step {step}: weighting 'grad' has no weights where a squared gradient norm is at least the number of parts, "
            f"{len(values)}: {large}. The model was not changed. Use grad-share or grad-plus"
        ) from None
    shown = dict(zip(names, weights.tolist(), strict=True))
    if mode != "released" or not all(map(math.isfinite, values.values())):
        return shown, shown
    (flowing,) = torch.autograd.grad((weights * given).sum(), given)
    return shown, dict(zip(names, flowing.tolist(), strict=True))
