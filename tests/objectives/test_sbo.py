"""The span-boundary objective reads the two tokens beside a span, and nothing in it."""

from collections.abc import Callable
from dataclasses import replace

import numpy as np
import pytest
import torch
import torch.nn.functional as F

from framed import framed
from maskwright.config import PretrainConfig
from maskwright.data.batch import IGNORED, Batch, Collator, Sample
from maskwright.errors import ConfigError
from maskwright.keys import Key
from maskwright.model import Model
from maskwright.objective import Pass
from maskwright.objectives.mlm import HideTokens, MlmConfig
from maskwright.objectives.sbo import AskBoundaries, Sbo, SboConfig, boundaries
from maskwright.train.setup import make_objective

CLS, SEP, MASK = 2, 3, 4


def text(count: int, number: int = 0) -> Sample:
    ids = np.random.default_rng(number).integers(10, 200, count)
    return framed([(ids, np.ones(count, bool))], CLS, SEP, number)


@pytest.fixture
def made(tiny: Callable[..., Model]) -> tuple[Sbo, Model, Batch]:
    objective = Sbo(SboConfig())
    model = tiny(["mlm"]).eval()
    objective.prepare(model)
    samples = [text(40, number) for number in range(6)]
    batch = Collator((objective.stage(model),), model.tokenizer.pad_id)(samples, Key(1))
    return objective, model, batch


def test_boundaries_are_those_of_each_stretch() -> None:
    before, behind, place = boundaries(torch.tensor([3, 4, 5, 9, 12, 13]))
    assert before.tolist() == [2, 2, 2, 8, 11, 11]
    assert behind.tolist() == [6, 6, 6, 10, 14, 14]
    assert place.tolist() == [0, 1, 2, 0, 0, 1]
    assert all(len(part) == 0 for part in boundaries(torch.tensor([], dtype=torch.int64)))


def test_every_hidden_token_is_asked_twice(made: tuple[Sbo, Model, Batch]) -> None:
    objective, model, batch = made
    mlm, sbo = batch.targets["mlm"], batch.targets["sbo"]
    assert sbo.count == mlm.count > 30
    assert torch.equal(mlm.rows, sbo.rows) and torch.equal(mlm.labels, sbo.labels)
    loss = objective(Pass(model, batch))
    assert loss.keys() == {"mlm", "sbo"} == set(objective.parts)
    assert loss["sbo"].count == sbo.count


def test_a_stretch_without_a_token_on_both_sides_is_not_asked_for() -> None:
    bare = text(12)
    bare = replace(bare, special=np.zeros(14, bool))  # as where a frame has no special piece at an end
    hide = HideTokens(MlmConfig(unit="token", rate=0.5), MASK, np.arange(10, 20))
    edges = 0
    for epoch in range(40):
        sample = AskBoundaries(hide)(bare, Key(0, epoch))
        asked, hidden = set(sample.targets["sbo"][0].tolist()), set(sample.targets["mlm"][0].tolist())
        seen = sorted(set(range(14)) - hidden)
        assert asked == {place for place in hidden if seen[0] < place < seen[-1]}
        edges += len(hidden) - len(asked)
    assert edges > 20
    every = AskBoundaries(HideTokens(MlmConfig(rate=0.999), MASK, np.arange(10, 20)))(bare, Key(0))
    assert len(every.targets["mlm"][0]) == 14 and len(every.targets["sbo"][0]) == 0


def test_the_loss_is_that_of_the_formula(made: tuple[Sbo, Model, Batch]) -> None:
    objective, model, batch = made
    assert objective.boundary is not None
    run = Pass(model, batch)
    f, table, total = objective.boundary, model.net.embed.token.weight, 0.0
    rows = batch.targets["mlm"].rows[: batch.targets["mlm"].count].tolist()
    labels = batch.targets["mlm"].labels.tolist()
    with torch.no_grad():
        for row, label in zip(rows, labels, strict=False):
            begin, end = row, row
            while begin - 1 in rows:
                begin -= 1
            while end + 1 in rows:
                end += 1
            x = torch.cat([run.hidden_TD[begin - 1], run.hidden_TD[end + 1], f.place.weight[row - begin]])
            x = F.layer_norm(F.gelu(f.first(x)), (32,), f.first_norm.weight, f.first_norm.bias, 1e-12)
            x = F.layer_norm(F.gelu(f.second(x)), (32,), f.second_norm.weight, f.second_norm.bias, 1e-12)
            total += float(F.cross_entropy(table @ x + f.bias, torch.tensor(label)))
    assert float(objective(run)["sbo"].sum.detach()) == pytest.approx(total, rel=1e-5)
    assert IGNORED not in labels[: len(rows)]


def test_nothing_inside_a_span_is_read(made: tuple[Sbo, Model, Batch]) -> None:
    objective, model, batch = made
    run = Pass(model, batch)
    hidden = run.hidden_TD.detach().clone().requires_grad_()
    run.__dict__["hidden_TD"] = hidden
    objective(run)["sbo"].sum.backward()
    assert hidden.grad is not None
    reads = hidden.grad.abs().sum(-1) > 0
    inside = torch.zeros_like(reads)
    inside[batch.targets["sbo"].rows[: batch.targets["sbo"].count]] = True
    assert reads.any() and not (reads & inside).any()


def test_the_head_stays_out_of_the_models_folder_and_spans_are_the_default(made: tuple[Sbo, Model, Batch]) -> None:
    objective, model, _ = made
    assert set(model.net.heads) == {"mlm"}
    assert objective.config.mlm.unit == "span"
    assert Sbo(SboConfig.of({"mlm": {"rate": 0.2}})).config.mlm == MlmConfig(unit="span", rate=0.2)
    assert Sbo(SboConfig.of({"mlm": {"unit": "word"}})).config.mlm.unit == "word"
    with pytest.raises(ConfigError, match=r"objective\.mlm\.gazetteer"):
        make_objective("sbo", {"sbo": {"mlm": {"unit": "entity"}}})
    given = PretrainConfig.of(
        {"corpus": "c", "out": "o", "objectives": "sbo", "objective": {"sbo": {"mlm": {"p": 0.3}}}}
    )
    assert make_objective("sbo", given.objective).members[0].config.mlm.p == 0.3  # type: ignore[attr-defined]
