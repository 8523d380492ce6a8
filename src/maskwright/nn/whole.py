"""Matrices in eight-bit whole numbers, for products that take half the time of bfloat16's.

A matrix has a step for each of its rows, and what it multiplies one for each token, found when it comes (Dettmers et al.
2022, section 2, https://arxiv.org/abs/2208.07339).  A few channels of a Transformer's states are far larger than the others,
and would leave few steps to them; they are made smaller, and the matrix larger there (Xiao et al. 2023,
https://arxiv.org/abs/2211.10438).  Which ones they are belongs to the network more than to the text: tokens drawn at
random tell, and nobody has to bring any.
"""

from __future__ import annotations

from contextlib import ExitStack
from typing import Any

import torch
from torch import Tensor, nn

from maskwright.nn.layout import Ragged

__all__ = ["factors", "in_whole_numbers"]

_SEQUENCES, _LENGTH = 64, 24
"""What is drawn: of a network's states it shows what is large, and takes a fraction of a second."""
_LEAST = 1 / 16
"""Of the mean over channels: one that was hardly met is not taken for one that is always so small."""


@torch.no_grad()
def factors(net: Any) -> dict[nn.Linear, Tensor]:
    """Return what to multiply the input of each linear layer of a network's ``stack`` with, (K,) each.

    The layer's matrix is to be divided by it (``in_whole_numbers``).  Drawn tokens go through the network in fp32.
    """
    layers = [m for m in net.stack.modules() if isinstance(m, nn.Linear)]
    largest: dict[nn.Module, Tensor] = {}

    def note(layer: nn.Module, given: tuple[Any, ...], _: Any) -> None:
        most_K = given[0].abs().amax(0)
        largest[layer] = torch.maximum(largest[layer], most_K) if layer in largest else most_K

    length = min(_LENGTH, net.spec.longest)
    draw = torch.Generator().manual_seed(0)
    ids_T = torch.randint(net.spec.vocabulary, (_SEQUENCES * length,), generator=draw)
    with ExitStack() as hooks, torch.autocast("cpu", enabled=False):
        for layer in layers:
            hooks.callback(layer.register_forward_hook(note).remove)
        net(ids_T, torch.arange(length).repeat(_SEQUENCES), torch.zeros_like(ids_T), Ragged.of([length] * _SEQUENCES))
    return {layer: _balance(largest[layer], layer.weight.abs().amax(0)) for layer in layers}


def _balance(states_K: Tensor, weights_K: Tensor) -> Tensor:
    """Half of what is large goes to the other side."""
    states_K, weights_K = (each.clamp(min=max(1e-6, _LEAST * float(each.mean()))) for each in (states_K, weights_K))
    return (weights_K / states_K).sqrt()


def in_whole_numbers(weight_EK: Tensor, factors_K: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    """Return a matrix divided by the factors as (E, K) int8, its steps (E,), and the sums of its rows of whole numbers (E,)."""
    divided_EK = weight_EK.detach().float() / factors_K
    steps_E = divided_EK.abs().amax(1).clamp(min=1e-12) / 127
    whole_EK = (divided_EK / steps_E[:, None]).round()
    return whole_EK.to(torch.int8), steps_E, whole_EK.sum(1)
