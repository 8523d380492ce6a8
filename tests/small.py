"""Small things for tests that must run without any data: documents, models, batches."""

import importlib
import inspect
from collections.abc import Iterable, Sequence
from typing import Any

import pytest
import torch

from maskwright.corpus.read import Document
from maskwright.families import FAMILIES, Net, family_of
from maskwright.families.bert import bert_spec
from maskwright.families.seq2seq import Seq2SeqNet
from maskwright.model import Model, create
from maskwright.nn.block import Beside
from maskwright.nn.layout import Grid, Layout, Ragged
from maskwright.objective import Objective
from maskwright.text.characters import CHARACTERS, CharacterTokenizer, spell
from maskwright.text.special import Frame, Place
from maskwright.text.tokenizer import Tokenizer
from maskwright.train.setup import make_objective

MODULES = (
    "argparse", "bisect", "calendar", "codecs", "collections", "contextlib", "copy", "csv", "datetime", "decimal", "difflib",
    "doctest", "enum", "fractions", "functools", "heapq", "inspect", "itertools", "json", "logging", "os", "pathlib",
    "random", "re", "shutil", "statistics", "string", "subprocess", "textwrap", "threading", "tokenize", "unittest",
)  # fmt: skip

TINY: dict[str, Any] = {"width": 32, "layers": 2, "heads": 4, "feed_forward": 64, "positions": 128}
OF_ANY = TINY | {"feed_forward": 128}
"""A size that every family can have: GPT's feed-forward width is 4·D."""


def documents() -> list[Document]:
    """One document a module: the lines of its docstrings."""
    found = []
    for name in MODULES:
        module = importlib.import_module(name)
        members = [
            module,
            *(
                member
                for _, member in sorted(vars(module).items())
                if inspect.isroutine(member) or inspect.isclass(member)
            ),
        ]
        texts = [inspect.getdoc(member) or "" for member in members]
        lines = [line.strip() for text in texts for line in text.splitlines() if line.strip()]
        found.append(Document(name, "\n".join(lines)))
    return found


def bert_frame(cls_id: int, sep_id: int) -> Frame:
    """[CLS] A [SEP], and [CLS] A [SEP] B [SEP] with B and what is behind it in segment 1."""
    cls, sep = Place(cls_id, -1, 0), Place(sep_id, -1, 0)
    single = (cls, Place(None, 0, 0), sep)
    return Frame(single, (*single, Place(None, 1, 1), Place(sep_id, -1, 1)))


def tiny_model(tokenizer: Tokenizer, carrying: Iterable[str] = (), seed: int = 0, **changes: Any) -> Model:
    """A fresh two-layer model that carries the named heads (``classify`` with three outputs); the rest changes its spec."""
    model = create(bert_spec(**{"vocabulary": tokenizer.vocab_size, **TINY, **changes}), tokenizer, seed=seed)
    torch.manual_seed(seed)
    for name in carrying:
        model.add_head(name, 3 if name == "classify" else 0)
    return model


def tiny_of(family: str, tokenizer: Tokenizer, seed: int = 0, **changes: Any) -> Model:
    """A fresh two-layer model of any family; the tokenizer of one that reads characters is a vocabulary of words."""
    given: Any = tokenizer if family_of(family).tokens == "pieces" else CharacterTokenizer(words=tokenizer)
    spec = family_of(family).new_spec(vocabulary=given.vocab_size, **{**OF_ANY, **changes})
    return create(spec, given, seed=seed)


def carrier(objectives: Iterable[Objective]) -> str:
    """The first registered family that all these objectives fit; skips where there is none."""
    for entry in FAMILIES:
        family = family_of(entry.name)
        spec = family.new_spec(vocabulary=800 if family.tokens == "pieces" else CHARACTERS, **OF_ANY)
        if not any(each.misfit(family, spec) for each in objectives):
            return entry.name
    pytest.skip("no family of this version carries it")


def of_words(names: str) -> bool:
    """Whether objectives are for a family that reads characters, and so for a corpus of words."""
    return family_of(carrier(make_objective(names, {}).members)).tokens == "characters"


def loud(net: torch.nn.Module, seed: int = 0) -> None:
    """Give every parameter, biases and norms included, a value that matters."""
    generator = torch.Generator().manual_seed(seed)
    with torch.no_grad():
        for name, parameter in net.named_parameters():
            noise = torch.randn(parameter.shape, generator=generator)
            parameter.copy_(1 + 0.2 * noise if "norm.weight" in name else 0.2 * noise)


def rectangle(
    lengths: Sequence[int], vocabulary: int, seed: int = 0
) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
    """Random (B, S) ids, mask and types: the first half of each sequence has type 0."""
    longest = max(lengths)
    ids = torch.randint(5, vocabulary, (len(lengths), longest), generator=torch.Generator().manual_seed(seed))
    places, ends = torch.arange(longest), torch.tensor(lengths)[:, None]
    mask = (places < ends).long()
    return ids * mask, mask, ((places >= ends // 2) & (places < ends)).long()


def all_states(
    net: Net, ids: torch.Tensor, positions: torch.Tensor, types: torch.Tensor, layout: Layout
) -> list[torch.Tensor]:
    """All hidden states, the output last; of a network with a decoder the encoder's, then the decoder's on the same text."""
    states: list[torch.Tensor] = net(ids, positions, types, layout)
    if isinstance(net, Seq2SeqNet):
        states = states + net.decode(net.shifted(ids, layout), positions, layout, Beside(states[-1], layout))
    return states


def as_read(net: Net, ids: torch.Tensor) -> torch.Tensor:
    """(T,) numbers as ids that the network reads: themselves, or the spelling of the words that they make."""
    if family_of(net.spec.family).tokens == "pieces":
        return ids
    return torch.from_numpy(spell([str(number) for number in ids.tolist()]))


def on_ragged(
    net: Net, ids: torch.Tensor, mask: torch.Tensor, types: torch.Tensor, extra: int = 0
) -> list[torch.Tensor]:
    """All hidden states of the real tokens, on the ragged layout, behind them ``extra`` tokens of no sequence."""
    kept = mask.bool()
    lengths = mask.sum(1).tolist()
    tail = torch.zeros(extra, dtype=torch.int64)
    positions = torch.arange(ids.shape[1]).expand_as(ids)
    flat = [torch.cat([each[kept], tail]) for each in (ids, positions, types)]
    flat[0] = as_read(net, flat[0])
    return [state[: sum(lengths)] for state in all_states(net, *flat, Ragged.of(lengths, sum(lengths) + extra))]


def on_grid(net: Net, ids: torch.Tensor, mask: torch.Tensor, types: torch.Tensor) -> list[torch.Tensor]:
    """All hidden states of the real tokens, on the grid layout."""
    positions = torch.arange(ids.shape[1]).expand_as(ids)
    states = all_states(net, ids.flatten(), positions.flatten(), types.flatten(), Grid(*ids.shape, mask.bool()))
    return [state[mask.bool().flatten()] for state in states]
