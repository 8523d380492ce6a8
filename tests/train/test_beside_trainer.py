"""A whole fine-tuning beside transformers' Trainer, by the code that ``bench/glue.py`` compares them with."""

import importlib
import warnings
from collections.abc import Callable
from pathlib import Path
from types import ModuleType

import numpy as np
import pytest

from maskwright.model import Model

for name in ("transformers", "accelerate"):
    pytest.importorskip(name)


@pytest.fixture
def bench(monkeypatch: pytest.MonkeyPatch) -> tuple[ModuleType, ModuleType]:
    monkeypatch.syspath_prepend(str(Path(__file__).resolve().parents[2] / "bench"))
    return importlib.import_module("labelled"), importlib.import_module("sides")


@pytest.mark.parametrize(("task", "folder"), [("mrpc", "glue"), ("stsb", "glue"), ("goemotions", ".")])
def test_two_passes_end_with_the_trainer_s_logits_and_another_order_does_not(
    tiny: Callable[..., Model],
    bench: tuple[ModuleType, ModuleType],
    shared: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    task: str,
    folder: str,
) -> None:
    labelled, sides = bench
    tiny(("pooler",)).save(tmp_path / "model")
    data = labelled.read(shared / "data" / folder, task, 44, 24)
    told = sides.Settings(epochs=2, batch=8, lr=1e-3, length=48, precision="fp32", dropout=0.0)
    sides.begin(tmp_path / "model", False, data, 1, told, tmp_path / "start")
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        ours = sides.ours(tmp_path / "start", data, 1, told, tmp_path).logits_BC
        theirs = sides.theirs(tmp_path / "start", data, 1, told, tmp_path).logits_BC
        monkeypatch.setattr(sides, "Order", lambda rows, seed: range(rows))
        unlike = sides.theirs(tmp_path / "start", data, 1, told, tmp_path).logits_BC
    # Rounding is all that is left between them: AdamW makes steps of one size of gradients that are next to nothing.
    apart, shuffled = (np.abs(ours - each).max() for each in (theirs, unlike))
    assert apart < 2e-4 and shuffled > 5 * apart, (apart, shuffled)
