"""The serving copy gives what autocast gives, follows the weights, and leaves the network as it was."""

from __future__ import annotations

import copy

import pytest
import torch
import torch.nn.utils.prune
from nets import net_of
from torch import Tensor

from maskwright import machine, native
from maskwright.data.batch import Batch
from maskwright.errors import ConfigError
from maskwright.families import family_of
from maskwright.families.base import Net
from maskwright.nn.layout import Ragged, Read
from maskwright.nn.serving import serving

CPU = torch.device("cpu")
pytestmark = pytest.mark.skipif(
    not torch.ops.mkldnn._is_mkldnn_bf16_supported(), reason="this processor has no matrix products in bf16"
)
PACKED = ["bert", "roberta", "albert", "ernie", "electra", "distilbert", "modernbert", "gpt", "gpt2", "t5", "bart"]


def batch() -> Batch:
    lengths = [5, 1, 9, 4, 2]
    ids = torch.randint(50, (21,), generator=torch.Generator().manual_seed(0))
    positions = torch.cat([torch.arange(n) for n in lengths])
    return Batch(ids, positions, torch.zeros_like(ids), Ragged.of(lengths))


def states(net: Net, read: Read | None = None) -> Tensor:
    given = batch()
    with torch.no_grad(), machine.autocast(CPU, torch.bfloat16):
        out: Tensor = net(given.ids_T, given.positions_T, given.segments_T, given.layout, read=read)[-1]
    return out.float()


@pytest.mark.parametrize("family", PACKED)
def test_it_gives_what_autocast_gives(family: str) -> None:
    net = net_of(family)
    twin, whole = serving(net), states(net)
    assert twin is not net and twin is serving(net)
    assert torch.cosine_similarity(states(twin), whole, -1).min() > 0.999
    assert torch.equal(whole, states(net))  # the network itself is as it was


@pytest.mark.parametrize("family", ["bert", "roberta", "ernie", "electra", "distilbert"])
def test_int8_gives_about_the_same(family: str) -> None:
    if not native.here():
        pytest.skip(native.why_not())
    net = net_of(family)
    twin = serving(net, torch.int8)
    assert twin is serving(net, torch.int8) and twin is not serving(net)
    found, wanted = states(twin), states(net)
    assert torch.cosine_similarity(found, wanted, -1).min() > 0.99 and not torch.equal(found, states(serving(net)))


@pytest.mark.parametrize("family", ["albert", "modernbert", "gpt", "xlnet"])
def test_int8_is_refused_where_there_is_no_kernel_for_it(family: str) -> None:
    with pytest.raises(ConfigError, match=r"precision int8 is for BERT's kind of blocks.*take bf16 or fp32"):
        serving(net_of(family), torch.int8)


def test_narrowed_too() -> None:
    net, rows = net_of("bert"), torch.tensor([0, 6, 15])
    read = Read.of(batch().layout, [rows])
    found = states(serving(net), read)
    assert torch.cosine_similarity(found[rows], states(net)[rows], -1).min() > 0.999
    found[rows] = 0
    assert not found.any()  # the others were left out


@pytest.mark.parametrize("family", ["bert", "gpt"])
@pytest.mark.parametrize("change", ["in place", "replaced", "learnt"])
def test_it_follows_biases_and_norms_alone(family: str, change: str) -> None:
    net = net_of(family)
    before = states(serving(net))
    vectors = [p for name, p in net.stack.named_parameters() if p.dim() == 1]
    if change == "learnt":
        steps = torch.optim.AdamW(vectors, lr=0.1, fused=True)
        for p in vectors:
            p.grad = torch.randn(p.shape, generator=torch.Generator().manual_seed(1))
        steps.step()
    for p in vectors * (change != "learnt"):
        more = p.detach() + torch.rand(p.shape, generator=torch.Generator().manual_seed(2))
        p.data = more if change == "replaced" else p.data.copy_(more)
    found, wanted = states(serving(net)), states(net)
    assert not torch.allclose(before, found, atol=1e-2)
    assert torch.cosine_similarity(found, wanted, -1).min() > 0.999


def test_other_embeddings_are_seen() -> None:
    net = net_of("bert")
    before = states(serving(net))
    net.embed = copy.deepcopy(net.embed)
    with torch.no_grad():
        net.embed.token.weight.copy_(net.embed.token.weight.flip(0))
    found = states(serving(net))
    assert not torch.allclose(before, found, atol=1e-2)
    assert torch.cosine_similarity(found, states(net), -1).min() > 0.999


def test_a_network_that_is_listened_to_or_pruned_serves_itself() -> None:
    net, heard = net_of("bert"), []
    serving(net)
    hook = net.stack.blocks[1].register_forward_hook(lambda *given: heard.append(given))
    assert serving(net) is net
    with pytest.raises(ConfigError, match="are listened to"):
        serving(net, torch.int8)
    hook.remove()
    assert serving(net) is not net
    torch.nn.utils.prune.l1_unstructured(net.stack.blocks[1].up, "weight", 0.5)
    assert torch.cosine_similarity(states(serving(net)), states(net), -1).min() > 0.999
    with pytest.raises(ConfigError, match="these are others"):
        serving(net, torch.int8)


def test_without_onednn_a_network_serves_itself() -> None:
    net = net_of("bert")
    torch._C._set_mkldnn_enabled(False)  # what torch.backends.mkldnn.flags does, but for a warning of its own
    try:
        assert serving(net) is net
    finally:
        torch._C._set_mkldnn_enabled(True)
    assert serving(net) is not net


@pytest.mark.parametrize("change", ["in place", "loaded", "another tensor", "learnt"])
def test_it_follows_the_weights(change: str) -> None:
    net, other = net_of("bert"), net_of("bert")
    with torch.no_grad():
        for p in other.parameters():
            p.add_(0.01 * torch.randn(p.shape, generator=torch.Generator().manual_seed(p.numel())))
    before = states(serving(net))
    match change:
        case "in place":
            with torch.no_grad():
                for p, q in zip(net.parameters(), other.parameters(), strict=True):
                    p.copy_(q)
        case "learnt":  # by an optimiser of which torch does not say that it changes anything
            steps = torch.optim.AdamW(net.parameters(), lr=0.01, fused=True)
            for p in net.parameters():
                p.grad = torch.randn(p.shape, generator=torch.Generator().manual_seed(1))
            steps.step()
            other.load_state_dict(net.state_dict())
        case "loaded":
            net.load_state_dict(other.state_dict())
        case _:
            net.stack = copy.deepcopy(other.stack)
            net.embed = copy.deepcopy(other.embed)
    after = states(serving(net))
    assert not torch.allclose(before, after, atol=1e-3) and torch.equal(after, states(serving(other)))


def test_it_is_not_copied_or_saved_with_the_network() -> None:
    net = net_of("bert")
    names = list(net.state_dict())
    serving(net)
    assert list(net.state_dict()) == names and list(copy.deepcopy(net).state_dict()) == names


@pytest.mark.parametrize("family", ["xlnet", "elmo"])
def test_a_network_that_takes_its_matrices_apart_serves_itself(family: str) -> None:
    net = net_of(family) if family == "xlnet" else family_of(family).presets["elmo-small"].build()
    assert serving(net) is net
