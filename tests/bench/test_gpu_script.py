"""The script for a machine with a GPU, as far as a CPU can tell."""

import importlib
from pathlib import Path
from types import ModuleType

import pytest
import torch
from made_bench import made

from maskwright.bench.table import shares
from maskwright.errors import InputError
from maskwright.nn.layout import Ragged

CPU = torch.device("cpu")


@pytest.fixture
def script(monkeypatch: pytest.MonkeyPatch) -> ModuleType:
    monkeypatch.syspath_prepend(str(Path(__file__).resolve().parents[2] / "bench"))
    return importlib.import_module("gpu")


def test_without_a_gpu_it_says_so_and_measures_nothing(
    script: ModuleType, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    monkeypatch.setenv("MASKWRIGHT_DEVICE", "cpu")
    assert script.main(["--out", str(tmp_path / "out")]) == 1
    assert "gpu.py: no GPU: torch" in capsys.readouterr().err and not (tmp_path / "out").exists()


def test_cases_are_chosen_by_their_beginnings_and_have_their_functions(script: ModuleType) -> None:
    assert script.chosen("parity") == (True, ())
    assert [case.name for case in script.chosen("gpu-mlm,gpu-enc")[1]] == ["gpu-mlm-128", "gpu-mlm-512", "gpu-encode"]
    assert script.chosen("") == (True, script.GPU)
    with pytest.raises(InputError, match="no 'mlm'; there are parity, gpu-mlm-128"):
        script.chosen("mlm")
    for side in (side for case in script.GPU for side in case.sides):
        module, _, name = side.make.partition(":")
        assert callable(getattr(importlib.import_module(f"maskwright.bench.{module}"), name)), side


def test_every_way_is_equal_here_and_one_that_joins_two_sequences_is_not(
    script: ModuleType, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(script, "MINI", {**script.MINI, "layers": 2, "vocabulary": 99})
    lines = script.parity(CPU)
    assert {"float32, padded", "bfloat16, as chosen"} <= {name for name, *_ in lines}
    assert {verdict for *_, verdict in lines} == {"equal"}
    exact = script.computed(CPU, torch.float32, "plain")
    joined = Ragged.of([script.LENGTHS[0] + script.LENGTHS[1], *script.LENGTHS[2:]], 1_024)
    with monkeypatch.context() as patch:
        patch.setattr(script.Ragged, "of", lambda *given: joined)
        wrong = script.computed(CPU, torch.bfloat16, "padded")
    monkeypatch.setattr(script, "computed", lambda where, dtype, kernel: exact if kernel == "plain" else wrong)
    assert {verdict for *_, verdict in script.parity(CPU)} == {"MORE THAN 0.0001", "MORE THAN 0.02"}


def test_a_share_of_the_data_sheet_is_that_of_its_number(script: ModuleType) -> None:
    record = made()
    one = shares(record, "train")
    assert one is not None
    (name, rate, told), *_ = script.of_peak(record, peak=4 * one.rate.median / 1e12)
    assert (
        name == "train, maskwright" and told.startswith("25.0 % (") and float(rate) == round(one.rate.median / 1e12, 1)
    )
