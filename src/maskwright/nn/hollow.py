"""Networks without values, to be filled from a file: shapes alone, on torch's ``meta`` device.

Drawing values that nobody will read costs little there, but torch does it by a detour that imports its whole compiler, which
takes longer than torch itself and all the rest of loading a model.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any

import torch
from torch import nn
from torch.overrides import TorchFunctionMode

__all__ = ["filled", "hollow"]


class _Undrawn(TorchFunctionMode):
    """Leaves tensors as they are where ``torch.nn.init`` would draw into them."""

    def __torch_function__(
        self,
        func: Callable[..., Any],
        types: Sequence[type],
        args: Sequence[Any] = (),
        kwargs: Mapping[str, Any] | None = None,
    ) -> Any:
        given = dict(kwargs or {})
        if getattr(func, "__module__", "") == "torch.nn.init":
            return given["tensor"] if "tensor" in given else args[0]
        return func(*args, **given)


@contextmanager
def hollow() -> Iterator[None]:
    """Let modules made inside have parameters with a shape and no values."""
    with torch.device("meta"), _Undrawn():
        yield


def filled(net: nn.Module, device: torch.device | str = "cpu") -> None:
    """Give the parameters and buffers memory on a device, with whatever values it holds; the same detour is spared here."""
    net._apply(lambda t: torch.empty(t.shape, dtype=t.dtype, device=device))  # type: ignore[no-untyped-call]
