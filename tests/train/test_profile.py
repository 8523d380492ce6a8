"""Where a step's time goes: every operator of ours has its group, and the groups make up the step."""

import json
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
import torch

from maskwright.cli import run
from maskwright.config import PretrainConfig
from maskwright.corpus.store import Corpus
from maskwright.model import Model
from maskwright.nn import attend, dropout  # noqa: F401  what registers operators
from maskwright.train.pretrain import profile
from maskwright.train.profile import GROUPS, group_of, operations, sums


def event(name: str, micros: float, parent: Any = None) -> SimpleNamespace:
    return SimpleNamespace(name=name, self_cpu_time_total=micros, self_device_time_total=0.0, cpu_parent=parent)


def test_what_happens_inside_attention_dropout_or_the_update_counts_there() -> None:
    attention = event("maskwright::attend_runs", 10)
    softmax = event("aten::softmax", 0, attention)
    update = event("step: optimiser", 5)
    drop = event("_DropBackward", 1)
    events = [
        attention, softmax, update, drop,
        event("aten::bmm", 20, attention), event("aten::_softmax", 7, softmax),
        event("aten::addmm", 100), event("aten::gelu", 30), event("aten::norm", 3, update), event("aten::mul", 2, drop),
        event("step: waiting for data", 50), event("AddmmBackward0", 4),
    ]  # fmt: skip
    groups, names = sums(events, 300e-6)
    expected = {"matrix products": 100, "attention": 37, "element-wise": 30, "dropout": 3, "optimiser": 8}
    expected |= {"waiting for data": 50, "other": 72}  # what no event accounts for, and autograd's own
    assert groups == {name: pytest.approx(1e-6 * micros) for name, micros in expected.items()}
    assert max(names, key=lambda name: names[name]) == "aten::addmm" and "AddmmBackward0" not in names


def test_every_operator_of_ours_has_a_group() -> None:
    own = [name for name in torch._C._dispatch_get_all_op_names() if name.startswith("maskwright::")]
    assert own
    assert [name for name in own if group_of(name)[0] == "other"] == []


@pytest.mark.parametrize(("name", "group"), [("aten::mm", 0), ("mkldnn::_linear_pointwise", 0), ("maskwright::attend_runs_backward", 1), ("aten::_scaled_dot_product_flash_attention_for_cpu", 1), ("aten::native_layer_norm", 2), ("aten::embedding", 2), ("python", 6)])  # fmt: skip
def test_operators_are_known_by_their_names(name: str, group: int) -> None:
    assert group_of(name)[0] == GROUPS[group]


@pytest.fixture
def config(small_corpus: Corpus, tmp_path: Path) -> PretrainConfig:
    encoder = {"layers": 2, "width": 32, "heads": 4}
    train = {"tokens": 512, "precision": "fp32"}
    return PretrainConfig.of(
        {"corpus": small_corpus.folder, "out": tmp_path / "run", "encoder": encoder, "train": train}
    )


def test_the_groups_of_a_real_step_make_up_the_step(config: PretrainConfig) -> None:
    found = profile(config, 2)
    assert sum(found.groups.values()) == pytest.approx(found.slowed)
    assert list(found.groups) == list(GROUPS)
    for name in GROUPS:  # each has its work in a step of pre-training; nothing is counted twice, so nothing is negative
        assert found.groups[name] > 0, name
    assert 0 < found.share < 1 and 0 < found.tokens <= 512
    kept = json.loads((config.out / "profile.json").read_text())
    assert kept["groups"] == found.groups and kept["share"] == found.share
    assert list(config.out.iterdir()) == [config.out / "profile.json"]  # the folder is still free for the run


@pytest.mark.parametrize("loss", ["in-batch", "simcse", "triplet"])
def test_a_step_of_a_similarity_training_is_profiled_on_a_copy(
    loss: str, tiny: Callable[..., Model], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    tiny(("mlm", "pooler")).save(tmp_path / "start")
    rows = [f"open the file {n}\tclose the socket {n}\tthe default value {n}" for n in range(12)]
    (tmp_path / "rows.tsv").write_text("\n".join(["text\tpair\tnegative", *rows]) + "\n")
    columns = {"in-batch": ["--pair", "pair"], "triplet": ["--pair", "pair", "--negative", "negative"]}.get(loss, [])
    words = ["similarity", "--model", str(tmp_path / "start"), "--data", str(tmp_path / "rows.tsv"), "--loss", loss]
    words += [*columns, "--train.examples", "4", "--train.precision", "fp32", "--length", "16"]
    assert run([*words, "--out", str(tmp_path / "out"), "--profile", "2"]) == 0
    told = capsys.readouterr().out
    assert all(name in told for name in GROUPS) and "2 steps" in told
    kept = json.loads((tmp_path / "out" / "profile.json").read_text())
    # Four rows of so many texts a step, each of at least five tokens.
    assert kept["tokens"] >= 4 * {"in-batch": 2, "simcse": 2, "triplet": 3}[loss] * 5 and 0 < kept["share"] < 1
    assert [path.name for path in (tmp_path / "out").iterdir()] == ["profile.json"]


def test_operations_go_by_real_tokens_and_their_sequences(tiny: Callable[..., Model], config: PretrainConfig) -> None:
    from maskwright.model import batches_of

    model = tiny(["mlm"])
    (short,), (both,) = (batches_of(model, rows, 512) for rows in ([("one two",)], [("one two",), ("one two",)]))
    assert operations(model.spec, both, 0.0) == 2 * operations(model.spec, short, 0.0)
    length = int(short.layout.cu[-1])  # type: ignore[union-attr]
    assert operations(model.spec, short, 0.0) == 3 * length * model.spec.flops(length)
    first = operations(model.spec, both.asking([both.layout.first_B]), 0.0)
    assert operations(model.spec, both, 0.0) - first == 3 * 2 * (length - 1) * 2 * model.spec.stack.spared(length)
    more = operations(model.spec, short, 0.5) - operations(model.spec, short, 0.0)
    assert more == 3 * length * 0.5 * 2 * model.spec.width * model.spec.vocabulary


def test_the_verb_shows_it(config: PretrainConfig, capsys: pytest.CaptureFixture[str]) -> None:
    words = ["pretrain", "--corpus", str(config.corpus), "--out", str(config.out), "--profile", "1"]
    words += ["--encoder.layers", "1", "--encoder.width", "32", "--train.tokens", "256"]
    assert run(words) == 0
    told = capsys.readouterr().out
    assert all(name in told for name in GROUPS) and "of the peak" in told
