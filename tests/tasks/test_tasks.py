"""What every task must keep, over the registry: it learns, its answers survive the folder, its metric is the known one."""

import shutil
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch

from maskwright import native
from maskwright.config import FinetuneConfig
from maskwright.errors import ConfigError, DataError, InputError
from maskwright.evaluation.metrics import headline, metric
from maskwright.evaluation.runner import logits_of
from maskwright.evaluation.scores import evaluate, predict
from maskwright.model import Model, load
from maskwright.report.log import read_log
from maskwright.tasks import DATASETS, TASKS
from maskwright.tasks.base import Task
from maskwright.tasks.bins import Bins
from maskwright.tasks.classify import Classification
from maskwright.tasks.glue import MRPC, QQP
from maskwright.tasks.regress import Regression
from maskwright.tasks.rows import Rows
from maskwright.train.finetune import finetune

TEXTS = ("open the file", "close the socket", "a list of names", "raise an error", "the default value", "return none")
LABELS = {
    "classify": ("verb", "verb", "noun", "verb", "noun", "verb"),
    "bins": ("3", "-2", "0.5", "1.5", "-0.5", "3"),
    "multilabel": ("do,on", "do", "", "do", "on,the", "do"),
    "regress": ("1.5", "-2", "0.25", "3", "0", "1"),
}


@pytest.fixture(params=[entry.name for entry in TASKS])
def rows(request: pytest.FixtureRequest) -> tuple[str, Rows]:
    labels = LABELS[request.param]
    return request.param, Rows(tuple((text,) for text in TEXTS), labels, tuple(range(2, 8)), "made.tsv")


@pytest.fixture
def given(rows: tuple[str, Rows], tiny: Callable[..., Model], tmp_path: Path) -> FinetuneConfig:
    """A fine-tuning on six rows: as many steps as it takes to know them by heart."""
    name, made = rows
    tiny(("pooler",), dropout=0.0, attention_dropout=0.0).save(tmp_path / "start")
    assert made.labels is not None
    lines = [f"{text}\t{label}" for (text,), label in zip(made.texts, made.labels, strict=True)]
    (tmp_path / "rows.tsv").write_text("\n".join(["text\tlabel", *lines]) + "\n")
    steps = 300 if name == "multilabel" else 180  # three questions a row
    train = {"steps": steps, "examples": 6, "lr": 3e-3, "precision": "fp32", "evaluate_every": 60, "warmup": 0.0}
    paths = {"model": str(tmp_path / "start"), "data": tmp_path / "rows.tsv", "dev": tmp_path / "rows.tsv"}
    return FinetuneConfig.of({**paths, "task": name, "out": tmp_path / "run", "length": 32, "train": train})


def test_a_few_rows_are_learnt_and_the_predictions_survive_the_folder(given: FinetuneConfig) -> None:
    done = finetune(given)
    losses = [record["loss"] for record in read_log(done.folder / "log.jsonl") if record["kind"] == "step"]
    assert losses[-1] < 0.1 * losses[0]
    assert headline(done.metrics) > 0.98
    texts = [(text,) for text in TEXTS]
    back = load(done.folder / "model")
    before, after = (logits_of(model, texts, length=32) for model in (done.model, back))
    assert np.array_equal(before, after)
    assert done.task.decode(before) == done.task.decode(after)
    assert back.card.task["name"] == done.task.name and tuple(back.card.labels) == tuple(done.task.card()[1])
    truth = LABELS[done.task.name]
    for answer, label in zip(done.task.decode(after), truth, strict=True):
        assert answer["label"] == label if isinstance(label, str) and done.task.name == "classify" else True
    assert np.allclose(done.task.answers(after), done.task.numbers(Rows(tuple(texts), truth, tuple(range(6)), "")), atol=0.6)  # fmt: skip


def test_transformers_gives_the_same_predictions_from_the_folder(given: FinetuneConfig) -> None:
    transformers = pytest.importorskip("transformers")
    done = finetune(given)
    theirs = transformers.BertForSequenceClassification.from_pretrained(done.folder / "model").eval()
    tokenizer = transformers.AutoTokenizer.from_pretrained(done.folder / "model")
    with torch.no_grad():
        logits = theirs(**tokenizer(list(TEXTS), padding=True, return_tensors="pt")).logits.numpy()
    ours = logits_of(done.model, [(text,) for text in TEXTS], precision="fp32")
    assert np.allclose(logits, ours, atol=1e-5)


def test_the_same_seed_gives_the_same_weights_whatever_was_drawn_before(given: FinetuneConfig, tmp_path: Path) -> None:
    given = given.model_copy(update={"train": given.train.model_copy(update={"steps": 5})})
    made = []
    for run in ("one", "two"):
        torch.manual_seed(len(made))
        made.append(finetune(given.model_copy(update={"out": tmp_path / run})).model)
    for a, b in zip(made[0].parameters(), made[1].parameters(), strict=True):
        assert torch.equal(a, b)


def test_a_row_s_answer_does_not_depend_on_the_rows_beside_it(given: FinetuneConfig) -> None:
    model = load(given.model)
    torch.manual_seed(0)
    model.add_head("classify", 3)
    rows = [(text, text * 3) for text in TEXTS] + [(TEXTS[0],)]
    together = logits_of(model, rows, precision="fp32")
    alone = np.stack([logits_of(model, [row], precision="fp32")[0] for row in rows])
    assert np.allclose(together, alone, atol=1e-5)
    assert np.allclose(logits_of(model, rows, batch_tokens=1, precision="fp32"), alone, atol=1e-5)
    assert logits_of(model, []).shape[0] == 0


@pytest.mark.parametrize("rows", ["classify"], indirect=True)
def test_answers_in_every_precision(given: FinetuneConfig, tiny: Callable[..., Model]) -> None:
    """Each computes something else, and none says something else of what was learnt by heart."""
    shutil.rmtree(given.model)
    tiny(("pooler",), heads=2, dropout=0.0, attention_dropout=0.0).save(
        given.model
    )  # 16 wide, as the kernels want them
    done, texts = finetune(given), list(TEXTS)
    precisions = ["fp32", "bf16", *["int8"] * native.here()]
    logits = {}
    for precision in precisions:
        answers = predict(done.model, texts, precision=precision)
        assert [answer["label"] for answer in answers] == list(LABELS["classify"])
        logits[precision] = logits_of(done.model, [(text,) for text in texts], precision=precision)
        found = evaluate(done.model, given.data, precision=precision)
        assert found["accuracy"].value == 1.0
    for precision in precisions[1:]:
        assert not np.array_equal(logits[precision], logits["fp32"])
        assert np.allclose(logits[precision], logits["fp32"], atol=0.2)
    with pytest.raises(ConfigError, match="no precision 'fp8'"):
        predict(done.model, texts, precision="fp8")


def test_a_precision_that_is_refused_leaves_the_model_as_it_was(tiny: Callable[..., Model]) -> None:
    model = tiny(("classify",), activation="relu").train()
    for ask in (
        lambda: model.encode(["a text"], precision="int8"),
        lambda: logits_of(model, [("a",)], precision="int8"),
    ):
        with pytest.raises(ConfigError, match="precision int8 is for BERT's kind of blocks"):
            ask()
        assert model.training


def test_metrics_are_those_of_a_case_worked_by_hand() -> None:
    labels = ("no", "yes")
    rows = Rows(tuple(("x",) for _ in range(5)), ("yes", "no", "yes", "yes", "no"), tuple(range(5)), "")
    task = Classification(labels, "accuracy_f1")
    logits = np.array([[0, 2], [1, 0], [3, 0], [0, 1], [0, 1]], dtype=np.float32)  # yes no no yes yes: 3 of 5 right
    found = metric(task.metric)(task.numbers(rows), task.answers(logits))
    assert found == pytest.approx({"accuracy": 3 / 5, "f1": 2 * 2 / (2 * 2 + 1 + 1)})
    values = Rows(tuple(("x",) for _ in range(4)), ("1", "2", "3", "4"), tuple(range(4)), "")
    regression = Regression()
    scores = np.array([[1.0], [3.0], [2.0], [4.0]], dtype=np.float32)
    found = metric(regression.metric)(regression.numbers(values), regression.answers(scores))
    assert found == pytest.approx({"pearson": 0.8, "spearman": 0.8})


def test_probabilities_are_the_softmax_of_the_scores() -> None:
    (row,) = Classification(("a", "b")).decode(np.array([[0.0, np.log(3)]], dtype=np.float32))
    assert row == {"label": "b", "probabilities": {"a": 0.25, "b": 0.75}}
    (row,) = Classification(("a", "b")).decode(np.array([[1e4, -1e4]], dtype=np.float32))
    assert row["probabilities"] == {"a": 1.0, "b": 0.0}


def test_f1_is_of_the_class_that_glue_means() -> None:
    from sklearn.metrics import f1_score

    rng = np.random.default_rng(0)
    for files in (MRPC, QQP):
        assert files.labels is not None
        names = [files.labels[n] for n in rng.integers(0, 2, 50)]
        logits = rng.normal(size=(50, 2)).astype(np.float32)
        task = files.task()
        rows = Rows(tuple(("x", "y") for _ in names), tuple(names), tuple(range(50)), "")
        said = [answer["label"] for answer in task.decode(logits)]
        assert metric(task.metric)(task.numbers(rows), task.answers(logits)) == pytest.approx(
            {
                "accuracy": np.mean([a == b for a, b in zip(said, names, strict=True)]),
                "f1": f1_score(names, said, pos_label="equivalent" if files is MRPC else "duplicate"),
            }
        )


def test_values_in_classes_are_answered_by_the_mean_of_the_middles() -> None:
    task = Bins.equal(0, 5, 5)
    assert task.labels == ("0 to 1", "1 to 2", "2 to 3", "3 to 4", "4 to 5")
    values = np.array([0, 0.999, 1, 2.5, 4, 5])
    assert task.classes(values).tolist() == [0, 0, 1, 2, 4, 4]
    logits = np.log(np.array([[0.5, 0, 0, 0, 0.5], [0, 0, 0.75, 0.25, 0]]) + 1e-30).astype(np.float32)
    assert task.answers(logits) == pytest.approx([2.5, 2.75])
    assert [row["label"] for row in task.decode(logits)] == pytest.approx([2.5, 2.75])
    assert task.mean_loss(np.zeros((6, 5), np.float32), values) == pytest.approx(np.log(5))
    with pytest.raises(InputError, match="not at least three rising numbers"):
        Bins([0, 2, 1])
    with pytest.raises(InputError, match="every value is 2"):
        Bins.of(Rows((("x",),) * 2, ("2", "2.0"), (1, 2), "a.tsv"))


def test_labels_are_sorted_by_name_and_one_is_not_enough() -> None:
    rows = Rows((("x",),) * 3, ("b", "a", "b"), (2, 3, 4), "")
    assert Classification.of(rows).labels == ("a", "b")
    with pytest.raises(InputError, match=r"a\.tsv: every row has the label 'b'; .* at least two labels"):
        Classification.of(Rows((("x",),), ("b",), (2,), "a.tsv"))


def test_every_data_set_names_its_task_and_metric() -> None:
    for entry in DATASETS:
        task = entry.load().task()
        assert isinstance(task, Task)
        assert metric(task.metric)


def test_a_dev_label_that_training_never_saw_is_refused_with_its_line(given: FinetuneConfig, tmp_path: Path) -> None:
    if given.task != "classify":
        pytest.skip("values have no names")
    (tmp_path / "dev.tsv").write_text("text\tlabel\nopen it\tverb\nnicely\tadverb\n")
    with pytest.raises(DataError, match=r"dev\.tsv, line 3: unknown label 'adverb'"):
        finetune(given.model_copy(update={"dev": tmp_path / "dev.tsv"}))


@pytest.mark.parametrize("pair", [None, "other"])
def test_a_model_of_single_texts_refuses_pairs_and_one_of_pairs_single_texts(
    given: FinetuneConfig, tmp_path: Path, pair: str | None
) -> None:
    assert given.data is not None
    data = tmp_path / "both.tsv"
    first, *lines = given.data.read_text().splitlines()
    data.write_text("\n".join([f"{first}\tother", *(f"{line}\tthe file" for line in lines)]) + "\n")
    few = {"data": data, "dev": data, "pair": pair, "train": given.train.model_copy(update={"steps": 1})}
    folder = finetune(given.model_copy(update=few)).folder / "model"
    said = (
        "one text, and this model was trained on pairs" if pair else "two texts, and this model was trained on single"
    )
    assert evaluate(folder, data, pair=pair)
    with pytest.raises(DataError, match=rf"both\.tsv, line 2: {said}"):
        evaluate(folder, data, pair=None if pair else "other")
    texts = ["open the file", ("open the file", "the file")]
    fits, not_so = (texts[1], texts[0]) if pair else texts
    assert predict(folder, [fits])
    with pytest.raises(DataError, match=f"texts, line 2: {said}"):
        predict(folder, [fits, not_so])


def test_a_folder_that_does_not_say_what_it_was_trained_on_answers_both(given: FinetuneConfig) -> None:
    done = finetune(given.model_copy(update={"train": given.train.model_copy(update={"steps": 1})}))
    facts = {name: fact for name, fact in done.model.card.task.items() if name != "texts"}
    done.model.card = replace(done.model.card, task=facts)
    assert len(predict(done.model, ["open the file", ("open the file", "the file")])) == 2


def test_settings_that_cannot_be_are_refused(given: FinetuneConfig) -> None:
    with pytest.raises(ConfigError, match="length 999 is more than the 128 tokens"):
        finetune(given.model_copy(update={"length": 999}))
    with pytest.raises(ConfigError, match="data: name the training file"):
        finetune(given.model_copy(update={"data": None}))
    with pytest.raises(ConfigError, match=r"no task 'clasify'\. Did you mean 'classify'\?"):
        finetune(given.model_copy(update={"task": "clasify"}))
    with pytest.raises(ConfigError, match=r"no task 'glue/mrp'\. Did you mean 'glue/mrpc'\? Known: classify, .*, snli"):
        finetune(given.model_copy(update={"task": "glue/mrp"}))
    with pytest.raises(InputError, match=r"6 rows are too few to hold out 1%"):
        finetune(given.model_copy(update={"dev": None, "dev_share": 0.01}))
