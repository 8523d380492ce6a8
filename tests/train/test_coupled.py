"""A loss that couples the examples of a step has the same gradient, however the step is cut: micro-batches, processes."""

import itertools
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch
from runs import steps
from safetensors.torch import load_file

from maskwright.data.batch import Batch
from maskwright.data.plan import Budget
from maskwright.data.several import SideBySide
from maskwright.errors import TrainingError
from maskwright.keys import Key
from maskwright.model import Model
from maskwright.nn.dropout import dropout_key
from maskwright.objective import Pass
from maskwright.tasks.rows import Rows
from maskwright.tasks.similar import Similarity, labels_of, make_loss, source_of
from maskwright.tasks.similar_config import SimilarityConfig
from maskwright.train.coupled import coupled_backward
from maskwright.train.step import backward

SCRIPT = Path(__file__).with_name("similar_worlds.py")
WORDS = ("open", "close", "the file", "a list", "of names", "return", "raise", "an error", "value", "default", "string")
PAIRS = tuple(
    (f"{a} {b}", f"{b} {a} {c}") for a, b, c in zip(WORDS, WORDS[1:] + WORDS[:1], WORDS[3:] + WORDS[:3], strict=True)
)


def step_of(model: Model, loss: str, cuts: tuple[int, ...]) -> tuple[Similarity, list[Batch]]:
    """The eleven pairs as one step of several micro-batches, of so many pairs each."""
    texts = tuple((a, a) for a, _ in PAIRS) if loss == "simcse" else PAIRS
    rows = Rows(texts, ("1", "0") * 5 + ("1",), tuple(range(11)), "")
    torch.manual_seed(0)
    objective = Similarity(make_loss(loss, {}, model.spec.width, rows), "mean")
    source = source_of(model, rows, labels_of(objective.loss, rows), 32, "")
    samples = [source.sample(source.plan(Budget(examples=11), Key(0), shuffle=False), at) for at in range(11)]
    ends = np.cumsum([0, *cuts])
    collate = SideBySide((), model.tokenizer.pad_id)
    return objective, [collate(samples[a:b], Key(0)) for a, b in itertools.pairwise(ends)]


def gradient(model: Model, objective: Similarity) -> torch.Tensor:
    parameters = [*model.parameters(), *objective.parameters()]
    found = torch.cat([p.grad.flatten() for p in parameters if p.grad is not None])
    for p in parameters:
        p.grad = None
    return found


@pytest.mark.parametrize("cuts", [(11,), (6, 5), (1, 4, 3, 3)], ids=str)
def test_micro_batches_do_not_change_the_gradient(cuts: tuple[int, ...], tiny: Callable[..., Model]) -> None:
    model = tiny((), dropout=0.0, attention_dropout=0.0).train()
    objective, whole = step_of(model, "in-batch", (11,))
    expected = backward(model, objective, whole, seed=0, step=0, dtype=torch.float32)
    right = gradient(model, objective)
    objective, cut = step_of(model, "in-batch", cuts)
    found = coupled_backward(model, objective, cut, seed=0, step=0, dtype=torch.float32)
    assert found.loss == pytest.approx(expected.loss, rel=1e-5) and found.counts == expected.counts
    assert torch.allclose(gradient(model, objective), right, atol=1e-6 * float(right.abs().max()) + 1e-7)


def test_without_the_coupling_the_gradient_would_be_another(tiny: Callable[..., Model]) -> None:
    model = tiny((), dropout=0.0, attention_dropout=0.0).train()
    objective, cut = step_of(model, "in-batch", (6, 5))
    coupled_backward(model, objective, cut, seed=0, step=0, dtype=torch.float32)
    right = gradient(model, objective)
    backward(model, objective, cut, seed=0, step=0, dtype=torch.float32)
    assert not torch.allclose(gradient(model, objective), right, atol=0.05 * float(right.abs().max()))


def test_under_dropout_both_passes_draw_the_same(tiny: Callable[..., Model]) -> None:
    model = tiny((), dropout=0.2, attention_dropout=0.2).train()
    objective, cut = step_of(model, "simcse", (4, 4, 3))
    found = coupled_backward(model, objective, cut, seed=3, step=7, dtype=torch.float32)
    mine = gradient(model, objective)
    vectors = []
    for micro, batch in enumerate(cut):
        with dropout_key(3, 7, micro):
            vectors.append(objective.vectors(Pass(model, batch)))
    labels = torch.cat([batch.targets["similar"].labels for batch in cut])
    part = objective.couple(torch.cat(vectors), labels)["similar"]
    (part.sum / part.count).backward()
    assert found.loss == pytest.approx(float(part.sum.detach()) / part.count, rel=1e-6)
    right = gradient(model, objective)
    assert torch.allclose(mine, right, atol=1e-6 * float(right.abs().max()) + 1e-7)


def test_a_loss_that_is_not_finite_stops_before_the_model_moves(tiny: Callable[..., Model]) -> None:
    model = tiny((), dropout=0.0, attention_dropout=0.0).train()
    objective, cut = step_of(model, "in-batch", (6, 5))
    with torch.no_grad():
        next(model.parameters()).fill_(torch.nan)
    with pytest.raises(TrainingError, match="step 4: the similar loss is nan, on 11 examples that it couples"):
        coupled_backward(model, objective, cut, seed=0, step=4, dtype=torch.float32)


def test_one_process_and_several_compute_the_same_gradients(tiny: Callable[..., Model], tmp_path: Path) -> None:
    tiny((), dropout=0.0, attention_dropout=0.0).save(tmp_path / "start")
    lines = [f"{a}\t{b}" for a, b in PAIRS]
    (tmp_path / "rows.tsv").write_text("\n".join(["text\tpair", *lines]) + "\n")
    found = {}
    # Four processes share steps of 8 and 3 pairs: one of them has none in every second step.
    for processes, micro in ((1, 4_096), (2, 64), (4, 4_096)):
        out = tmp_path / f"{processes}"
        out.mkdir()
        train = {"steps": 4, "examples": 8, "micro_tokens": micro, "precision": "fp32", "lr": 1e-3}
        config = SimilarityConfig.of(
            {
                "model": str(tmp_path / "start"),
                "data": tmp_path / "rows.tsv",
                "loss": "in-batch",
                "pair": "pair",
                "length": 32,
                "out": out / "run",
                "train": train,
            }
        )
        command = [sys.executable, "-m", "torch.distributed.run", "--standalone", "--nproc_per_node", str(processes)]
        done = subprocess.run(
            [*command, str(SCRIPT), config.model_dump_json(), str(out)],
            capture_output=True,
            text=True,
            timeout=120,
            check=False,
        )
        assert done.returncode == 0, done.stderr
        found[processes] = load_file(out / "gradients.safetensors"), steps(out / "run")
    gradients, log = found[1]
    assert len(gradients) > 4 * 20
    for others, other_log in (found[2], found[4]):
        assert others.keys() == gradients.keys()
        for name, right in gradients.items():
            scale = float(right.abs().max())
            torch.testing.assert_close(others[name], right, rtol=0, atol=1e-4 * scale + 1e-8)
        assert [record["loss"] for record in other_log] == pytest.approx([record["loss"] for record in log], rel=1e-5)
