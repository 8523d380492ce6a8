"""Optimisers by name, rates that fall with depth, the average of the weights, and nothing ignored in silence."""

import math

import pytest
import torch
from torch import nn

from maskwright.config import TrainConfig
from maskwright.errors import ConfigError
from maskwright.families import family_of
from maskwright.train.average import Average
from maskwright.train.optim import learning_rate, make_optimizer


def made(**train: object) -> TrainConfig:
    return TrainConfig.of({"steps": 1, "tokens": 64, **train})


@pytest.fixture
def net() -> nn.Module:
    spec = family_of("bert").new_spec(
        vocabulary=50, width=16, layers=3, heads=2, feed_forward=32, positions=16, dropout=0.0, attention_dropout=0.0
    )
    network = spec.build()
    network.initialise()
    return nn.ModuleDict({"model": nn.ModuleDict({"net": network}), "objective": nn.Linear(2, 2)})


@pytest.mark.parametrize(
    "name", ["AdamW", "Adam", "SGD", "NAdam", "RAdam", "Adagrad", "Adadelta", "Adafactor", "RMSprop", "Adamax"]
)
def test_an_optimiser_of_torch_is_taken_by_its_name_and_moves_the_weights(net: nn.Module, name: str) -> None:
    optimizer = make_optimizer(net, made(optimizer=name))
    assert type(optimizer).__name__ == name
    before = [p.detach().clone() for p in net.parameters()]
    for p in net.parameters():
        p.grad = torch.ones_like(p)
    optimizer.step()
    assert all(not torch.equal(p, old) for p, old in zip(net.parameters(), before, strict=True))


def test_matrices_are_decayed_and_vectors_are_not(net: nn.Module) -> None:
    groups = make_optimizer(net, made(weight_decay=0.3)).param_groups
    assert {(group["weight_decay"], p.dim() > 1) for group in groups for p in group["params"]} == {
        (0.3, True),
        (0.0, False),
    }
    assert sum(len(group["params"]) for group in groups) == len(list(net.parameters()))


def test_layer_decay_gives_each_block_its_share_of_the_one_above(net: nn.Module) -> None:
    optimizer = make_optimizer(net, made(layer_decay=0.5))
    shares = {id(p): group["share"] for group in optimizer.param_groups for p in group["params"]}
    for name, p in net.named_parameters():
        height = next(
            (int(name.split("blocks.")[1][0]) + 1 for _ in [0] if "blocks." in name), 0 if "embed" in name else 4
        )
        assert shares[id(p)] == 0.5 ** (4 - height), name


@pytest.mark.parametrize(
    ("train", "message"),
    [
        ({"optimizer": "AdmW"}, r"'AdmW' is none of torch.optim's. Did you mean 'Adam"),
        ({"optimizer": "LBFGS"}, "none of torch.optim's"),
        ({"optimizer": "Optimizer"}, "none of torch.optim's"),
        ({"optimizer": "SGD", "beta2": 0.98}, "train.beta2: SGD has no betas; leave it out"),
        ({"optimizer": "SGD", "optimizer_options": {"momentun": 0.9}}, "torch refuses these settings.*momentun"),
        ({"optimizer": "AdamW", "optimizer_options": {"foreach": True}}, "torch refuses these settings"),
    ],
)
def test_what_cannot_be_is_refused_and_nothing_is_ignored(net: nn.Module, train: dict, message: str) -> None:
    with pytest.raises((ConfigError), match=message):
        make_optimizer(net, made(**train))


def test_options_reach_the_optimiser(net: nn.Module) -> None:
    optimizer = make_optimizer(net, made(optimizer="SGD", optimizer_options={"momentum": 0.9}))
    assert optimizer.defaults["momentum"] == 0.9


def test_the_average_follows_the_weights_as_its_formula_says() -> None:
    p = nn.Parameter(torch.tensor([1.0, 2.0]))
    average = Average([p], 0.5)
    expected = p.detach().clone()
    for step in range(30):
        p.data += 1
        average.take(step)
        decay = min(0.5, (1 + step) / (10 + step))
        expected = decay * expected + (1 - decay) * p.detach()
    torch.testing.assert_close(average.state()["0"], expected)
    kept = p.detach().clone()
    with average.in_place():
        torch.testing.assert_close(p.detach(), expected)
    assert torch.equal(p.detach(), kept)


def test_the_rate_rises_and_falls() -> None:
    rates = [learning_rate(made(lr=1.0, warmup=0.2), step, 10) for step in range(11)]
    assert rates == pytest.approx([0, 0.5, *(1 - k / 8 for k in range(9))])
    assert learning_rate(made(lr=1.0, warmup=0.0, schedule="cosine"), 5, 10) == pytest.approx(0.5)
    assert math.isclose(learning_rate(made(lr=1.0, schedule="constant"), 9, 10), 1.0)
