"""Folders of every task, read by the libraries that have a class for them: the same scores."""

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch

from maskwright.config import FinetuneConfig
from maskwright.evaluation.runner import logits_of
from maskwright.model import Model, load
from maskwright.tasks import TASKS
from maskwright.train.finetune import finetune

PAIRS = (("open the file", "read the file"), ("return none", "a list of names"), ("raise", "an error " * 80))
LABELS = {
    "classify": ("near", "far", "near"),
    "bins": ("3", "-2", "0.5"),
    "multilabel": ("do,on", "", "do"),
    "regress": ("1.5", "-2", "0.25"),
}
KINDS = {"regress": "regression", "multilabel": "multi_label_classification"}


@pytest.fixture(params=[entry.name for entry in TASKS])
def folder(request: pytest.FixtureRequest, tiny: Callable[..., Model], tmp_path: Path) -> tuple[str, Path]:
    """The folder of a model that was fine-tuned on three pairs, with scores that are not near nothing."""
    tiny(("pooler",)).save(tmp_path / "start")
    rows = [f"{a}\t{b}\t{label}" for (a, b), label in zip(PAIRS, LABELS[request.param], strict=True)]
    data = tmp_path / "rows.tsv"
    data.write_text("\n".join(["text\tpair\tlabel", *rows]) + "\n")
    train = {"steps": 10, "examples": 3, "lr": 1e-2, "precision": "fp32"}
    paths = {"model": str(tmp_path / "start"), "data": data, "dev": data, "out": tmp_path / "run"}
    options = {"task": request.param, "pair": "pair", "baseline": False, "length": 128, "train": train}
    finetune(FinetuneConfig.of({**paths, **options}))
    return request.param, tmp_path / "run" / "model"


def test_a_cross_encoder_of_sentence_transformers_gives_the_same_scores(folder: tuple[str, Path]) -> None:
    package = pytest.importorskip("sentence_transformers")
    task, path = folder
    ours = logits_of(load(path), PAIRS, precision="fp32")
    assert np.abs(ours).max() > 0.05
    theirs = package.CrossEncoder(str(path), device="cpu").predict(list(PAIRS))
    assert np.allclose(theirs, ours[:, 0] if task == "regress" else ours, atol=1e-5)


def test_transformers_finds_the_class_and_its_problem_by_itself(folder: tuple[str, Path]) -> None:
    transformers = pytest.importorskip("transformers")
    task, path = folder
    model = transformers.AutoModelForSequenceClassification.from_pretrained(path).eval()
    assert model.config.problem_type == KINDS.get(task, "single_label_classification")
    tokenizer = transformers.AutoTokenizer.from_pretrained(path)
    firsts, seconds = zip(*PAIRS, strict=True)
    inputs = tokenizer(list(firsts), list(seconds), padding=True, truncation=True, max_length=128, return_tensors="pt")
    with torch.no_grad():
        assert np.allclose(model(**inputs).logits.numpy(), logits_of(load(path), PAIRS, precision="fp32"), atol=1e-5)
