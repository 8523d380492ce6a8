"""Estimates beside what runs really take, and what is refused."""

import os
import subprocess
import sys
from collections.abc import Callable
from dataclasses import replace
from io import StringIO
from pathlib import Path

import numpy as np
import pytest
import torch
from rich.console import Console
from runs import config

from maskwright.config import PretrainTrainConfig
from maskwright.corpus.store import Corpus
from maskwright.data.plan import Budget, Plan
from maskwright.errors import InputError
from maskwright.families import Spec
from maskwright.keys import Key
from maskwright.model import Model
from maskwright.report.terminal import key_values
from maskwright.text.tokenizer import Tokenizer
from maskwright.train import memory as memory_module
from maskwright.train.estimate import Disk, Estimate, estimate, refuse, remarks, rows
from maskwright.train.memory import free_memory, micro_tokens_for, predict
from maskwright.train.pretrain import pretrain
from maskwright.train.setup import Pretraining, make_objective
from small import tiny_of

Tiny = Callable[..., Model]
CPU = torch.device("cpu")


def plan(examples: int = 100, length: int = 50, tokens: int = 1_000) -> Plan:
    lengths = np.full(examples, length)
    return Plan.make(np.zeros((examples, 5), dtype=np.int64), lengths, Budget(tokens=tokens), Key(0))


def made(
    tiny: Tiny, steps: int = 50, times: tuple[float, ...] = (), folder: Path = Path(), **train: object
) -> Estimate:
    settings = PretrainTrainConfig.of({"tokens": 1_000, "steps": steps, "precision": "fp32", **train})
    objective = make_objective("mlm", {})
    return estimate(
        tiny(["mlm"]), objective, settings, plan(), steps=steps, length=64, micro_tokens=600, folder=folder, times=times
    )


def test_tokens_passes_and_time_follow_from_the_plan(tiny: Tiny) -> None:
    found = made(tiny, 50, (0.1, 0.3, 0.2))
    assert (found.steps, found.tokens_a_step, found.tokens, found.passes) == (50, 1_000, 50_000, 10.0)
    assert found.step_seconds == (pytest.approx(0.2), 0.1, 0.3)
    assert found.seconds == pytest.approx(10.0)
    assert found.parameters == sum(p.numel() for p in tiny(["mlm"]).parameters())
    assert found.micro_tokens == 600


def test_a_batch_warm_up_sees_less(tiny: Tiny) -> None:
    found = made(tiny, 80, (0.1,), batch_warmup=0.5)
    assert found.tokens == 20 * 250 + 20 * 500 + 40 * 1_000
    assert found.seconds == pytest.approx(0.1 * found.tokens / 1_000)


@pytest.mark.parametrize("ema", [None, 0.99])
def test_the_disk_is_what_a_run_writes(small_corpus: Corpus, tmp_path: Path, ema: float | None) -> None:
    given = config(small_corpus.folder, tmp_path / "run", {"steps": 6, "save_every": 2, "ema": ema}, held_out=0.1)
    parts = Pretraining.of(given)
    found = estimate(
        parts.model,
        parts.objective,
        given.train,
        parts.loader().plan(0),
        steps=6,
        length=64,
        micro_tokens=1_200,
        folder=given.out,
    )
    pretrain(given)
    # The third checkpoint, the most there ever is, is gone by the end.
    written = sum(path.stat().st_size for path in given.out.rglob("*") if path.is_file() and path.suffix != ".html")
    now = found.disk.total - found.disk.checkpoints // 3
    assert 0.8 * now < written < 1.25 * now


def test_memory_counts_weights_gradients_and_moments(tiny: Tiny) -> None:
    spec = tiny().spec

    def of(**train: object) -> dict[str, int]:
        settings = PretrainTrainConfig.of({"precision": "fp32", **train})
        found = predict(spec, 1_000_000, settings, micro_tokens=4_096, length=64, where=CPU)
        return {"optimiser": found.optimiser, "average": found.average, "activations": found.activations}

    adam = of()
    assert adam["optimiser"] == 8_000_000 and adam["average"] == 0
    assert of(ema=0.99)["average"] == 4_000_000
    assert of(optimizer="SGD")["optimiser"] == 0
    assert of(optimizer="SGD", optimizer_options={"momentum": 0.9})["optimiser"] == 4_000_000
    assert of(gradient_checkpointing=True)["activations"] < adam["activations"]
    assert of(precision="bf16")["activations"] < adam["activations"]


def test_a_generator_s_activations_count_and_so_do_all_scores(tokenizer: Tokenizer) -> None:
    (rtd,) = make_objective("rtd", {"rtd": {"size": 1.0}}).members
    model = tiny_of("electra", tokenizer)
    assert rtd.readers == ()
    rtd.prepare(model)
    assert rtd.readers == (model.spec,)  # of size 1 it is the same network again
    settings = PretrainTrainConfig.of({"precision": "fp32"})

    def activations(rate: float, *beside: Spec) -> int:
        found = predict(model.spec, 0, settings, micro_tokens=10_000, length=64, where=CPU, rate=rate, beside=beside)
        return found.activations

    nothing = predict(model.spec, 0, settings, micro_tokens=0, length=64, where=CPU).activations
    alone, both = activations(0.0), activations(0.0, model.spec)
    assert both - nothing == pytest.approx(2 * (alone - nothing))
    scores = activations(1.0) - alone
    assert scores == pytest.approx(1.6 * 10_000 * 12 * model.spec.vocabulary)
    given = {"tokens": 200_000, "precision": "fp32"}
    budgets = [
        micro_tokens_for(model, PretrainTrainConfig.of(given), 64, free=10**9, objective=objective)
        for objective in (make_objective("mlm", {}), rtd, make_objective("causal", {}))
    ]
    assert budgets[0] > budgets[1] and budgets[0] > budgets[2]


@pytest.mark.parametrize(("family", "objectives"), [("bert", "mlm,nsp"), ("electra", "rtd")])
def test_the_predicted_peak_is_about_the_measured_one(
    family: str, objectives: str, small_corpus: Corpus, tmp_path: Path
) -> None:
    if not Path("/proc/self/status").exists():
        pytest.skip("this system does not tell the peak of a process")
    given = config(
        small_corpus.folder,
        tmp_path / "run",
        {"steps": 2, "tokens": 16_000, "micro_tokens": 8_000},
        objectives=objectives,
        encoder={"family": family, "layers": 2, "width": 128, "heads": 2, "positions": 64},
    )
    here = Path(__file__).parent
    done = subprocess.run(
        [sys.executable, str(here / "peak.py"), given.model_dump_json()],
        env={**os.environ, "PYTHONPATH": f"{here}:{here.parents[1] / 'src'}"},
        text=True,
        capture_output=True,
        check=True,
    )
    measured = int(done.stdout.split()[-1])
    parts = Pretraining.of(given)
    predicted = predict(
        parts.model.spec,
        sum(p.numel() for p in (*parts.model.parameters(), *parts.objective.parameters())),
        given.train,
        micro_tokens=8_000,
        length=64,
        where=CPU,
        rate=parts.objective.share,
        beside=parts.objective.readers,
    ).total
    assert 0.6 < predicted / measured < 1.6, f"{predicted / 1e6:.0f} MB predicted, {measured / 1e6:.0f} measured"


def test_a_run_larger_than_the_memory_is_refused_with_the_remedy(tiny: Tiny) -> None:
    found = replace(made(tiny), free_memory=50_000_000)
    with pytest.raises(
        InputError, match=r"needs about \d+ MB more of memory and 50.0 MB are free.*train.micro_tokens \(now 600"
    ):
        refuse(found)
    refuse(replace(found, free_memory=10**9))


def test_a_run_larger_than_the_disk_is_refused_with_the_remedy(tiny: Tiny) -> None:
    found = replace(made(tiny), disk=Disk(2_000_000, 1_000, 1_000), free_disk=1_000_000)
    with pytest.raises(InputError, match=r"writes about 2.00 MB and 1.00 MB of the disk are free.*--out.*train.keep"):
        refuse(found)


def test_the_disk_is_that_of_the_nearest_folder_that_exists(tiny: Tiny, tmp_path: Path) -> None:
    assert made(tiny, folder=tmp_path / "not" / "there" / "yet").free_disk > 0


def test_what_is_odd_is_remarked_upon_and_what_is_not_is_not(tiny: Tiny) -> None:
    usual = replace(made(tiny), free_memory=10**12, free_disk=10**12)
    assert remarks(usual) == []
    odd = replace(usual, passes=41.0, free_memory=int(1.1 * usual.memory.total), free_disk=int(1.1 * usual.disk.total))
    assert [each.name for each in remarks(odd)] == ["many passes", "little memory", "little disk"]


@pytest.mark.parametrize("times", [(), (0.41, 0.38, 0.55)])
def test_the_table_reads_well_at_eighty_columns(tiny: Tiny, times: tuple[float, ...]) -> None:
    out = StringIO()
    Console(file=out, width=80).print(key_values(rows(made(tiny, 5_000, times)), "Estimate"))
    lines = out.getvalue().splitlines()
    assert all(len(line) <= 80 for line in lines) and len(lines) <= 12
    assert ("not measured" in out.getvalue()) == (not times) and "600 at once" in out.getvalue()


def test_the_automatic_budget_grows_with_the_memory_and_keeps_its_bounds(tiny: Tiny) -> None:
    model = tiny(["mlm"])
    settings = PretrainTrainConfig.of({"tokens": 200_000, "precision": "fp32"})
    found = [micro_tokens_for(model, settings, 64, free=free) for free in (2 * 10**8, 5 * 10**8, 10**9, 10**12)]
    assert found == sorted(found) and found[0] < found[1] < found[2] < found[3] == 65_536
    assert all(tokens % 1_024 == 0 for tokens in found)
    parameters = sum(p.numel() for p in model.parameters())
    for tokens, fits in ((found[1], True), (found[1] + 1_024, False)):
        needed = predict(model.spec, parameters, settings, micro_tokens=tokens, length=64, where=CPU)
        assert (needed.total - needed.weights <= 3 * 10**8) == fits


@pytest.mark.parametrize(
    ("budget", "most"), [({"tokens": 2_000}, 2_048), ({"tokens": 500}, 1_024), ({"examples": 100}, 7_168)]
)
def test_the_automatic_budget_is_no_more_than_a_step(tiny: Tiny, budget: dict[str, int], most: int) -> None:
    settings = PretrainTrainConfig.of({**budget, "precision": "fp32"})
    assert micro_tokens_for(tiny(["mlm"]), settings, 64, free=10**12) == most


def test_an_encoder_that_cannot_fit_is_refused_before_the_first_step(tiny: Tiny) -> None:
    settings = PretrainTrainConfig.of({"tokens": 2_000})
    with pytest.raises(
        InputError, match=r"1,024 tokens of this encoder need about .* are free. Choose a smaller encoder"
    ):
        micro_tokens_for(tiny(["mlm"]), settings, 64, free=10**7)


def test_free_memory_minds_the_limit_of_a_container(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    assert memory_module._group_limit(tmp_path) is None
    (tmp_path / "memory.max").write_text("max\n")
    (tmp_path / "memory.current").write_text("700\n")
    (tmp_path / "memory.stat").write_text("anon 300\ninactive_file 200\n")
    assert memory_module._group_limit(tmp_path) is None
    (tmp_path / "memory.max").write_text("1000\n")
    assert memory_module._group_limit(tmp_path) == 500
    monkeypatch.setattr(memory_module, "_group_limit", lambda: 500)
    assert free_memory(CPU) == 500
