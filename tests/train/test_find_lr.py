"""The learning-rate finder sees where the loss falls and where training breaks, and changes nothing."""

from pathlib import Path

import pytest
import torch
from runs import config

from maskwright.corpus.store import Corpus
from maskwright.train.find_lr import RateSearch, find_lr
from maskwright.train.pretrain import search_rate
from maskwright.train.setup import Pretraining


def test_the_finder_raises_the_rate_until_training_breaks(small_corpus: Corpus, tmp_path: Path) -> None:
    out = tmp_path / "run"
    search = search_rate(config(small_corpus.folder, out))
    assert not out.exists()
    assert search.rates == sorted(search.rates) and search.rates[0] == 1e-6
    factors = [b / a for a, b in zip(search.rates, search.rates[1:], strict=False)]
    assert factors == pytest.approx([factors[0]] * len(factors))
    assert min(search.losses) < search.losses[0] - 0.3
    assert 1e-4 < search.steepest <= search.lowest < search.rates[-1]
    assert search_rate(config(small_corpus.folder, out)) == search


def test_the_model_is_left_as_it_was(small_corpus: Corpus, tmp_path: Path) -> None:
    parts = Pretraining.of(config(small_corpus.folder, tmp_path / "run"))
    before = {name: p.detach().clone() for name, p in parts.model.named_parameters()}
    find_lr(parts.model, parts.objective, parts.loader(), parts.config.train, steps=5)
    assert all(torch.equal(p, before[name]) for name, p in parts.model.named_parameters())
    assert all(p.grad is None for p in parts.model.parameters())


def test_the_steepest_fall_is_found_in_a_known_curve() -> None:
    rates = [10.0**at for at in range(-6, 1)]
    search = RateSearch(rates, [5.0, 5.0, 4.9, 3.0, 2.5, 2.6, 3.7], True)
    assert search.steepest == pytest.approx(1e-3)
    assert search.lowest == pytest.approx(1e-2)
