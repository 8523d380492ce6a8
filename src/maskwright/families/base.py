"""What a family is: a spec, the network it describes, its heads, and how its weights are called elsewhere.

A family is data.  ``Spec`` is the checkpoint's identity (no run-time choice in it) and predicts the parameter count in
closed form; ``KeyRow`` pairs one of our tensors with one or several of theirs, and is read in both directions.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

from torch import Tensor, nn

from maskwright.nn.embed import Embed, EmbedSpec
from maskwright.nn.layout import Layout
from maskwright.nn.stack import Stack, StackSpec

__all__ = ["Family", "HeadKind", "KeyRow", "Net", "Spec"]


@dataclass(frozen=True, kw_only=True)
class Spec:
    """An architecture, completely: two equal specs build networks of the same tensors."""

    family: str
    embed: EmbedSpec
    stack: StackSpec
    initializer_range: float = 0.02
    """Standard deviation of the normal distribution that weights start from; biases start at zero, norms at one."""

    @property
    def width(self) -> int:
        """D."""
        return self.embed.width

    @property
    def vocabulary(self) -> int:
        """V."""
        return self.embed.vocabulary

    @property
    def longest(self) -> int:
        """Tokens in the longest sequence that has positions."""
        return self.embed.positions

    def parameters(self) -> dict[str, tuple[str, int]]:
        """Part -> (closed form, count), without heads."""
        return self.embed.parameters() | self.stack.parameters()


@dataclass(frozen=True)
class KeyRow:
    """One tensor of ours and the tensors elsewhere that it is made of, joined along their first dimension.

    ``{layer}`` stands for each layer's number.
    """

    ours: str
    theirs: tuple[str, ...]


@dataclass(frozen=True)
class HeadKind:
    """A head that a family can carry."""

    build: Callable[[Net, int], nn.Module]
    """(network, outputs) -> module; ``outputs`` matters to classification only."""
    parameters: Callable[[Spec, int], dict[str, tuple[str, int]]]
    """(spec, outputs) -> part -> (closed form, count)."""
    keys: tuple[KeyRow, ...]


@dataclass(frozen=True)
class Family:
    """An architecture's name, how to read and write its configuration, and how its tensors are called."""

    name: str
    model_type: str
    """``model_type`` in config.json."""
    paper: str
    read_config: Callable[[Mapping[str, Any]], Spec]
    write_config: Callable[[Spec], dict[str, Any]]
    new_spec: Callable[..., Spec]
    """Spec of a new encoder from vocabulary, width, layers, heads, feed_forward, positions and dropouts."""
    presets: Mapping[str, Spec]
    """Published sizes by name."""
    keys: tuple[KeyRow, ...]
    heads: Mapping[str, HeadKind]
    architectures: Mapping[str, frozenset[str]]
    """Hugging Face class -> the heads that it has; a folder claims a class only when its heads are these."""
    base: str
    """The class without task heads, whose names bear no prefix."""
    prefix: str
    """What stands before the base network's names in classes with heads."""
    tied: Mapping[str, str] = field(default_factory=dict)
    """A second name that files may hold for a tensor -> the first name; the two must be equal."""
    ignorable: tuple[str, ...] = ()
    """Tensors of older files that carry no weights."""
    renames: Mapping[str, str] = field(default_factory=dict)
    """Endings of older files -> today's."""

    def parameters(self, spec: Spec, heads: Mapping[str, int]) -> dict[str, tuple[str, int]]:
        """Part -> (closed form, count), with the given heads (name -> outputs)."""
        parts = dict(spec.parameters())
        for name, outputs in heads.items():
            parts |= self.heads[name].parameters(spec, outputs)
        return parts


class Net(nn.Module):
    """The network that a spec describes, with the heads added to it."""

    def __init__(self, spec: Spec) -> None:
        super().__init__()
        self.spec = spec
        self.embed = Embed(spec.embed)
        self.stack = Stack(spec.stack)
        self.heads = nn.ModuleDict()

    def forward(self, ids_T: Tensor, positions_T: Tensor, segments_T: Tensor, layout: Layout) -> list[Tensor]:
        """Three (T,) int64 tensors and their layout -> layers + 1 hidden states of (T, D); the last is the output."""
        states: list[Tensor] = self.stack(self.embed(ids_T, positions_T, segments_T), layout)
        return states

    def head_outputs(self) -> dict[str, int]:
        """Return head -> outputs of its last layer (0 for a head without a layer called ``score``)."""
        shapes = {name: parameter.shape for name, parameter in self.named_parameters()}
        return {name: shapes.get(f"heads.{name}.score.bias", (0,))[0] for name in self.heads}

    def initialise(self, module: nn.Module | None = None) -> None:
        """Give fresh weights to one part, or to the whole: N(0, initializer_range), biases 0, LayerNorm 1 and 0."""
        for part in (self if module is None else module).modules():
            if isinstance(part, nn.Linear | nn.Embedding):
                nn.init.normal_(part.weight, std=self.spec.initializer_range)
            if isinstance(part, nn.Linear):
                nn.init.zeros_(part.bias)
            if isinstance(part, nn.LayerNorm):
                nn.init.ones_(part.weight)
                nn.init.zeros_(part.bias)
