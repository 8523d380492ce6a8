"""Weights of several losses: the released code's numbers, the formulas by hand, and one gradient however a step is cut."""

import json
import math
from collections.abc import Callable
from itertools import pairwise
from pathlib import Path

import numpy as np
import pytest
import torch

from maskwright.config import PretrainConfig
from maskwright.corpus.store import Corpus
from maskwright.data.batch import Batch, Collator
from maskwright.data.plan import Budget
from maskwright.data.source import CorpusSource
from maskwright.errors import ConfigError, TrainingError
from maskwright.keys import Key
from maskwright.model import Model
from maskwright.objective import Together
from maskwright.objectives.weights import BY_GRADIENT, BY_LOSS, coefficients, part_weights
from maskwright.text.tokenizer import Tokenizer
from maskwright.train.setup import make_objective
from maskwright.train.step import backward
from small import tiny_model

ADAPTIVE = (*BY_LOSS, *BY_GRADIENT)


def test_weights_and_gradients_are_those_of_fashionbert_s_released_code(shared: Path) -> None:
    cases = json.loads((shared / "golden" / "fashionbert.json").read_text())["adaptive_loss"]["cases"]
    assert len(cases) == 5
    for case in cases:
        weights, flowing = coefficients("released", case["losses"], 0)
        assert weights == pytest.approx(case["weights"], abs=1e-12)
        loss = math.fsum(weights[name] * value for name, value in case["losses"].items())
        assert loss == pytest.approx(case["adaptive_loss_float64"], abs=1e-12)
        assert list(flowing.values()) == pytest.approx(case["d_adaptive_d_losses_float64_central_difference"], abs=1e-8)
        assert list(flowing.values()) == pytest.approx(case["d_adaptive_d_losses_tf_autodiff"], abs=1e-6)
        constant = coefficients("loss-softmax", case["losses"], 0)
        assert constant == (pytest.approx(case["weights"], abs=1e-12),) * 2


@pytest.mark.parametrize(
    ("mode", "values", "expected"),
    [
        ("grad", [1.0, 2.0, 0.5], [1 / 2 / 1.9, 1 / 1.9, 0.4 / 1.9]),
        ("grad-share", [1.0, 4.0, 2.9], [1 / (3 - 1 / 7.9), 1 / (3 - 4 / 7.9), 1 / (3 - 2.9 / 7.9)]),
        ("grad-share", [0.0, 0.0], [0.5, 0.5]),
        ("grad-plus", [1.0, 4.0, 2.9], [1 / 4, 1 / 7, 1 / 5.9]),
        ("loss-softmax", [1.0, 1.0, 1.0, 1.0], [0.25] * 4),
        ("equal", [1.0, 9.0], [0.5, 0.5]),
    ],
)
def test_every_mode_is_its_formula(mode: str, values: list[float], expected: list[float]) -> None:
    found = part_weights(mode, torch.tensor(values, dtype=torch.float64)).tolist()
    assert found == pytest.approx([value / sum(expected) for value in expected], abs=1e-12)


def test_grad_plus_minimises_what_the_paper_sets_out_from() -> None:
    g2 = np.array([1.0, 4.0, 2.9])

    def cost(w: np.ndarray) -> float:
        return 0.5 * (w**2 * g2).sum() + 0.25 * ((w[:, None] - w) ** 2).sum()

    best = part_weights("grad-plus", torch.tensor(g2)).numpy()
    for direction in ([1, -1, 0], [0, 1, -1], [1, 1, -2]):
        for step in (-1e-3, 1e-3):
            assert cost(best + step * np.array(direction)) > cost(best)


def test_the_literal_formula_refuses_a_step_in_which_it_has_no_weights() -> None:
    # By hand: 1 / (3 - g²) for (1, 4, 2.9) would be (.053, -.105, 1.053).
    with pytest.raises(
        TrainingError, match=r"step 7: .*at least the number of parts, 3: b 4\. .*grad-share or grad-plus"
    ):
        coefficients("grad", {"a": 1.0, "b": 4.0, "c": 2.9}, 7)
    with pytest.raises(TrainingError, match="b 2"):
        coefficients("grad", {"a": 1.0, "b": 2.0}, 0)


@pytest.fixture
def cut(small_corpus: Corpus) -> Callable[[Together, Model, int], list[Batch]]:
    """The same examples in a number of batches of unlike sizes."""
    frame, column = small_corpus.tokenizer().frame, small_corpus.tokens()

    def batches(objective: Together, model: Model, pieces: int) -> list[Batch]:
        source = CorpusSource(column, np.arange(column.documents), objective.pairing(48, 0.1, frame), frame, "")
        plan = source.plan(Budget(examples=18), Key(0))
        collate = Collator.of(objective.stages(model), model.tokenizer)
        bounds = [0, 18] if pieces == 1 else [0, 3, 4, 18]
        numbers = plan.examples(0)
        parts = [numbers[a:b] for a, b in pairwise(bounds)]
        return [collate([source.sample(plan, int(n)) for n in part], Key(0)) for part in parts]

    return batches


def prepared(tokenizer: Tokenizer, dropout: float = 0.0) -> Model:
    quiet = {"dropout": dropout, "attention_dropout": dropout, "initializer_range": 0.1}
    return tiny_model(tokenizer, ("pooler", "mlm", "nsp"), **quiet).train()


def gradients(
    model: Model, objective: Together, batches: list[Batch]
) -> tuple[dict[str, torch.Tensor], dict[str, float]]:
    model.zero_grad()
    taken = backward(model, objective, batches, seed=0, step=0, dtype=torch.float32)
    return {name: p.grad.clone() for name, p in model.named_parameters() if p.grad is not None}, taken.weights


@pytest.mark.parametrize("mode", [mode for mode in ADAPTIVE if mode != "grad"])
def test_a_step_has_the_same_weights_and_gradient_however_it_is_cut(
    mode: str, tokenizer: Tokenizer, cut: Callable[..., list[Batch]]
) -> None:
    model, objective = prepared(tokenizer), make_objective("mlm,nsp", {}, {}, mode)
    whole, weights = gradients(model, objective, cut(objective, model, 1))
    parts, same = gradients(model, objective, cut(objective, model, 3))
    assert same == pytest.approx(weights, rel=1e-6)
    assert sum(weights.values()) == pytest.approx(1)
    assert len(set(weights.values())) == 2
    assert whole.keys() == parts.keys() == {name for name, _ in model.named_parameters()}
    for name, gradient in whole.items():
        assert (gradient - parts[name]).abs().max() <= 2e-6 * max(1.0, float(gradient.abs().max())), name


@pytest.mark.parametrize("mode", ["loss-softmax", "grad-share", "grad-plus", "grad"])
def test_the_gradient_is_that_of_fixed_weights_of_the_same_size(
    mode: str, tokenizer: Tokenizer, cut: Callable[..., list[Batch]]
) -> None:
    model = prepared(tokenizer, dropout=0.2)  # both passes must meet the same masks
    if mode == "grad":  # gradients small enough for it
        with torch.no_grad():
            for p in model.net.heads.parameters():
                p.mul_(0.3)
    objective = make_objective("mlm,nsp", {}, {}, mode)
    batches = cut(objective, model, 3)
    adaptive, weights = gradients(model, objective, batches)
    fixed, same = gradients(model, make_objective("mlm,nsp", {}, weights), batches)
    assert same == weights
    for name, gradient in adaptive.items():
        assert (gradient - fixed[name]).abs().max() <= 2e-6 * max(1.0, float(gradient.abs().max())), name


def test_weights_of_gradients_go_by_the_encoder_alone(tokenizer: Tokenizer, cut: Callable[..., list[Batch]]) -> None:
    model, objective = prepared(tokenizer), make_objective("mlm,nsp", {}, {}, "grad-plus")
    batches = cut(objective, model, 1)
    norms = {}
    for name in ("mlm", "nsp"):
        found, _ = gradients(
            model, make_objective("mlm,nsp", {}, {other: float(other == name) for other in ("mlm", "nsp")}), batches
        )
        norms[name] = sum(float(g.double().square().sum()) for key, g in found.items() if ".heads." not in key)
    _, weights = gradients(model, objective, batches)
    inverse = {name: 1 / (2 + norm) for name, norm in norms.items()}
    assert weights == pytest.approx({name: value / sum(inverse.values()) for name, value in inverse.items()}, rel=1e-5)


def test_fixed_weights_multiply_their_parts(tokenizer: Tokenizer, cut: Callable[..., list[Batch]]) -> None:
    model = prepared(tokenizer)
    batches = cut(make_objective("mlm,nsp", {}), model, 1)
    both, one, other = (
        gradients(model, make_objective("mlm,nsp", {}, weights), batches)[0]
        for weights in ({"nsp": 0.25}, {"nsp": 0.0}, {"mlm": 0.0})
    )
    for name, gradient in both.items():
        expected = one[name] + 0.25 * other[name]
        assert (gradient - expected).abs().max() <= 1e-6 * max(1.0, float(gradient.abs().max())), name


def test_weights_that_cannot_be_are_refused() -> None:
    with pytest.raises(ConfigError, match=r"objective_weights: no part 'nps'\. Did you mean 'nsp'\?"):
        make_objective("mlm,nsp", {}, {"nps": 1.0})
    with pytest.raises(ConfigError, match="decides the weights of several parts, and weights are given too"):
        make_objective("mlm,nsp", {}, {"nsp": 1.0}, "grad-share")
    with pytest.raises(ConfigError, match="there is one part only, mlm"):
        make_objective("mlm", {}, {}, "loss-softmax")
    with pytest.raises(ConfigError, match=r"field 'objective_weights\.nsp': .*greater than or equal to 0, not -1"):
        PretrainConfig.of({"corpus": "c", "out": "o", "objective_weights": {"nsp": -1}})
    assert make_objective("mlm,nsp", {}, {}, "equal").weights == {"mlm": 0.5, "nsp": 0.5}
