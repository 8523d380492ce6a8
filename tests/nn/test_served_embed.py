"""Embeddings in one kernel: what the tables say, refused where torch refuses, and following the tables."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor

from maskwright import machine, native
from maskwright.nn.embed import Embed, EmbedSpec
from maskwright.nn.served_embed import ServedEmbed, serves_embed

pytestmark = pytest.mark.skipif(not native.here(), reason=native.why_not() or "there are kernels")


def embed_of(**given: object) -> Embed:
    sizes = {"vocabulary": 30, "width": 48, "positions": 400, "segments": 2}
    with machine.seeded(0):
        embed = EmbedSpec(**{**sizes, **given}).build()  # type: ignore[arg-type]
        for each in embed.parameters():
            torch.nn.init.normal_(each)
    return embed.eval()


def numbers(tokens: int) -> tuple[Tensor, Tensor, Tensor]:
    draw = torch.Generator().manual_seed(0)
    return torch.randint(30, (tokens,), generator=draw), torch.arange(tokens), torch.arange(tokens) % 2


@pytest.mark.parametrize("tokens", [1, 28, 390])
@pytest.mark.parametrize("given", [{}, {"offset": 2}, {"segments": 0}, {"segments": 1}, {"position": "none"}])
@torch.no_grad()
def test_it_gives_what_the_tables_give(tokens: int, given: dict[str, object]) -> None:
    embed = embed_of(**given)
    assert serves_embed(embed)
    assert torch.allclose(ServedEmbed(embed)(*numbers(tokens)), embed(*numbers(tokens)), atol=2e-5)


@torch.no_grad()
def test_it_follows_the_tables() -> None:
    embed = embed_of()
    served = ServedEmbed(embed)
    served(*numbers(9))
    embed.position.weight.mul_(2)  # type: ignore[union-attr]
    embed.norm.bias.add_(1)
    embed.token.weight = torch.nn.Parameter(embed.token.weight * 3)
    assert torch.allclose(served(*numbers(9)), embed(*numbers(9)), atol=2e-5)


@torch.no_grad()
def test_tables_of_another_type_or_size_go_through_torch() -> None:
    embed = embed_of()
    served, (ids, positions, segments) = ServedEmbed(embed), numbers(9)
    embed.token.weight = torch.nn.Parameter(embed.token.weight[:20].t().contiguous().t())
    ids = ids % 20
    assert torch.equal(served(ids, positions, segments), embed(ids, positions, segments))
    with pytest.raises(IndexError, match="out of range"):
        served(ids + 15, positions, segments)
    embed.bfloat16()
    assert torch.equal(served(ids, positions, segments), embed(ids, positions, segments))


@pytest.mark.parametrize(("part", "number"), [(0, 30), (0, -1), (1, 400), (2, 2), (2, -3)])
@torch.no_grad()
def test_a_number_that_is_no_row_is_refused_as_torch_refuses_it(part: int, number: int) -> None:
    given = numbers(5)
    given[part][3] = number
    with pytest.raises(IndexError, match="out of range"):
        ServedEmbed(embed_of())(*given)


@pytest.mark.parametrize(
    "given", [{"scaled": True}, {"position": "sinusoid"}, {"narrow": 16}, {"bias": False}, {"norm": False}]
)
def test_other_embeddings_are_not_taken(given: dict[str, object]) -> None:
    assert not serves_embed(embed_of(**given))


def test_nor_are_tables_of_another_width() -> None:
    assert not serves_embed(embed_of(width=40))
