"""One vector of a sequence, from the states of its tokens: their mean, the first one, the greatest values.

Reimers and Gurevych 2019, section 3, https://arxiv.org/abs/1908.10084, compare the three.
"""

from __future__ import annotations

from torch import Tensor

from maskwright.errors import ConfigError, did_you_mean
from maskwright.nn.layout import Layout

__all__ = ["POOLINGS", "pool"]

POOLINGS = ("mean", "first", "max")
"""Over all tokens, special ones included; the first one is [CLS]."""


def pool(name: str, hidden_TD: Tensor, layout: Layout) -> Tensor:
    """(T, D) -> (B, D); ConfigError for a name that is not one of ``POOLINGS``."""
    match name:
        case "mean":
            return layout.mean(hidden_TD)
        case "first":
            return hidden_TD[layout.first_B]
        case "max":
            return layout.max(hidden_TD)
    raise ConfigError(f"no pooling {name!r}.{did_you_mean(name, POOLINGS)} Known: {', '.join(POOLINGS)}")
