"""Operators of our own, as ``torch.library.custom_op`` makes them, but without what that costs at start.

Its first call imports torch's compiler, which takes longer than torch itself; the parts that it is made of do not.  What
``torch.compile`` sees is the same: one node with a fake and a backward.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch

__all__ = ["Operator", "operator"]

_LIBRARY: Any = torch.library.Library("maskwright", "FRAGMENT")  # type: ignore[no-untyped-call]


class Operator:
    """A registered function of tensors that changes none of its arguments."""

    def __init__(self, name: str, function: Callable[..., Any]) -> None:
        self.name = f"maskwright::{name}"
        _LIBRARY.define(name + torch.library.infer_schema(function, mutates_args=()))
        _LIBRARY.impl(name, function, "CompositeExplicitAutograd")  # on every device
        self.function = function
        self.overload = getattr(torch.ops.maskwright, name).default
        self.__doc__ = function.__doc__

    def __call__(self, *given: Any) -> Any:
        """Compute it."""
        plain = type(given[0]) is torch.Tensor and not given[0].is_meta
        if plain and not torch.is_grad_enabled() and not torch.compiler.is_compiling():
            return self.function(
                *given
            )  # nobody has to know what it was, and the dispatcher takes longer than a small one
        return self.overload(*given)

    def register_fake(self, function: Callable[..., Any]) -> None:
        """Say what the results look like, from tensors without values."""
        torch.library.register_fake(self.name, function, lib=_LIBRARY)

    def register_autograd(self, backward: Callable[..., Any], *, setup_context: Callable[..., Any]) -> None:
        """Say how gradients come back; as ``torch.library.register_autograd``."""
        torch.library.register_autograd(self.name, backward, setup_context=setup_context, lib=_LIBRARY)


def operator(name: str) -> Callable[[Callable[..., Any]], Operator]:
    """Make a function the operator ``maskwright::name``; its types say what it takes and gives."""
    return lambda function: Operator(name, function)
