"""Similarity: every loss learns and equals a case worked by hand; the folder gives the same vectors elsewhere; bad rows."""

import dataclasses
import json
import math
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from scipy.stats import rankdata

from maskwright.data.plan import Budget
from maskwright.data.several import SideBySide
from maskwright.errors import ConfigError, DataError, InputError, TrainingError
from maskwright.evaluation.baseline import tfidf_cosine, tfidf_ridge
from maskwright.evaluation.metrics import metric
from maskwright.evaluation.scores import answers_of, evaluate
from maskwright.evaluation.similar import cosines, score_pairs
from maskwright.keys import Key
from maskwright.model import Model, load
from maskwright.nn.layout import Grid, Ragged
from maskwright.nn.pooling import POOLINGS, pool
from maskwright.objective import Pass
from maskwright.report.log import read_log
from maskwright.tasks.rows import Columns, Rows, read_rows
from maskwright.tasks.similar import Similarity, labels_of, make_loss, source_of
from maskwright.tasks.similar_config import SimilarityConfig
from maskwright.tasks.similar_losses import LOSSES
from maskwright.tasks.similar_rows import read_examples
from maskwright.train.similar import train_similarity

TEXTS = ("open the file", "close the socket", "a list of names", "raise an error", "the default value", "return none")
NEAR = ("read a stream", "end this connection", "some words", "an exception", "what is usual", "give nothing")
FAR = ("the module path", "a thread", "sort in place", "it is true", "an argument", "a tuple")
LABELS = {
    "cosine": ("5", "4", "0", "1", "2.5", "3"),
    "classes": ("yes", "yes", "no", "no", "yes", "no"),
    "contrastive": ("1", "1", "0", "0", "1", "0"),
}
COLUMNS = {
    "in-batch": {"pair": "near"},
    "simcse": {},
    "cosine": {"pair": "near", "label": "label", "options": {"high": 5}},
    "classes": {"pair": "near", "label": "label"},
    "contrastive": {"pair": "near", "label": "label"},
    "triplet": {"pair": "near", "negative": "far"},
}
NAMES = [entry.name for entry in LOSSES]


def made(name: str, folder: Path, tiny: Callable[..., Model], dropout: float = 0.0, **changes: Any) -> SimilarityConfig:
    """A training on six rows."""
    tiny(("pooler",), dropout=dropout, attention_dropout=0.0).save(folder / "start")
    labels = LABELS.get(name, ("0",) * 6)
    lines = ["\t".join(row) for row in zip(TEXTS, NEAR, FAR, labels, strict=True)]
    (folder / "rows.tsv").write_text("\n".join(["text\tnear\tfar\tlabel", *lines]) + "\n")
    train = {"steps": 60, "examples": 6, "lr": 3e-3, "precision": "fp32", "warmup": 0.0, **changes.pop("train", {})}
    paths = {"model": str(folder / "start"), "data": folder / "rows.tsv", "out": folder / "run"}
    return SimilarityConfig.of({**paths, "loss": name, "length": 32, "train": train, **COLUMNS[name], **changes})


def batch_of(model: Model, name: str, rows: Rows) -> tuple[Similarity, Any]:
    objective = Similarity(make_loss(name, {}, model.spec.width, rows), "mean")
    source = source_of(model, rows, labels_of(objective.loss, rows), 32, "")
    plan = source.plan(Budget(examples=len(rows)), Key(0), shuffle=False)
    samples = [source.sample(plan, at) for at in range(len(rows))]
    return objective, SideBySide((), model.tokenizer.pad_id)(samples, Key(0))


@pytest.mark.parametrize("name", NAMES)
def test_every_loss_is_learnt_and_the_vectors_survive_the_folder(
    name: str, tiny: Callable[..., Model], tmp_path: Path
) -> None:
    # Vectors of the same text under dropout cannot be told apart to the last: only the order of the losses is known.
    config = made(name, tmp_path, tiny, dropout=0.1 if name == "simcse" else 0.0)
    done = train_similarity(config)
    losses = [record["loss"] for record in read_log(done.folder / "log.jsonl") if record["kind"] == "step"]
    assert losses[-1] < 0.25 * losses[0]
    back = load(done.folder / "model")
    assert np.array_equal(done.model.encode(TEXTS), back.encode(TEXTS))
    assert back.card.task == {"name": "similar", "pooling": "mean", "loss": name, "length": 32}


@pytest.mark.parametrize("name", NAMES)
def test_gradients_reach_every_weight_and_equal_finite_differences(name: str) -> None:
    rows = Rows(tuple(zip(TEXTS, NEAR, FAR, strict=True)), LABELS.get(name), tuple(range(6)), "")
    kind = LOSSES[name].load()
    count = len(kind.columns) + len(kind.optional)
    torch.manual_seed(0)
    loss = make_loss(name, {"high": 5} if name == "cosine" else {}, 4, rows).double()
    vectors = torch.randn(6, count, 4, dtype=torch.float64, requires_grad=True)
    rows = dataclasses.replace(rows, texts=tuple(texts[:count] for texts in rows.texts))
    labels = torch.from_numpy(labels_of(loss, rows))
    labels = labels.double() if labels.is_floating_point() else labels
    inputs = (vectors, *loss.parameters())
    assert torch.autograd.gradcheck(lambda v, *_: loss(v, labels), inputs)
    loss(vectors, labels).sum().backward()
    assert all(p.grad is not None and p.grad.abs().sum() > 0 for p in inputs)


def plain(name: str, **options: object) -> Any:
    return make_loss(name, options, 2, Rows((("x", "y"),) * 2, ("a", "b"), (1, 2), ""))


def test_losses_of_pairs_equal_cases_worked_by_hand() -> None:
    # cosines 1 / sqrt 2 and 0
    vectors = torch.tensor([[[1.0, 0], [2, 2]], [[0, 3], [1, 0]]])
    root = 1 / math.sqrt(2)
    assert plain("cosine", high=5)(vectors, torch.tensor([5.0, 1.0])).tolist() == pytest.approx([(1 - root) ** 2, 0.04])
    assert plain("cosine", low=1, high=5)(vectors, torch.tensor([5.0, 1.0]))[1].item() == 0
    assert plain("contrastive")(vectors, torch.tensor([1.0, 0.0])).tolist() == pytest.approx([(1 - root) ** 2 / 2, 0])
    assert plain("contrastive", margin=0.5)(vectors, torch.zeros(2))[0].item() == pytest.approx((root - 0.5) ** 2 / 2)
    classes = plain("classes")
    with torch.no_grad():
        classes.score.bias.zero_()
        # Class 0 scores u0, class 1 the first of |u - v|.
        classes.score.weight.copy_(torch.eye(6)[[0, 4]])
    # u = (1, 0), v = (2, 2): scores 1 and 1; u = (0, 3), v = (1, 0): scores 0 and 1.
    found = classes(vectors, torch.tensor([0, 1]))
    assert found.tolist() == pytest.approx([math.log(2), math.log(1 + math.exp(-1))])


def test_the_triplet_loss_equals_a_case_worked_by_hand() -> None:
    # Distances 3 and 5, then 5 and 3, with a margin of 1: 0 and 3.
    vectors = torch.tensor([[[0.0, 0], [3, 0], [3, 4]], [[0, 0], [3, 4], [3, 0]]])
    assert plain("triplet")(vectors, torch.zeros(2)).tolist() == pytest.approx([0, 3], abs=1e-4)
    assert plain("triplet", margin=3)(vectors, torch.zeros(2)).tolist() == pytest.approx([1, 5], abs=1e-4)


def test_the_in_batch_loss_equals_cases_worked_by_hand() -> None:
    vectors = torch.tensor([[[2.0, 0], [1, 0]], [[0, 1], [1, 1]]])
    root, numbers = 1 / math.sqrt(2), torch.tensor([[0, 1], [2, 3]])
    # Row 0: cosines 1 (own) and 1 / sqrt 2; row 1: 0 and 1 / sqrt 2 (own); temperature 0.5.
    by_hand = [math.log(1 + math.exp((root - 1) / 0.5)), math.log(1 + math.exp(-root / 0.5))]
    loss = plain("in-batch", temperature=0.5)
    assert loss(vectors, numbers).tolist() == pytest.approx(by_hand)
    # A second text that both rows have, or that is row 0's own first text, is no negative.
    assert loss(vectors, torch.tensor([[0, 1], [2, 1]])).tolist() == pytest.approx([0, 0])
    assert loss(vectors, torch.tensor([[0, 1], [2, 0]])).tolist() == pytest.approx([0, by_hand[1]])
    # With a negative of each row: (0, 1) and (-1, 0) for all rows.
    more = torch.cat([vectors, torch.tensor([[[0.0, 1]], [[-1, 0]]])], 1)
    first = math.log(1 + sum(math.exp((c - 1) / 0.5) for c in (root, 0, -1)))
    second = math.log(1 + sum(math.exp((c - root) / 0.5) for c in (0, 1, 0)))
    numbers = torch.tensor([[0, 1, 4], [2, 3, 5]])
    assert loss(more, numbers).tolist() == pytest.approx([first, second])


def test_losses_are_those_of_sentence_transformers() -> None:
    package = pytest.importorskip("sentence_transformers.sentence_transformer.losses")
    generator = torch.Generator().manual_seed(0)
    vectors = torch.randn(8, 3, 6, generator=generator)
    scores, similar = torch.rand(8, generator=generator), (torch.rand(8, generator=generator) < 0.5).float()
    numbers = torch.arange(24).view(8, 3)
    parts = [{"sentence_embedding": each} for each in vectors.unbind(1)]

    class Given(torch.nn.Module):
        """Stands for their encoder: its vectors are there already."""

        def forward(self, features: dict[str, torch.Tensor]) -> dict[str, torch.Tensor]:
            return features

    model: Any = Given()
    for name, theirs, count, labels, reduced in (
        ("cosine", package.CosineSimilarityLoss(model), 2, scores, "mean"),
        ("contrastive", package.ContrastiveLoss(model), 2, similar, "mean"),
        ("triplet", package.TripletLoss(model, triplet_margin=1), 3, numbers[:, 0], "mean"),
        ("in-batch", package.MultipleNegativesRankingLoss(model, scale=20), 3, numbers, "mean"),
    ):
        ours = getattr(plain(name)(vectors[:, :count], labels), reduced)()
        expected = theirs(parts[:count], labels if name in ("cosine", "contrastive") else None)
        assert ours.item() == pytest.approx(float(expected), rel=1e-4), name


def test_a_row_s_texts_lie_one_behind_the_other(tiny: Callable[..., Model]) -> None:
    model = tiny((), dropout=0.0, attention_dropout=0.0).eval()
    rows = Rows(tuple(zip(TEXTS, NEAR, FAR, strict=True)), None, tuple(range(6)), "")
    objective, batch = batch_of(model, "triplet", rows)
    assert batch.layout.batch == 18 and batch.examples == tuple(range(6)) and batch.targets["similar"].count == 6
    assert batch.targets["similar"].rows.tolist() == batch.layout.cu[:-1:3].tolist()
    vectors = objective.vectors(Pass(model, batch))
    for at, column in enumerate((TEXTS, NEAR, FAR)):
        assert np.allclose(vectors[:, at].detach().numpy(), model.encode(column, precision="fp32"), atol=1e-6)
    objective, batch = batch_of(
        model, "in-batch", dataclasses.replace(rows, texts=tuple(zip(TEXTS, NEAR, strict=True)))
    )
    assert batch.targets["similar"].labels.tolist() == [[2 * at, 2 * at + 1] for at in range(6)]


@pytest.mark.parametrize("name", POOLINGS)
def test_a_pooling_is_the_same_on_both_layouts_and_by_hand(name: str) -> None:
    lengths, width = [3, 1, 4], 5
    x = torch.randn(sum(lengths), width, generator=torch.Generator().manual_seed(0))
    parts = torch.split(x, lengths)
    by_hand = {"mean": lambda p: p.mean(0), "first": lambda p: p[0], "max": lambda p: p.max(0).values}[name]
    expected = torch.stack([by_hand(part) for part in parts])
    tail = torch.full((3, width), 99.0)  # tokens of no sequence
    assert torch.allclose(pool(name, torch.cat([x, tail]), Ragged.of(lengths, sum(lengths) + 3)), expected)
    grid = torch.stack([F.pad(part, (0, 0, 0, 4 - len(part)), value=99.0) for part in parts]).flatten(0, 1)
    mask = torch.arange(4) < torch.tensor(lengths)[:, None]
    assert torch.allclose(pool(name, grid, Grid(3, 4, mask)), expected)


@pytest.mark.parametrize("pooling", POOLINGS)
def test_sentence_transformers_gives_the_same_vectors_from_the_folder(
    pooling: str, tiny: Callable[..., Model], tmp_path: Path
) -> None:
    package = pytest.importorskip("sentence_transformers")
    done = train_similarity(made("cosine", tmp_path, tiny, pooling=pooling, train={"steps": 2}))
    back = load(done.folder / "model")
    texts = [*TEXTS, "a list " * 300]
    ours = back.encode(texts, precision="fp32")
    theirs = package.SentenceTransformer(str(done.folder / "model"), device="cpu").encode(texts)
    assert np.abs(ours - theirs).max() < 1e-5
    assert json.loads((done.folder / "model" / "config.json").read_text())["architectures"] == ["BertModel"]
    assert np.array_equal(ours, back.encode(texts, pooling=pooling, precision="fp32"))
    others = [back.encode(texts, pooling=name) for name in POOLINGS if name != pooling]
    assert all(np.abs(ours - other).max() > 1e-3 for other in others)
    with pytest.raises(ConfigError, match=r"no pooling 'men'\. Did you mean 'mean'\?"):
        back.encode(["x"], pooling="men")


def test_the_weights_with_the_best_dev_correlation_are_kept_and_evaluate_gives_it(
    tiny: Callable[..., Model], tmp_path: Path
) -> None:
    config = made("cosine", tmp_path, tiny, train={"steps": 60, "evaluate_every": 10})
    dev = {"dev": config.data, "dev_text": "text", "dev_pair": "near", "dev_label": "label"}
    done = train_similarity(config.model_copy(update=dev))
    assert done.metrics["spearman"] > 0.95 and done.metrics["spearman"] == pytest.approx(done.finished.best_score)
    back = load(done.folder / "model")
    scores = evaluate(back, config.data, pair="near")
    assert {name: each.value for name, each in scores.items()} == pytest.approx(done.metrics)
    pairs = Rows(tuple(zip(TEXTS, NEAR, strict=True)), None, tuple(range(6)), "")
    u, v = back.encode(TEXTS), back.encode(NEAR)
    by_hand = (u * v).sum(1) / np.linalg.norm(u, axis=1) / np.linalg.norm(v, axis=1)
    assert [row["label"] for row in answers_of(back, pairs)] == pytest.approx(by_hand.tolist(), abs=1e-5)
    with pytest.raises(InputError, match="row 0 has 1 text where two are compared"):
        cosines(back, [("x",)])


def test_a_resumed_run_ends_with_the_same_weights(tiny: Callable[..., Model], tmp_path: Path) -> None:
    train = {"steps": 6, "save_every": 3, "keep": 5, "micro_tokens": 64}
    config = made("in-batch", tmp_path, tiny, dropout=0.1, train=train)
    whole = train_similarity(config).model.encode(TEXTS)
    short = config.model_copy(update={"out": tmp_path / "cut", "train": config.train.model_copy(update={"steps": 6})})
    train_similarity(short)
    for record in ("step-00000006",):
        for file in sorted((tmp_path / "cut" / "checkpoints" / record).iterdir()):
            file.unlink()
        (tmp_path / "cut" / "checkpoints" / record).rmdir()
    assert np.array_equal(train_similarity(short, resume=True).model.encode(TEXTS), whole)


@pytest.mark.parametrize(
    ("name", "changes", "said"),
    [
        ("triplet", {"negative": None}, r"negative: the loss 'triplet' needs it; name the column"),
        ("cosine", {"label": None}, r"label: the loss 'cosine' needs it"),
        ("in-batch", {"label": "label"}, r"label: the loss 'in-batch' has no use for it; leave it out"),
        ("simcse", {"pair": "near"}, r"pair: the loss 'simcse' has no use for it"),
        ("in-batch", {"options": {"temperatur": 1}}, r"no field 'options\.temperatur'\. Did you mean 'temperature'\?"),
        (
            "in-batch",
            {"options": {"temperature": "0"}},
            r"field 'options\.temperature': input should be greater than 0",
        ),
        ("triplet", {"options": {"temperature": 1}}, r"no field 'options\.temperature'"),
        ("cosine", {"options": {"low": 5, "high": 5}}, r"low must be less than high"),
        ("cosine", {"loss": "cosin"}, r"no similarity loss 'cosin'\. Did you mean 'cosine'\?"),
        ("simcse", {}, r"simcse needs dropout, and this model's rates are all 0"),
        ("cosine", {"length": 999}, r"length 999 is more than the 128 tokens"),
    ],
)
def test_settings_that_do_not_fit_are_refused(
    name: str, changes: dict[str, Any], said: str, tiny: Callable[..., Model], tmp_path: Path
) -> None:
    with pytest.raises(ConfigError, match=said):
        train_similarity(made(name, tmp_path, tiny).model_copy(update=changes))


@pytest.mark.parametrize(
    ("name", "line", "said"),
    [
        ("cosine", "a\tb\tc\tmuch", r"line 8: the label 'much' is not a number"),
        ("cosine", "a\tb\tc\t6", r"line 8: the label 6 is not from 0 to 5; set --options\.low"),
        ("contrastive", "a\tb\tc\t0.5", r"line 8: the label 0\.5 is neither 1"),
        ("triplet", "a\tb\t\t0", r"line 8: column 'far' is empty"),
        ("in-batch", "a", r"line 8: 1 fields where the header names 4"),
    ],
)
def test_bad_rows_are_refused_with_file_and_line(
    name: str, line: str, said: str, tiny: Callable[..., Model], tmp_path: Path
) -> None:
    config = made(name, tmp_path, tiny)
    with config.data.open("a") as file:
        file.write(line + "\n")
    with pytest.raises(DataError, match=rf"rows\.tsv, {said}"):
        train_similarity(config)
    assert not config.out.exists()


def test_files_that_cannot_be_learnt_from_are_refused(tiny: Callable[..., Model], tmp_path: Path) -> None:
    config = made("classes", tmp_path, tiny)
    config.data.write_text("text\tnear\tlabel\na\tb\tyes\n")
    with pytest.raises(InputError, match="needs at least two labels"):
        train_similarity(config)
    config.data.write_text("text\tnear\tlabel\n")
    with pytest.raises(InputError, match="there are no rows in it"):
        read_examples(config)


def test_a_loss_that_is_not_finite_names_the_batch(tiny: Callable[..., Model], tmp_path: Path) -> None:
    config = made("triplet", tmp_path, tiny, train={"lr": 1e38, "clip": 1e38})
    with pytest.raises(TrainingError, match=r"The batch is in .*bad"):
        train_similarity(config)
    assert list((config.out / "bad").iterdir())


def test_the_start_and_simple_methods_stand_beside_the_cosine(tiny: Callable[..., Model], tmp_path: Path) -> None:
    config = made("cosine", tmp_path, tiny, train={"steps": 5})
    dev = {"dev": config.data, "dev_text": "text", "dev_pair": "near", "dev_label": "label"}
    start = {name: each.value for name, each in score_pairs(load(config.model), read_rows(config.data, Columns("text", "near", "label"))).items()}  # fmt: skip
    done = train_similarity(config.model_copy(update=dev))
    result = [record for record in read_log(done.folder / "log.jsonl") if record["kind"] == "result"][-1]
    scores = result["scores"]
    assert {name: each["value"] for name, each in scores.items()} == pytest.approx(done.metrics)
    assert {name: each["beside"]["before training"] for name, each in scores.items()} == pytest.approx(start)
    rows = read_rows(config.data, Columns("text", "near", "label"))
    truth, pairs = np.array(rows.numbers()), list(rows.texts)
    for method, said in (
        ("TF-IDF cosine", tfidf_cosine([text for texts in pairs for text in texts], pairs)),
        ("TF-IDF + ridge regression", tfidf_ridge(pairs, truth, pairs).labels),
    ):
        right = metric("pearson_spearman")(truth, said)
        assert {name: each["beside"][method] for name, each in scores.items()} == pytest.approx(right)
    # The worst error is the pair whose place by the cosine is farthest from its place by the label.
    gaps = np.abs(rankdata(truth) - rankdata(cosines(done.model, pairs)))
    assert result["errors"][0]["line"] == rows.lines[int(np.argmax(gaps))] and len(result["errors"]) == len(rows)
    plain = {**dev, "baseline": False, "out": tmp_path / "plain"}
    train_similarity(config.model_copy(update=plain))
    (result,) = [record for record in read_log(tmp_path / "plain" / "log.jsonl") if record["kind"] == "result"]
    assert result["scores"]["spearman"]["beside"] == {}


def test_without_numbers_to_learn_there_is_no_regression_beside(tiny: Callable[..., Model], tmp_path: Path) -> None:
    config = made("in-batch", tmp_path, tiny, train={"steps": 1})
    dev = {"dev": config.data, "dev_text": "text", "dev_pair": "near", "dev_label": "label"}
    done = train_similarity(config.model_copy(update=dev))
    result = [record for record in read_log(done.folder / "log.jsonl") if record["kind"] == "result"][-1]
    assert set(result["scores"]["spearman"]["beside"]) == {"before training", "TF-IDF cosine"}
