"""A network as it serves on a CPU: its blocks' matrices in bfloat16, laid out as the matrix kernels want them.

Under autocast every call narrows all weights, and the kernels lay them out anew: for one sentence that takes longer than the
products themselves.  A serving copy does both once, and GELU on the way out of the product.  All else it shares.
"""

from __future__ import annotations

import copy
from typing import TypeVar, cast
from weakref import WeakKeyDictionary

import numpy as np
import torch
from torch import Tensor, nn

from maskwright.errors import ConfigError
from maskwright.native import why_not
from maskwright.nn.block import Block
from maskwright.nn.embed import Embed
from maskwright.nn.served import Served, serves
from maskwright.nn.served_embed import ServedEmbed, serves_embed
from maskwright.nn.stack import Stack
from maskwright.nn.whole import factors

__all__ = ["serving"]

N = TypeVar("N", bound=nn.Module)
_COPIES: WeakKeyDictionary[nn.Module, tuple[_State, dict[torch.dtype, nn.Module]]] = WeakKeyDictionary()
"""Network -> its matrices as they were, and its copies.  Not in the network itself, which is copied and saved."""


class _State:
    """What tells whether a copy is still right: where the tensors are, their versions, and a few of their values.

    Values too, for torch's fused optimisers count no version.
    """

    def __init__(self, net: nn.Module, tensors: list[Tensor]) -> None:
        self._parts = net._modules.get("embed"), net._modules["stack"]
        self._places = [(each.data_ptr(), each._version) for each in tensors]
        flat = [each.detach().numpy().reshape(-1) for each in tensors]
        self._few = [values[:: max(1, len(values) // 3)] for values in flat]
        self._were = np.concatenate(self._few).tobytes()

    def holds(self, net: nn.Module, tensors: list[Tensor]) -> bool:
        """Whether these are the same, and as they were."""
        same = self._parts == (net._modules.get("embed"), net._modules["stack"])
        same = same and self._places == [(each.data_ptr(), each._version) for each in tensors]
        return same and self._were == np.concatenate(self._few).tobytes()


def serving(net: N, dtype: torch.dtype = torch.bfloat16) -> N:
    """Return a copy of a network, in evaluation mode, for products in bfloat16 or int8 without gradients.

    It is the same one until the weights change.  The network itself where it has no ``stack`` of blocks, where somebody
    listens to them by a hook, or where this machine cannot; ConfigError where int8 is asked for and there is no kernel that
    takes its blocks.
    """
    stack, embed = net._modules.get("stack"), net._modules.get("embed")
    blocks = [block for block in stack.blocks if _serves(block)] if isinstance(stack, Stack) else []
    wholes = [each for each in (*blocks, embed) if each is not None]
    parts = [part for whole in wholes for part in (whole, *whole._modules.values()) if part is not None]
    heard = any(part._forward_hooks or part._forward_pre_hooks for part in parts)
    if not blocks or heard or not torch.backends.mkldnn.enabled:
        return _refused(net, dtype)
    tensors: list[Tensor] = [p for part in parts for p in part._parameters.values() if p is not None]
    if net in _COPIES and not _COPIES[net][0].holds(net, tensors):
        del _COPIES[net]
    if net in _COPIES and dtype in _COPIES[net][1]:
        return cast(N, _COPIES[net][1][dtype])
    plain = all(each.device.type == "cpu" and each.dtype == torch.float32 for each in tensors)
    if not plain or not torch.ops.mkldnn._is_mkldnn_bf16_supported():
        return _refused(net, dtype)
    assert isinstance(stack, Stack)
    twins: dict[str, nn.Module] = {}
    if serves(stack):
        twins["stack"] = Served(stack, factors(net) if dtype == torch.int8 else None)
    elif dtype == torch.int8:
        return _refused(net, dtype)
    else:
        twins["stack"] = _with(stack, blocks=_packed(stack))
    if isinstance(embed, Embed) and serves_embed(embed):
        twins["embed"] = ServedEmbed(embed)
    _COPIES.setdefault(net, (_State(net, tensors), {}))[1][dtype] = _with(net, **twins)
    return cast(N, _COPIES[net][1][dtype])


def _refused(net: N, dtype: torch.dtype) -> N:
    if dtype != torch.int8:
        return net
    why = why_not() or "these are others, or are listened to, or attention was named by hand"
    raise ConfigError(f"precision int8 is for BERT's kind of blocks, by the compiled kernels: {why}; take bf16 or fp32")


def _serves(block: nn.Module) -> bool:
    """Whether it takes its matrices as layers, and not apart, and these are no others."""
    plain = isinstance(block, Block) and type(block).look is Block.look
    layers = [m for m in block._modules.values() if isinstance(m, nn.Linear)]
    return plain and all(type(m) is nn.Linear and "weight" in m._parameters for m in layers)


def _with(module: N, **parts: nn.Module) -> N:
    """A copy with other parts, and all else shared."""
    twin = copy.copy(module)
    twin._modules = {**module._modules, **parts}
    twin.training = False
    return twin


def _packed(stack: Stack) -> nn.ModuleList:
    return nn.ModuleList(_packed_block(block) if _serves(block) else block for block in stack.blocks)


def _packed_block(block: nn.Module) -> nn.Module:
    assert isinstance(block, Block)
    twin = _with(block, **{name: _Packed(m) for name, m in block._modules.items() if isinstance(m, nn.Linear)})
    if block.spec.activation == "gelu" and not block.spec.gated:
        twin.up.after, twin.activation = "gelu", _same  # type: ignore[assignment]
    return twin


def _same(x: Tensor) -> Tensor:
    return x


class _Packed(nn.Module):
    """A linear layer for (T, D), (T, D) -> (T, E) in bfloat16."""

    after = "none"
    """The activation function behind it."""

    def __init__(self, linear: nn.Linear) -> None:
        super().__init__()
        self.weight = torch.ops.mkldnn._reorder_linear_weight(linear.weight.detach().bfloat16(), None)
        self.bias = None if linear.bias is None else linear.bias.detach().bfloat16()

    def forward(self, x_TD: Tensor) -> Tensor:
        exact = "none" if self.after == "gelu" else ""
        out: Tensor = torch.ops.mkldnn._linear_pointwise(x_TD.bfloat16(), self.weight, self.bias, self.after, [], exact)
        return out
