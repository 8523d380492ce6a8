"""Any number of labels a row: the files, the losses, the thresholds, and the same numbers in transformers."""

import json
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch

from maskwright.config import FinetuneConfig
from maskwright.errors import ConfigError, DataError, InputError
from maskwright.evaluation.diagnosis import baselines
from maskwright.evaluation.intervals import bootstrap_each
from maskwright.evaluation.metrics import metric
from maskwright.evaluation.runner import logits_of
from maskwright.evaluation.scores import evaluate
from maskwright.model import Model, load
from maskwright.report.log import read_log
from maskwright.tasks.checking import check_data
from maskwright.tasks.goemotions import GOEMOTIONS
from maskwright.tasks.labelsets import read_sets, set_matrix
from maskwright.tasks.multilabel import MultiLabel, MultiLabelConfig
from maskwright.tasks.rows import Columns, Rows
from maskwright.tasks.thresholds import best_threshold, best_thresholds, rescaled
from maskwright.train.finetune import finetune, training_rows
from maskwright.train.method import prepare_task

PLAIN, LABELS = Columns("text", None, "label"), ("a", "b", "c")


def write(path: Path, *lines: str) -> Path:
    path.write_text("\n".join(lines) + "\n", "utf-8")
    return path


def test_one_column_a_list_and_a_column_each_say_the_same(tmp_path: Path) -> None:
    one = write(tmp_path / "one.tsv", "text\tlabel", "x\tb, a", "y\t", "z\tc")
    semicolons = write(tmp_path / "two.csv", "text,label", "x,b;a", "y,", "z,c")
    listed = write(
        tmp_path / "three.jsonl",
        *(json.dumps({"text": t, "label": names}) for t, names in (("x", ["b", "a"]), ("y", []), ("z", ["c"]))),
    )
    each = write(tmp_path / "four.csv", "text,a,b,c", "x,1,1,0", "y,0,0,", "z,false,0,TRUE")
    expected = [[1, 1, 0], [0, 0, 0], [0, 0, 1]]
    for rows in (
        read_sets(one, PLAIN),
        read_sets(semicolons, PLAIN, separator=";"),
        read_sets(listed, PLAIN),
        read_sets(each, Columns("text", None, "a,b,c")),
    ):
        assert set_matrix(rows, LABELS).tolist() == expected
        assert MultiLabel.of(rows).labels == LABELS
        assert rows.texts == (("x",), ("y",), ("z",))


@pytest.mark.parametrize(
    ("row", "label", "said"),
    [
        ("x,a;;b", "label", r"line 3: an empty name among the labels"),
        ("x,a;a", "label", r"line 3: the label 'a' stands there twice"),
        (",a", "label", r"line 3: column 'text' is empty"),
        ("x,2", "label,text", r"line 2: column 'label' holds 'a' where 1 or 0 was expected"),
        ("x,a", "labels", r"line 2: no column 'labels' \(columns: text, label\)\. Did you mean 'label'\?"),
        ("x,a", "label2,text", r"line 2: no column 'label2' .* with --label$"),
        ('x,"a,b"', "label", r"line 3: the label 'a,b' has a comma in it"),
        ("x,d", "label", r"line 3: unknown label 'd'\. Known: 'a', 'b'"),
    ],
)
def test_bad_rows_are_refused_with_file_and_line(row: str, label: str, said: str, tmp_path: Path) -> None:
    path = write(tmp_path / "rows.csv", "text,label", "x,a", row)
    with pytest.raises(DataError, match=rf"rows\.csv, {said}"):
        set_matrix(read_sets(path, Columns("text", None, label), separator=";"), ("a", "b"))


def test_a_file_without_any_label_is_refused(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="at least one label"):
        MultiLabel.of(read_sets(write(tmp_path / "rows.tsv", "text\tlabel", "x\t"), PLAIN))


def test_binary_cross_entropy_focal_loss_and_weights_equal_the_case_worked_by_hand() -> None:
    # p = 0.8 for a label that is there, 0.25 for one that is not.
    logits, truth = torch.tensor([[0.8, 0.25]]).logit(), torch.tensor([[1.0, 0.0]])
    plain = MultiLabel(("a", "b"))
    assert plain.losses(logits, truth).item() == pytest.approx(-(np.log(0.8) + np.log(0.75)) / 2, rel=1e-6)
    focal = MultiLabel(("a", "b"), MultiLabelConfig(loss="focal", gamma=2))
    by_hand = -(0.2**2 * np.log(0.8) + 0.25**2 * np.log(0.75)) / 2
    assert focal.losses(logits, truth).item() == pytest.approx(by_hand, rel=1e-6)
    assert MultiLabel(("a", "b"), MultiLabelConfig(loss="focal", gamma=0)).losses(
        logits, truth
    ).item() == pytest.approx(plain.losses(logits, truth).item())
    rows = Rows((("x",),) * 5, ("a", "b,a", "a", "a", ""), tuple(range(5)), "")
    plain.configure({"balance": "1"}, rows)
    assert plain.weights_C is not None and plain.weights_C.tolist() == [1 / 4, 4]
    assert plain.losses(logits, truth).item() == pytest.approx(-(np.log(0.8) / 4 + np.log(0.75)) / 2, rel=1e-6)
    plain.configure({"balance": "0.5"}, rows)
    assert plain.weights_C.tolist() == [1 / 2, 2]


def test_the_focal_loss_has_the_right_gradient_even_for_sure_answers() -> None:
    task = MultiLabel(("a", "b"), MultiLabelConfig(loss="focal", gamma=1.5))
    logits = torch.tensor([[3.0, -20.0], [-1.0, 20.0]], dtype=torch.float64, requires_grad=True)
    truth = torch.tensor([[1.0, 0.0], [0.0, 1.0]], dtype=torch.float64)
    assert torch.autograd.gradcheck(lambda x: task.losses(x, truth), (logits,))
    sure = torch.tensor([[90.0, -90.0]], requires_grad=True)
    task.losses(sure, torch.tensor([[0.0, 0.0]])).sum().backward()
    assert sure.grad is not None and torch.isfinite(sure.grad).all()


def test_the_threshold_is_the_middle_of_the_best_gap() -> None:
    shares, truth = np.array([0.9, 0.8, 0.3, 0.2, 0.1]), np.array([1.0, 1, 0, 1, 0])
    # Cuts behind 1, 2, 3, 4, 5 rows: F1 2/4, 4/5, 4/6, 6/7, 6/8: the fourth is best.
    assert best_threshold(shares, truth) == pytest.approx(0.15)
    assert best_threshold(shares, np.array([1.0, 1, 0, 0, 0])) == pytest.approx(0.55)
    assert best_threshold(shares, np.zeros(5)) == 0.5
    assert best_threshold(np.full(4, 0.4), np.array([1.0, 0, 0, 0])) == pytest.approx(0.2)  # no cut inside equals


def test_no_other_threshold_has_a_higher_f1() -> None:
    rng = np.random.default_rng(0)
    for _ in range(30):
        shares, truth = np.round(rng.random((25, 2)), 1), (rng.random((25, 2)) < 0.3).astype(float)

        def f1(thresholds: object, shares: np.ndarray = shares, truth: np.ndarray = truth) -> np.ndarray:
            given = shares >= thresholds
            return 2 * (given * truth).sum(0) / np.maximum((given + truth).sum(0), 1)

        found = f1(best_thresholds(shares, truth, each=True))
        assert all((found >= f1(other) - 1e-12).all() for other in np.linspace(0.01, 1, 100))
        one = best_thresholds(shares, truth, each=False)
        assert one[0] == one[1]


def test_on_the_new_scale_thresholds_are_a_half_and_the_order_stays() -> None:
    shares = np.linspace(0, 1, 11)[:, None]
    scaled = rescaled(shares, np.array([0.2]))
    assert scaled[[0, 1, 2, 6, 10], 0].tolist() == pytest.approx([0, 0.25, 0.5, 0.75, 1])
    assert (np.diff(scaled[:, 0]) > 0).all()


def test_the_metric_equals_the_hand_worked_case_and_scikit_learn() -> None:
    from sklearn.metrics import average_precision_score, f1_score

    truth = [[1, 0, 0], [1, 1, 0], [0, 0, 0], [0, 1, 0]]
    said = [[0.9, 0.6, 0.1], [0.4, 0.7, 0.2], [0.6, 0.2, 0.3], [0.1, 0.8, 0.9]]
    # Label 1: 1 right of 2 given and 2 wanted; label 2: 2 of 3 given and 2 wanted; label 3 is nobody's, and given once.
    found = metric("multilabel")(truth, said)
    assert found["micro_f1"] == pytest.approx(2 * 3 / (4 + 6))
    assert found["macro_f1"] == pytest.approx((1 / 2 + 4 / 5) / 2)
    assert found["average_precision"] == pytest.approx(((1 + 2 / 3) / 2 + 1) / 2)
    rng = np.random.default_rng(0)
    truth, said = (rng.random((40, 5)) < 0.3).astype(int), rng.random((40, 5))
    found = metric("multilabel")(truth, said)
    assert found["micro_f1"] == pytest.approx(f1_score(truth, said >= 0.5, average="micro"))
    assert found["macro_f1"] == pytest.approx(f1_score(truth, said >= 0.5, average="macro"))
    assert found["average_precision"] == pytest.approx(average_precision_score(truth, said, average="macro"))
    said = np.round(said, 1)  # many rows of one probability
    by_scikit = average_precision_score(truth, said, average="macro")
    assert metric("multilabel")(truth, said)["average_precision"] == pytest.approx(by_scikit)
    with pytest.raises(InputError, match="no row has a label"):
        metric("multilabel")([[0, 0]], [[0.1, 0.2]])
    with pytest.raises(InputError, match="must be 0 or 1"):
        metric("multilabel")([[0.5]], [[0.1]])


@pytest.fixture
def given(tiny: Callable[..., Model], tmp_path: Path) -> FinetuneConfig:
    tiny(("pooler",), dropout=0.0, attention_dropout=0.0).save(tmp_path / "start")
    lines = ["open the file\ta,b", "close the socket\tb", "return none\t", "the list of names\tc,a"] * 3
    data = write(tmp_path / "rows.tsv", "text\tlabel", *lines)
    return FinetuneConfig.of(
        {
            "model": str(tmp_path / "start"),
            "task": "multilabel",
            "data": data,
            "dev": data,
            "out": tmp_path / "run",
            "length": 32,
            "train": {"steps": 3, "examples": 6, "precision": "fp32"},
        }
    )


def test_thresholds_stay_in_the_folder_and_transformers_has_the_same_loss(given: FinetuneConfig) -> None:
    transformers = pytest.importorskip("transformers")
    done = finetune(given)
    back = load(done.folder / "model")
    assert back.card.task["thresholds"] == [float(t) for t in done.task.thresholds_C] != [0.5] * 3
    config = json.loads((done.folder / "model" / "config.json").read_text())
    assert config["problem_type"] == "multi_label_classification"
    assert config["id2label"] == {"0": "a", "1": "b", "2": "c"}
    theirs = transformers.BertForSequenceClassification.from_pretrained(done.folder / "model").eval()
    tokenizer = transformers.AutoTokenizer.from_pretrained(done.folder / "model")
    rows = read_sets(given.data, PLAIN)
    truth = done.task.numbers(rows)
    inputs = tokenizer([text for (text,) in rows.texts], padding=True, return_tensors="pt")
    with torch.no_grad():
        out = theirs(**inputs, labels=torch.from_numpy(truth).float())
    logits = logits_of(back, rows.texts, precision="fp32")
    assert np.allclose(out.logits.numpy(), logits, atol=1e-5)
    assert out.loss.item() == pytest.approx(MultiLabel(LABELS).mean_loss(logits, truth), abs=1e-5)
    scores = evaluate(back, given.data, precision="fp32")
    assert {name: scores[name].value for name in scores} == pytest.approx(done.metrics)
    gold = metric("multilabel")(truth, done.task.answers(logits))
    assert gold == pytest.approx(done.metrics)


def test_options_reach_the_task_and_unknown_ones_are_refused(given: FinetuneConfig, tmp_path: Path) -> None:
    def run(**options: object) -> FinetuneConfig:
        return given.model_copy(update={"options": options, "out": tmp_path / "other"})

    done = finetune(run(loss="focal", gamma="3", thresholds="fixed"))
    assert done.task.config.gamma == 3 and done.task.thresholds_C.tolist() == [0.5] * 3
    with pytest.raises(ConfigError, match=r"no field 'options\.gama'\. Did you mean 'gamma'\?"):
        finetune(run(gama=1))
    with pytest.raises(ConfigError, match="options: classify has none, and 'loss' was given"):
        finetune(run(loss="bce").model_copy(update={"task": "classify", "label": "text"}))


def test_goemotions_has_its_published_sizes(shared: Path) -> None:
    folder = shared / "data" / "goemotions"
    names = (folder / "labels.txt").read_text().split()
    assert list(GOEMOTIONS.task().labels) == names
    rows = GOEMOTIONS.rows(folder, "dev")
    matrix = set_matrix(rows, names)
    assert matrix.shape == (GOEMOTIONS.sizes["dev"], 28) == (5_426, 28) and (matrix.sum(1) >= 1).all()
    assert np.mean(matrix.sum(1) > 1) == pytest.approx(0.16, abs=0.01)
    with pytest.raises(InputError, match=r"no nowhere\.tsv there"):
        GOEMOTIONS.rows(folder, "nowhere")
    assert GOEMOTIONS.rows(folder, "test").labels is not None


def test_the_hub_s_tables_of_goemotions_are_read(tmp_path: Path) -> None:
    pa, pq = pytest.importorskip("pyarrow"), pytest.importorskip("pyarrow.parquet")
    (tmp_path / "simplified").mkdir()
    table = {"text": ["so sad", "well"], "labels": [[25, 2], [27]], "id": ["x", "y"]}
    pq.write_table(pa.table(table), tmp_path / "simplified" / "validation-00000-of-00001.parquet")
    assert GOEMOTIONS.rows(tmp_path, "dev").labels == ("sadness,anger", "neutral")


def test_check_data_counts_each_label_and_takes_rows_without_one(tmp_path: Path) -> None:
    train = write(tmp_path / "train.csv", "text,label", 'one text,"a,b"', "another,", "third,a", 'last,"b,b"')
    dev = write(tmp_path / "dev.csv", "text,label", "new one,a", 'newer,"a,c"')
    done = check_data(train, task="multilabel", dev=dev)
    assert done.splits["train"].labels == {"a": 2, "b": 1}
    assert [(error.line, "twice" in str(error)) for error in done.splits["train"].problems] == [(5, True)]
    (new,) = [finding for finding in done.findings if finding.name == "new labels"]
    assert "'c'" in new.fact and "dev.csv, line 3" in new.fact


def test_goemotions_is_fine_tuned_by_its_name_and_says_where_it_errs(given: FinetuneConfig, tmp_path: Path) -> None:
    folder = tmp_path / "goemotions"
    folder.mkdir()
    rows = [f"the text {n}\t{n % 28}\tid{n}" for n in range(30)]
    write(folder / "train.tsv", *rows)
    write(folder / "dev.tsv", "open the file\t3,27\tidx", *rows[:3])
    usual = FinetuneConfig.model_fields["dev"].default
    done = finetune(given.model_copy(update={"task": "goemotions", "data": folder, "dev": usual}))
    assert done.dev_rows == 4 and done.dev_logits.shape == (4, 28)
    result = [record for record in read_log(done.folder / "log.jsonl") if record["kind"] == "result"][-1]
    assert set(result["scores"]) == {"micro_f1", "macro_f1", "average_precision"}
    assert {"annoyance,neutral", "admiration"} & {error["gold"] for error in result["errors"]}


def test_a_draw_without_a_label_is_left_out_of_the_interval() -> None:
    truth, said = np.zeros((6, 2)), np.full((6, 2), 0.2)
    truth[0, 0], said[0, 0] = 1, 0.9
    found = bootstrap_each(metric("multilabel"), truth, said, draws=200)
    assert found["micro_f1"].value == found["micro_f1"].low == found["micro_f1"].high == 1


def test_weights_by_hand_are_those_of_the_given_rows_and_multiply_the_balance(given: FinetuneConfig) -> None:
    rows = read_sets(given.data, PLAIN)
    task = MultiLabel.of(rows)
    prepare_task(task, rows, given.model_copy(update={"class_weights": {"b": 3.0}}))
    task.configure({"balance": 1}, rows)
    with_C = task.numbers(rows).sum(0)
    assert torch.allclose(task.weights_C, torch.tensor((12 - with_C) / with_C * [1, 3, 1], dtype=torch.float32))
    logits, truth = torch.tensor([[0.3, -0.2, 0.0]]), torch.tensor([[0.0, 1.0, 0.0]])
    own = torch.nn.functional.binary_cross_entropy_with_logits(logits, truth, pos_weight=task.weights_C)
    assert float(task.losses(logits, truth)) == pytest.approx(float(own))
    for weights, said in (
        ({"B": 2.0}, r"class_weights: no label 'B'\. .*Labels: a, b, c"),
        ("balanced", r"class_weights: multilabel balances by --options\.balance"),
    ):
        with pytest.raises(ConfigError, match=said):
            prepare_task(MultiLabel.of(rows), rows, given.model_copy(update={"class_weights": weights}))


def test_simple_methods_stand_beside_with_thresholds_chosen_in_the_same_way(given: FinetuneConfig) -> None:
    rows = read_sets(given.data, PLAIN)
    result = [r for r in read_log(finetune(given).folder / "log.jsonl") if r["kind"] == "result"][-1]
    beside = {name: score["beside"] for name, score in result["scores"].items()}
    found = baselines(MultiLabel.of(rows), rows, rows)
    assert {name: {method: found[method][name] for method in found} for name in beside} == beside
    assert set(found) == {"how often each label is", "TF-IDF + logistic regression"}
    # The rows themselves are known by heart; of a label's frequency alone, giving it to every row is best.
    assert found["TF-IDF + logistic regression"]["micro_f1"] == 1
    shares = np.array([2, 2, 1]) / 4
    assert found["how often each label is"]["macro_f1"] == pytest.approx(np.mean(2 * shares / (1 + shares)))
    fixed = MultiLabel(LABELS, MultiLabelConfig(thresholds="fixed"))
    assert baselines(fixed, rows, rows)["how often each label is"]["macro_f1"] == pytest.approx(
        np.mean([2 / 3, 2 / 3, 0])
    )


def test_a_fresh_head_says_how_often_each_label_is_given_and_a_trained_one_is_left(
    given: FinetuneConfig, tiny: Callable[..., Model]
) -> None:
    task, rows = training_rows(given)
    assert isinstance(task, MultiLabel)
    task.configure({}, rows)
    model = tiny([])
    task.prepare(model)
    shares = task.numbers(rows).mean(0)
    bias_C = model.head("classify").score.bias
    assert np.allclose(bias_C.sigmoid().detach().numpy(), shares, atol=1 / len(rows))
    with torch.no_grad():
        bias_C.zero_()
    task.prepare(model)
    assert not bias_C.any()
