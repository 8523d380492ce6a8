"""A network gives the same numbers on every layout, whatever lies in the padding, eager or compiled."""

import shutil
from collections.abc import Callable

import pytest
import torch

from maskwright.families import Net
from maskwright.model import Model
from maskwright.nn.layout import Grid, Ragged
from small import loud, on_grid, on_ragged, rectangle

LENGTHS = (5, 12, 1, 12, 8)


@pytest.fixture
def net(tiny: Callable[..., Model]) -> Net:
    net = tiny().net.eval()
    loud(net)
    return net


def assert_close(one: list[torch.Tensor], other: list[torch.Tensor]) -> None:
    for a, b in zip(one, other, strict=True):
        assert torch.allclose(a, b, atol=1e-5)


def test_ragged_and_grid_give_the_same_states_and_gradients(net: Net) -> None:
    given = rectangle(LENGTHS, 800)
    gradients = []
    for run in (on_ragged, on_grid):
        net.zero_grad()
        states = run(net, *given)
        (states[-1] * torch.linspace(-1, 1, states[-1].shape[-1])).sum().backward()
        gradients.append(
            [*(state.detach() for state in states), *(p.grad.clone() for p in net.parameters() if p.grad is not None)]
        )
    assert len(gradients[0]) == 3 + len(list(net.parameters()))
    for a, b in zip(*gradients, strict=True):
        assert (a - b).abs().max() <= 1e-5 * max(1.0, float(b.abs().max()))


def test_garbage_in_padded_places_changes_nothing(net: Net) -> None:
    ids, mask, types = rectangle(LENGTHS, 800)
    garbage = torch.randint(0, 800, ids.shape)
    expected = on_grid(net, ids, mask, types)
    dirty = torch.where(mask.bool(), ids, garbage)
    for a, b in zip(on_grid(net, dirty, mask, torch.where(mask.bool(), types, 1)), expected, strict=True):
        assert torch.equal(a, b)


def test_tokens_of_no_sequence_change_nothing(net: Net) -> None:
    given = rectangle(LENGTHS, 800)
    for a, b in zip(on_ragged(net, *given, extra=13), on_ragged(net, *given), strict=True):
        assert torch.allclose(a, b, atol=1e-6)


def test_a_sequence_is_the_same_alone_and_among_others(net: Net) -> None:
    ids, mask, types = rectangle(LENGTHS, 800)
    among = on_ragged(net, ids, mask, types)[-1].split(list(LENGTHS))
    for number, length in enumerate(LENGTHS):
        alone = on_ragged(net, *(each[number : number + 1, :length] for each in (ids, mask, types)))[-1]
        assert torch.allclose(alone, among[number], atol=1e-5)


def _calls(net: Net) -> dict[str, tuple]:
    ids, mask, types = rectangle(LENGTHS, 800)
    kept, places = mask.bool(), torch.arange(ids.shape[1]).expand_as(ids)
    return {
        "ragged": (*(each[kept] for each in (ids, places, types)), Ragged.of(list(LENGTHS))),
        "grid": (*(each.flatten() for each in (ids, places, types)), Grid(*ids.shape, kept)),
    }


@pytest.mark.parametrize("layout", ["ragged", "grid"])
def test_compiled_whole_the_network_gives_the_eager_numbers(net: Net, layout: str) -> None:
    torch.compiler.reset()
    given = _calls(net)[layout]
    with torch.no_grad():
        compiled = torch.compile(net, fullgraph=True, backend="aot_eager")(*given)
        assert_close(compiled, net(*given))


@pytest.mark.skipif(shutil.which("g++") is None, reason="inductor needs a C++ compiler")
@pytest.mark.filterwarnings("ignore:.torch.jit:DeprecationWarning")  # inside torch itself
def test_compiled_by_inductor_the_network_gives_the_eager_numbers(tiny: Callable[..., Model]) -> None:
    torch.compiler.reset()
    net = tiny(layers=1).net.eval()
    given = _calls(net)["ragged"]
    with torch.no_grad():
        assert_close(torch.compile(net, fullgraph=True)(*given), net(*given))


def test_ragged_names_its_rows() -> None:
    layout = Ragged.of([2, 3], total=7)
    assert layout.cu.tolist() == [0, 2, 5] and layout.cu.dtype == torch.int32
    assert layout.row.tolist() == [0, 0, 1, 1, 1, 2, 2]
    assert (layout.longest, layout.batch, layout.first_B.tolist()) == (3, 2, [0, 2])
    assert Grid(3, 4).first_B.tolist() == [0, 4, 8]


def test_the_last_token_is_in_front_of_the_padding_and_behind_it_where_padding_is_on_the_left() -> None:
    assert Ragged.of([2, 3], total=7).last_B.tolist() == [1, 4]
    assert Grid(3, 4).last_B.tolist() == [3, 7, 11]
    mask = torch.tensor([[1, 1, 0, 0], [0, 0, 1, 1], [1, 1, 1, 1]]).bool()
    assert Grid(3, 4, mask).last_B.tolist() == [1, 7, 11]


def test_a_ragged_layout_is_a_rectangle_with_a_place_for_every_token() -> None:
    grid, places = Ragged.of([2, 3], total=9).on_grid()
    assert (grid.batch, grid.length) == (2, 3) and grid.key_mask is not None
    assert grid.key_mask.tolist() == [[True, True, False], [True, True, True]]
    assert places.tolist() == [0, 1, 3, 4, 5, 6, 6, 6, 6]
