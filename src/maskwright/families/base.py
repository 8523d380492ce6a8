"""What a family is: a spec, the network it describes, its heads, and how its weights are called elsewhere.

A family is data.  ``Spec`` is the checkpoint's identity (no run-time choice in it) and predicts the parameter count in
closed form; ``KeyRow`` pairs one of our tensors with one or several of theirs, and is read in both directions.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import partial
from itertools import chain
from typing import Any, Literal

from torch import Tensor, nn

from maskwright.nn.block import Block
from maskwright.nn.embed import EmbedSpec
from maskwright.nn.layout import Layout, Read
from maskwright.nn.past import Past
from maskwright.nn.stack import StackSpec

__all__ = ["Family", "HeadKind", "KeyRow", "Net", "Spec", "Theirs", "written_out"]


@dataclass(frozen=True, kw_only=True)
class Spec:
    """An architecture, completely: two equal specs build networks of the same tensors."""

    family: str
    embed: EmbedSpec
    stack: StackSpec
    initializer_range: float = 0.02
    """Standard deviation of the normal distribution that weights start from; biases start at zero, norms at one."""
    head_dropout: float | None = None
    """Of what the classification heads read; None: as much as in the blocks."""

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

    def flops(self, length: int) -> int:
        """Floating-point operations a token in the forward pass without heads, in sequences of so many tokens."""
        widen = self.embed.width * self.embed.narrow if self.embed.narrow else 0
        return 2 * (widen + self.stack.multiplications(length))

    def places(self, name: str) -> Sequence[dict[str, int]]:
        """One mapping a block that a tensor of that name is in: the numbers that its name is made of."""
        return self.stack.places

    def build(self) -> Net:
        """Return the network that this describes."""
        return Net(self)


@dataclass(frozen=True)
class Theirs:
    """The tensors elsewhere that one of ours is made of."""

    names: tuple[str, ...]
    view: Callable[[Tensor], Tensor]
    """From a part of ours to what is stored under its name: the same memory, seen in their shape."""


@dataclass(frozen=True)
class KeyRow:
    """One tensor of ours and the tensors elsewhere that it is made of, joined along the first dimension of ours.

    ``{layer}`` stands for each layer's number, and for what else ``StackSpec.places`` names.
    """

    ours: str
    theirs: tuple[str, ...]
    first: int = 0
    """The first layer that has this tensor."""
    there: Callable[[Spec], bool] = lambda spec: True
    """Whether a network of that spec has it."""
    view: Callable[[Spec, Tensor], Tensor] = lambda spec, part: part
    """How a part of ours lies in their files, where it does so turned or in other dimensions; must share its memory."""

    def written_out(self, spec: Spec) -> dict[str, Theirs]:
        """Our name -> theirs, once a layer where the row has layers."""
        if not self.there(spec):
            return {}
        places = spec.places(self.ours)[self.first :] if "{layer}" in self.ours else [{}]
        view = partial(self.view, spec)
        return {self.ours.format(**at): Theirs(tuple(name.format(**at) for name in self.theirs), view) for at in places}


def written_out(rows: Iterable[KeyRow], spec: Spec) -> dict[str, Theirs]:
    """Return our name -> theirs over all rows."""
    return dict(chain.from_iterable(row.written_out(spec).items() for row in rows))


@dataclass(frozen=True)
class HeadKind:
    """A head that a family can carry."""

    build: Callable[[Net, int], nn.Module]
    """(network, outputs) -> module; ``outputs`` matters to heads of as many scores as there are labels only."""
    parameters: Callable[[Spec, int], dict[str, tuple[str, int]]]
    """(spec, outputs) -> part -> (closed form, count)."""
    keys: tuple[KeyRow, ...]
    """The last row's tensor is as long as the head's output is wide.  No rows where all that it has is shared."""
    needs: tuple[str, ...] = ()
    """Other heads that must be there with it, beside the pooler where it reads that."""


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
    published: Mapping[str, str]
    """Size -> the number of parameters that its authors give, and why ours may differ."""
    keys: tuple[KeyRow, ...]
    heads: Mapping[str, HeadKind]
    architectures: Mapping[str, frozenset[str]]
    """Hugging Face class -> the heads that it has; a folder claims a class only when its heads are these."""
    base: str
    """The class without task heads, whose names bear no prefix."""
    prefix: str
    """What stands before the base network's names in classes with heads."""
    bare: frozenset[str] = frozenset()
    """Classes with heads that do without the prefix, too."""
    tied: Mapping[str, str] = field(default_factory=dict)
    """A second name that files may hold for a tensor -> the first name; the two must be equal."""
    ignorable: tuple[str, ...] = ()
    """Tensors of older files that carry no weights; ``{layer}`` as in a key table."""
    renames: Mapping[str, str] = field(default_factory=dict)
    """Endings of older files -> today's."""
    known: frozenset[str] = frozenset()
    """Fields of config.json that are understood and not written: checked when read, or without effect on what is computed."""
    layouts: frozenset[str] = frozenset({"ragged", "grid"})
    """Which layouts the network computes on; another one is refused."""
    fit_roles: Callable[[Spec, Mapping[str, int]], Spec] = lambda spec, roles: spec
    """(spec of a new model, its tokenizer's special pieces) -> the spec, where it depends on their ids."""
    compiles: bool = True
    """Whether ``torch.compile(fullgraph=True)`` takes the network."""
    tokens: Literal["pieces", "characters"] = "pieces"
    """What a token is to the network: the id of a piece, (T,), or the ids of a word's characters, (T, C)."""

    @property
    def kinds(self) -> Mapping[str, HeadKind]:
        """Every head that a network of this family can carry: its own, and those that any family can."""
        from maskwright.families.heads import POOLED

        return {**self.heads, **POOLED}

    def parameters(self, spec: Spec, heads: Mapping[str, int]) -> dict[str, tuple[str, int]]:
        """Part -> (closed form, count), with the given heads (name -> outputs)."""
        parts = dict(spec.parameters())
        for name, outputs in heads.items():
            parts |= self.kinds[name].parameters(spec, outputs)
        return parts


class Net(nn.Module):
    """The network that a spec describes, with the heads added to it."""

    def __init__(self, spec: Spec) -> None:
        super().__init__()
        self.spec = spec
        self.embed = spec.embed.build()
        self.stack = spec.stack.build()
        self.heads = nn.ModuleDict()

    def forward(
        self,
        ids_T: Tensor,
        positions_T: Tensor,
        segments_T: Tensor,
        layout: Layout,
        past: Past | None = None,
        read: Read | None = None,
    ) -> list[Tensor]:
        """Three (T,) int64 tensors and their layout -> layers + 1 hidden states of (T, D); the last is the output.

        past: what a causal network kept of the tokens before these; it is added to.  read: the tokens whose output is asked
        for, which may be all that it holds; on a ragged layout.
        """
        x_TD = self.embed(ids_T, positions_T, segments_T)
        states: list[Tensor] = self.stack(x_TD, positions_T, layout, past=past, read=read)
        if past is not None:
            past.read(layout)
        return states

    @property
    def narrows(self) -> bool:
        """Whether the last layer can leave out tokens that nobody asks for."""
        last = self.stack.blocks[self.stack.order[-1]]
        return type(self).forward is Net.forward and isinstance(last, Block) and last.narrows

    def head_outputs(self) -> dict[str, int]:
        """Return head -> outputs of its last layer (0 for a head without a layer called ``score``)."""
        shapes = {name: parameter.shape for name, parameter in self.named_parameters()}
        return {name: shapes.get(f"heads.{name}.score.weight", (0,))[0] for name in self.heads}

    def initialise(self, module: nn.Module | None = None) -> None:
        """Give fresh weights to one part, or to the whole: N(0, initializer_range), biases 0, LayerNorm 1 and 0."""
        for part in (self if module is None else module).modules():
            if isinstance(part, nn.Linear | nn.Embedding):
                nn.init.normal_(part.weight, std=self.spec.initializer_range)
            if isinstance(part, nn.LayerNorm):
                nn.init.ones_(part.weight)
            if isinstance(part, nn.Linear | nn.LayerNorm) and part.bias is not None:
                nn.init.zeros_(part.bias)
