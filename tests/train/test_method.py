"""Options of a fine-tuning: each does what it says, and is refused where it cannot."""

from collections.abc import Callable
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
import torch.nn.functional as F

from maskwright.config import FinetuneConfig
from maskwright.data.batch import Collator, Sample
from maskwright.errors import ConfigError
from maskwright.evaluation.calibration import calibration_error, fit_temperature, reliability
from maskwright.evaluation.runner import logits_of
from maskwright.evaluation.scores import task_of
from maskwright.families.heads import POOLED
from maskwright.keys import Key
from maskwright.model import Model, load
from maskwright.nn.layout import Grid, Ragged
from maskwright.objective import Pass
from maskwright.report.log import read_log
from maskwright.report.run import run_page
from maskwright.tasks.adversarial import Adversarial
from maskwright.tasks.classify import Classification
from maskwright.tasks.regress import Regression
from maskwright.tasks.rows import Rows
from maskwright.train.finetune import finetune
from maskwright.train.method import prepare_task

TEXTS = ("open the file", "close the socket", "a list of names", "raise an error", "the default value", "return none")
NAMES = ("verb", "verb", "noun", "verb", "noun", "verb")


@pytest.fixture
def given(tiny: Callable[..., Model], tmp_path: Path) -> dict[str, Any]:
    tiny(("pooler",), layers=3).save(tmp_path / "start")
    lines = [f"{text}\t{label}" for text, label in zip(TEXTS, NAMES, strict=True)]
    (tmp_path / "rows.tsv").write_text("\n".join(["text\tlabel", *lines]) + "\n")
    train = {"steps": 3, "examples": 6, "lr": 1e-2, "precision": "fp32", "warmup": 0.0}
    paths = {"model": str(tmp_path / "start"), "data": tmp_path / "rows.tsv", "dev": tmp_path / "rows.tsv"}
    return {**paths, "out": tmp_path / "run", "length": 32, "train": train, "baseline": False}


def changed(one: Model, other: Model) -> set[str]:
    """Parts of the network whose weights differ."""
    parts = dict(other.net.named_parameters())
    names = [name for name, p in one.net.named_parameters() if name not in parts or not torch.equal(p, parts[name])]
    return {".".join(name.split(".")[: 3 if "blocks" in name else 1]) for name in names}


def test_frozen_blocks_stay_and_the_rest_learns(given: dict[str, Any]) -> None:
    done = finetune(FinetuneConfig.of({**given, "freeze": 2}))
    assert changed(done.model, load(given["model"])) == {"stack.blocks.2", "heads"}
    assert all(p.requires_grad for p in done.model.parameters())


def test_with_all_blocks_frozen_only_the_head_learns(given: dict[str, Any]) -> None:
    done = finetune(FinetuneConfig.of({**given, "freeze": 3}))
    assert changed(done.model, load(given["model"])) == {"heads"}


def test_renewed_blocks_start_from_fresh_weights_and_the_others_do_not(given: dict[str, Any]) -> None:
    tiny_rate = {**given["train"], "steps": 1, "lr": 1e-12}
    done = finetune(FinetuneConfig.of({**given, "reinit": 2, "weights": "last", "train": tiny_rate}))
    start = load(given["model"])
    moved = {
        name: float((p - dict(start.net.named_parameters())[name]).detach().abs().max())
        for name, p in done.model.net.named_parameters()
        if name.endswith("weight") and p.dim() == 2 and "heads.classify" not in name
    }
    for name, by in moved.items():
        fresh = any(part in name for part in ("blocks.1.", "blocks.2.", "pooler"))
        assert (by > 1e-3) == fresh, name
    again = finetune(
        FinetuneConfig.of({**given, "reinit": 2, "weights": "last", "train": tiny_rate, "out": given["out"] / "b"})
    )
    assert changed(done.model, again.model) == set()


@pytest.mark.parametrize("pooling", ["first", "mean", "max", "last4-mean", "last4-concat"])
def test_a_model_of_any_pooling_reloads_and_answers_the_same_in_every_layout(
    given: dict[str, Any], pooling: str
) -> None:
    done = finetune(FinetuneConfig.of({**given, "pooling": pooling}))
    assert list(done.model.net.heads) == [f"classify_{pooling.replace('-', '_')}"]
    back = load(given["out"] / "model")
    texts = [(text,) for text in TEXTS]
    before = logits_of(done.model, texts, precision="fp32")
    assert np.array_equal(before, logits_of(back, texts, precision="fp32"))
    assert [row["label"] for row in task_of(back).decode(before)] == [
        row["label"] for row in done.task.decode(done.dev_logits)
    ]
    encoded = [back.tokenizer.encode(text) for text in TEXTS]
    ids = [[back.tokenizer.cls_id, *part, back.tokenizer.sep_id] for part in encoded]
    longest = max(map(len, ids))
    grid = torch.tensor([each + [0] * (longest - len(each)) for each in ids])
    mask = torch.tensor([[1] * len(each) + [0] * (longest - len(each)) for each in ids])
    with torch.no_grad():
        assert np.allclose(back(grid, mask).logits.numpy(), before, atol=1e-5)
    config = (given["out"] / "model" / "config.json").read_text("utf-8")
    assert "BertForSequenceClassification" not in config and "MaskwrightBert" in config


def carrying(model: Model, *heads: str) -> Model:
    for name in heads:
        model.add_head(name, 3)
    return model


def test_each_pooling_reads_what_it_says(tiny: Callable[..., Model]) -> None:
    model = carrying(tiny(layers=3), *POOLED).eval()
    rows = [[2, 9, 17, 5, 3], [2, 30, 3]]
    ids = torch.tensor([token for row in rows for token in row])
    layout = Ragged.of([5, 3])
    positions = torch.tensor([0, 1, 2, 3, 4, 0, 1, 2])
    with torch.no_grad():
        states = model.net(ids, positions, torch.zeros_like(ids), layout)
        last, cuts = states[-1], [(0, 5), (5, 8)]
        expected = {
            "first": torch.stack([last[a] for a, _ in cuts]),
            "mean": torch.stack([last[a:b].mean(0) for a, b in cuts]),
            "max": torch.stack([last[a:b].max(0).values for a, b in cuts]),
            "last4_mean": torch.stack([sum(s[a] for s in states[-4:]) / 4 for a, _ in cuts]),
            "last4_concat": torch.stack([torch.cat([s[a] for s in states[-4:]]) for a, _ in cuts]),
        }
        for name, read in expected.items():
            head = model.head(f"classify_{name}")
            assert torch.allclose(model.scores(f"classify_{name}", last, layout, states), head.score(read), atol=1e-6)
    mask = torch.tensor([[True, True, False], [True, False, False]])
    x = torch.arange(12.0).view(6, 2) - 20
    assert Grid(2, 3, mask).max(x).tolist() == [[-18, -17], [-14, -13]]


@pytest.mark.parametrize("name", list(POOLED))
def test_the_predicted_parameters_of_a_pooling_are_the_built_ones(name: str, tiny: Callable[..., Model]) -> None:
    model = carrying(tiny(), name)
    predicted = model.family.parameters(model.spec, model.net.head_outputs())
    assert sum(count for _, count in predicted.values()) == sum(p.numel() for p in model.net.parameters())


def batch_of(model: Model, task: Classification, labels: tuple[int, ...]) -> Any:
    ids = model.tokenizer.encode_batch(TEXTS[: len(labels)])
    samples = [
        Sample.of([(np.array(each), np.ones(len(each), bool))], model.tokenizer.frame, n, label)
        for n, (each, label) in enumerate(zip(ids, labels, strict=True))
    ]
    return Collator.of((task.stage(model),), model.tokenizer)(samples, Key(0))


def test_class_weights_and_smoothing_give_the_loss_worked_by_hand(tiny: Callable[..., Model]) -> None:
    model = tiny(("pooler",)).eval()
    rows = Rows(tuple((text,) for text in TEXTS), NAMES, tuple(range(6)), "")
    task = Classification(("noun", "verb"))
    prepare_task(task, rows, FinetuneConfig(model="m", class_weights="balanced", label_smoothing=0.2))
    assert task.weights == pytest.approx([6 / (2 * 2), 6 / (2 * 4)])
    task.prepare(model)
    run = Pass(model, batch_of(model, task, (1, 0, 1)))
    part = task(run)["classify"]
    logs = F.log_softmax(run.scores("classify"), -1)
    weights = torch.tensor(task.weights)
    smooth = torch.full((3, 2), 0.1) + 0.8 * F.one_hot(torch.tensor([1, 0, 1]), 2)
    assert float(part.sum.detach()) == pytest.approx(float(-(smooth * weights * logs).sum().detach()), rel=1e-5)
    assert part.count == 3


def test_weights_by_hand_are_what_a_row_of_that_label_counts() -> None:
    rows = Rows(tuple((text,) for text in TEXTS), NAMES, tuple(range(6)), "")
    task = Classification(("noun", "verb"))
    prepare_task(task, rows, FinetuneConfig(model="m", class_weights={"verb": 2.5}))
    assert task.weights == [1.0, 2.5]


def test_the_adversarial_step_is_along_the_gradient_and_of_the_size_given(tiny: Callable[..., Model]) -> None:
    model = tiny(("pooler",), dropout=0.0, attention_dropout=0.0)
    task = Classification(("noun", "verb"))
    objective = Adversarial(task, 0.5).train()
    objective.prepare(model)
    seen: list[torch.Tensor] = []
    model.net.stack.register_forward_pre_hook(lambda module, given: seen.append(given[0]))
    run = Pass(model, batch_of(model, task, (1, 0, 1)))
    loss = objective(run)
    assert set(loss) == {"classify", "adversarial"} and loss["adversarial"].count == 3
    assert float(loss["adversarial"].sum.detach()) > float(loss["classify"].sum.detach())
    moved = (seen[1] - seen[0]).detach()
    for a, b in pairwise(run.batch.layout.cu.tolist()):
        assert float(moved[a:b].norm()) == pytest.approx(0.5, rel=1e-4)
    clean = Pass(model, run.batch)
    (gradient,) = torch.autograd.grad(task(clean)["classify"].sum, model.net.embed.token.weight)
    assert gradient.any()
    sum(part.sum for part in loss.values()).backward()
    assert model.net.embed.token.weight.grad is not None and model.net.embed.token.weight.grad.any()
    assert set(objective.eval()(Pass(model, run.batch))) == {"classify"}


def test_adversarial_training_learns_with_frozen_embeddings_too(given: dict[str, Any]) -> None:
    done = finetune(FinetuneConfig.of({**given, "fgm": 1.0, "freeze": 1}))
    parts = [record["parts"] for record in read_log(given["out"] / "log.jsonl") if record["kind"] == "step"]
    assert all(set(each) == {"classify", "adversarial"} for each in parts)
    assert changed(done.model, load(given["model"])) == {"stack.blocks.1", "stack.blocks.2", "heads"}


def test_the_last_weights_are_kept_where_they_are_asked_for(given: dict[str, Any]) -> None:
    train = {**given["train"], "steps": 6, "evaluate_every": 1, "lr": 0.3}  # far too high: the best is not the last
    best = finetune(FinetuneConfig.of({**given, "train": train}))
    last = finetune(
        FinetuneConfig.of({**given, "train": train, "weights": "last", "out": given["out"].with_name("last")})
    )
    evals = [r["metrics"]["accuracy"] for r in read_log(last.folder / "log.jsonl") if r["kind"] == "eval"]
    assert best.metrics["accuracy"] == max(evals) and last.metrics["accuracy"] == evals[-1]


def test_the_temperature_is_the_likeliest_and_survives_the_folder(given: dict[str, Any]) -> None:
    done = finetune(FinetuneConfig.of({**given, "calibrate": True}))
    back = task_of(load(given["out"] / "model"))
    assert isinstance(back, Classification) and isinstance(done.task, Classification)
    assert back.temperature == done.task.temperature != 1
    rows = back.decode(done.dev_logits)
    shares = F.softmax(torch.from_numpy(done.dev_logits) / back.temperature, -1)
    assert [row["probabilities"]["noun"] for row in rows] == pytest.approx(shares[:, 0].tolist(), abs=1e-5)


def test_calibration_is_that_of_a_case_worked_by_hand() -> None:
    shares = np.array([[0.9, 0.1], [0.95, 0.05], [0.2, 0.8], [0.65, 0.35]])
    truth = np.array([0, 1, 1, 0])
    found = [(round(b.confidence, 3), b.accuracy, b.count) for b in reliability(shares, truth)]
    assert found == [(0.65, 1.0, 1), (0.8, 1.0, 1), (0.925, 0.5, 2)]
    assert calibration_error(shares, truth) == pytest.approx((0.35 + 0.2 + 2 * 0.425) / 4)
    rng = np.random.default_rng(0)
    logits = rng.normal(size=(4000, 3)) * 2
    labels = np.array([rng.choice(3, p=p) for p in np.exp(logits) / np.exp(logits).sum(-1, keepdims=True)])
    assert fit_temperature(3 * logits, labels) == pytest.approx(3, rel=0.1)


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"freeze": 4}, "freeze 4 is more than the model's 3 blocks"),
        ({"reinit": 4}, "reinit 4 is more than the model's 3 blocks"),
        ({"task": "regress", "class_weights": "balanced"}, "class_weights: regress has no classes"),
        ({"task": "regress", "class_weights": {"a": 2.0}}, "class_weights: regress has no classes"),
        (
            {"class_weights": {"nuon": 2.0}},
            r"class_weights: no label 'nuon'\. Did you mean 'noun'\? Labels: noun, verb",
        ),
        ({"class_weights": {"noun": 0}}, r"field 'class_weights\..*noun': input should be greater than 0"),
        ({"class_weights": "even"}, r"equal, balanced or a weight for each of some labels is expected"),
        ({"task": "regress", "label_smoothing": 0.1}, "label_smoothing: regress has no classes"),
        ({"task": "regress", "calibrate": True}, "calibrate: regress has no classes"),
        ({"pooling": "last4"}, "field 'pooling'"),
        ({"task": "glue/rte", "text": "x"}, "text: the columns of glue/rte are known"),
    ],
)
def test_options_that_cannot_be_are_refused(given: dict[str, Any], change: dict[str, Any], said: str) -> None:
    if change.get("task") == "regress":
        Path(given["data"]).write_text("text\tlabel\na b\t1\nc d\t2\ne f\t3\n")
    with pytest.raises(ConfigError, match=said):
        finetune(FinetuneConfig.of({**given, **change}))
    assert not (given["out"] / "log.jsonl").exists()


def test_layers_that_share_their_weights_cannot_be_frozen_one_by_one(tmp_path: Path, tokenizer: Any) -> None:
    from maskwright.families.albert import ALBERT
    from maskwright.model import create
    from maskwright.train.method import frozen

    spec = ALBERT.new_spec(
        vocabulary=tokenizer.vocab_size, width=16, layers=3, heads=2, feed_forward=32, positions=64, dropout=0.0,
        attention_dropout=0.0,
    )  # fmt: skip
    model = create(spec, tokenizer, seed=0)
    with (
        pytest.raises(ConfigError, match="freeze: the layers of this albert share their weights"),
        frozen(model, FinetuneConfig(model="m", freeze=1)),
    ):
        pass


def test_the_report_shows_confusions_errors_calibration_and_what_simple_methods_score(given: dict[str, Any]) -> None:
    finetune(FinetuneConfig.of({**given, "baseline": True}))
    records = read_log(given["out"] / "log.jsonl")
    result = next(record for record in records if record["kind"] == "result")
    assert set(result["scores"]["accuracy"]["beside"]) == {"most frequent label", "TF-IDF + logistic regression"}
    assert result["scores"]["accuracy"]["beside"]["most frequent label"] == pytest.approx(4 / 6)
    confusion = result["confusion"]
    assert confusion["labels"] == ["noun", "verb"] and [sum(row) for row in confusion["counts"]] == [2, 4]
    assert result["wrong"] == sum(map(sum, confusion["counts"])) - confusion["counts"][0][0] - confusion["counts"][1][1]
    assert len(result["errors"]) == result["wrong"]
    html = run_page(records).html()
    for heading in ("Confusions", "Calibration", "On the dev rows", "TF-IDF"):
        assert heading in html


def test_the_report_of_a_regression_shows_the_farthest_answers(given: dict[str, Any]) -> None:
    Path(given["data"]).write_text("text\tlabel\n" + "".join(f"{text}\t{n}\n" for n, text in enumerate(TEXTS)))
    done = finetune(FinetuneConfig.of({**given, "task": "regress"}))
    assert isinstance(done.task, Regression)
    result = next(r for r in read_log(given["out"] / "log.jsonl") if r["kind"] == "result")
    off = [abs(error["gold"] - error["answer"]) for error in result["errors"]]
    assert off == sorted(off, reverse=True) and len(off) == 6
    assert "The farthest answers." in run_page(read_log(given["out"] / "log.jsonl")).html()
