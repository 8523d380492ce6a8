"""One optimiser step: the same gradient however it is cut, the formulas of the update, and what is not finite."""

import math
from collections.abc import Callable

import numpy as np
import pytest
import torch

from maskwright.config import TrainConfig
from maskwright.corpus.store import Corpus
from maskwright.data.batch import Batch, Collator
from maskwright.data.pairs import NextPairs
from maskwright.data.plan import Budget, Plan
from maskwright.data.source import CorpusSource
from maskwright.errors import TrainingError
from maskwright.keys import Key
from maskwright.model import Model
from maskwright.objective import Together
from maskwright.train.optim import learning_rate, make_optimizer
from maskwright.train.setup import make_objective
from maskwright.train.step import backward, update

QUIET = {"dropout": 0.0, "attention_dropout": 0.0}


@pytest.fixture
def objective() -> Together:
    return make_objective("mlm,nsp", {})


@pytest.fixture
def pairs(small_corpus: Corpus) -> tuple[CorpusSource, Plan]:
    tokenizer = small_corpus.tokenizer()
    documents = np.arange(small_corpus.documents)
    source = CorpusSource(small_corpus.tokens(), documents, NextPairs(64), tokenizer.frame, "")
    return source, source.plan(Budget(examples=24), Key(0))


@pytest.fixture
def cut(pairs: tuple, objective: Together) -> Callable[[Model, int], list[Batch]]:
    """The first step's batches, cut in a number of pieces."""

    def batches(model: Model, pieces: int) -> list[Batch]:
        source, plan = pairs
        collate = Collator(objective.stages(model), model.tokenizer.pad_id)
        parts = np.array_split(plan.examples(0), pieces)
        return [collate([source.sample(plan, int(n)) for n in part], Key(0)) for part in parts]

    return batches


def gradients(model: Model, objective: Together, batches: list[Batch]) -> dict[str, torch.Tensor]:
    model.zero_grad()
    backward(model, objective, batches, seed=0, step=0, dtype=torch.float32)
    return {name: p.grad.clone() for name, p in model.named_parameters() if p.grad is not None}


def prepared(tiny: Callable[..., Model], **changes: float) -> Model:
    return tiny(("pooler", "mlm", "nsp"), initializer_range=0.2, **{**QUIET, **changes}).train()


@pytest.mark.parametrize("pieces", [2, 4, 24])
def test_a_step_cut_in_micro_batches_has_the_same_gradient(
    tiny: Callable[..., Model], cut: Callable, objective: Together, pieces: int
) -> None:
    model = prepared(tiny)
    whole, parts = (gradients(model, objective, cut(model, number)) for number in (1, pieces))
    assert whole.keys() == parts.keys() == {name for name, _ in model.named_parameters()}
    for name, gradient in whole.items():
        assert (gradient - parts[name]).abs().max() <= 1e-6 * max(1.0, float(gradient.abs().max())), name


def test_a_loss_is_divided_by_the_targets_of_the_whole_step(
    tiny: Callable[..., Model], cut: Callable, objective: Together
) -> None:
    model = prepared(tiny)
    (batch,), parts = cut(model, 1), cut(model, 3)
    model.zero_grad()
    whole = backward(model, objective, [batch], seed=0, step=0, dtype=torch.float32)
    pieces = backward(model, objective, parts, seed=0, step=0, dtype=torch.float32)
    assert whole.counts == pieces.counts == {"mlm": batch.targets["mlm"].count, "nsp": 24}
    assert pieces.loss == pytest.approx(whole.loss, rel=1e-6)
    assert whole.loss == pytest.approx(whole.parts["mlm"] + whole.parts["nsp"])
    # At the start every piece and both answers are about as likely.
    fresh = tiny(("pooler", "mlm", "nsp"), **QUIET)
    taken = backward(fresh, objective, [batch], seed=0, step=0, dtype=torch.float32)
    assert taken.parts["mlm"] == pytest.approx(math.log(fresh.tokenizer.vocab_size), rel=0.05)
    assert taken.parts["nsp"] == pytest.approx(math.log(2), rel=0.05)


def test_dropout_of_a_step_depends_on_seed_and_step_only(
    tiny: Callable[..., Model], cut: Callable, objective: Together
) -> None:
    model = prepared(tiny, dropout=0.1, attention_dropout=0.1)
    batches = cut(model, 2)
    losses = []
    for seed, step in ((0, 5), (0, 5), (0, 6), (1, 5)):
        torch.manual_seed(len(losses))
        losses.append(backward(model, objective, batches, seed=seed, step=step, dtype=torch.float32).loss)
    assert losses[0] == losses[1]
    assert len(set(losses)) == 3


def test_a_loss_that_is_not_finite_stops_before_the_update_and_names_the_examples(
    tiny: Callable[..., Model], cut: Callable, objective: Together
) -> None:
    model = prepared(tiny)
    batches = cut(model, 1)
    with torch.no_grad():
        model.net.heads["mlm"].bias[7] = math.nan
    with pytest.raises(
        TrainingError, match=r"step 3: the mlm loss is nan, on examples \d+(, \d+)* and \d+ more"
    ) as error:
        backward(model, objective, batches, seed=0, step=3, dtype=torch.float32)
    assert str(batches[0].examples[0]) in str(error.value)


def test_a_gradient_that_is_not_finite_stops_before_the_update(
    tiny: Callable[..., Model], cut: Callable, objective: Together
) -> None:
    model = prepared(tiny)
    parameters = list(model.parameters())
    optimizer = make_optimizer(model, TrainConfig())
    batches = cut(model, 1)
    backward(model, objective, batches, seed=0, step=0, dtype=torch.float32)
    parameters[3].grad[0] = math.inf
    before = [p.detach().clone() for p in parameters]
    with pytest.raises(TrainingError, match=r"step 9: the gradient's norm is (inf|nan), on examples"):
        update(parameters, optimizer, batches, lr=1.0, clip=1.0, step=9)
    assert all(torch.equal(a, b) for a, b in zip(before, parameters, strict=True))
    assert not optimizer.state


def test_gradients_are_clipped_to_the_norm_and_small_ones_left_alone() -> None:
    for length, clip in ((10.0, 1.0), (0.5, 1.0)):
        parameter = torch.nn.Parameter(torch.zeros(4))
        parameter.grad = torch.full((4,), length / 2)
        used = []
        optimizer = torch.optim.SGD([parameter], lr=1.0)
        optimizer.register_step_pre_hook(lambda *_, p=parameter, used=used: used.append(p.grad.norm().item()))
        assert update([parameter], optimizer, [], lr=1.0, clip=clip, step=0) == pytest.approx(length)
        assert used[0] == pytest.approx(min(length, clip), rel=1e-4)
        assert parameter.grad is None


def test_biases_and_norms_are_not_decayed_and_everything_is_in_one_group(tiny: Callable[..., Model]) -> None:
    model = tiny(("pooler", "mlm", "nsp", "classify"))
    names = {id(parameter): name for name, parameter in model.named_parameters()}
    decayed, spared = make_optimizer(model, TrainConfig(weight_decay=0.03)).param_groups
    assert decayed["weight_decay"] == 0.03 and spared["weight_decay"] == 0.0
    found = {kind: {names.pop(id(p)) for p in group["params"]} for kind, group in (("yes", decayed), ("no", spared))}
    assert not names
    assert found["no"] == {name for name in found["no"] if name.endswith("bias") or "norm" in name}
    assert not any(name.endswith("bias") or "norm" in name for name in found["yes"])


def test_the_first_update_is_the_one_that_adamw_defines() -> None:
    layer = torch.nn.Linear(3, 2)
    config = TrainConfig(beta1=0.8, beta2=0.9, eps=1e-3, weight_decay=0.1)
    optimizer = make_optimizer(layer, config)
    before = {name: p.detach().clone() for name, p in layer.named_parameters()}
    gradient = {name: torch.randn_like(p) * 0.01 for name, p in layer.named_parameters()}
    for name, parameter in layer.named_parameters():
        parameter.grad = gradient[name].clone()
    update(list(layer.parameters()), optimizer, [], lr=0.5, clip=1e9, step=0)
    for name, parameter in layer.named_parameters():
        decay = 0.1 if name == "weight" else 0.0
        # Behind bias correction the first means are the gradient and its square.
        moved = before[name] * (1 - 0.5 * decay) - 0.5 * gradient[name] / (gradient[name].abs() + 1e-3)
        assert torch.allclose(parameter, moved, atol=1e-6), name


def test_the_rate_rises_from_zero_and_falls_to_zero() -> None:
    config = TrainConfig(lr=1.0, warmup=0.2)
    assert [learning_rate(config, step, 10) for step in range(11)] == pytest.approx(
        [0, 0.5, 1, 7 / 8, 6 / 8, 5 / 8, 4 / 8, 3 / 8, 2 / 8, 1 / 8, 0]
    )
    cosine = TrainConfig(lr=2.0, warmup=0.0, schedule="cosine")
    assert [learning_rate(cosine, step, 4) for step in range(4)] == pytest.approx([2, 1 + 0.5**0.5, 1, 1 - 0.5**0.5])
    constant = TrainConfig(lr=3.0, warmup=0.5, schedule="constant")
    assert [learning_rate(constant, step, 4) for step in range(4)] == pytest.approx([0, 1.5, 3, 3])


@pytest.mark.parametrize(
    ("schedule", "theirs"),
    [("linear", "get_linear_schedule_with_warmup"), ("cosine", "get_cosine_schedule_with_warmup")],
)
@pytest.mark.parametrize(("steps", "warmup"), [(100, 0.1), (37, 0.25), (50, 0.0)])
def test_the_rate_is_that_of_transformers(schedule: str, theirs: str, steps: int, warmup: float) -> None:
    transformers = pytest.importorskip("transformers")
    config = TrainConfig(lr=5e-5, warmup=warmup, schedule=schedule)
    optimizer = torch.optim.SGD([torch.nn.Parameter(torch.zeros(1))], lr=5e-5)
    scheduler = getattr(transformers, theirs)(optimizer, math.ceil(warmup * steps), steps)
    for step in range(steps):
        assert learning_rate(config, step, steps) == pytest.approx(scheduler.get_last_lr()[0], rel=1e-9, abs=1e-15)
        optimizer.step()
        scheduler.step()
