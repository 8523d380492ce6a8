"""How good a fine-tuned model is on labelled rows, with 95 % intervals over the rows."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from maskwright.errors import DataError, InputError
from maskwright.evaluation.baseline import majority
from maskwright.evaluation.intervals import Interval, bootstrap_each
from maskwright.evaluation.metrics import metric
from maskwright.evaluation.runner import logits_of
from maskwright.evaluation.similar import cosines, score_pairs
from maskwright.machine import device
from maskwright.model import Model, load
from maskwright.tasks import DATASETS, TASKS
from maskwright.tasks.base import Task
from maskwright.tasks.classify import Classification
from maskwright.tasks.glueset import GlueSet
from maskwright.tasks.rows import Columns, Rows, read_rows
from maskwright.tasks.similar import Similarity

__all__ = ["answers_of", "evaluate", "predict", "score_answers", "score_rows", "task_of"]


def evaluate(
    model: Model | str | Path,
    data: str | Path,
    *,
    text: str = "text",
    pair: str | None = None,
    label: str = "label",
    dataset: str | None = None,
    split: str = "dev",
    precision: str = "auto",
    seed: int = 0,
) -> dict[str, Interval]:
    """Score a fine-tuned model, or the folder of one, on a file of labelled rows.

    text, pair, label: names of the columns.  dataset: a named data set such as glue/mrpc; ``data`` is then a file of it, or
    its folder, of which the rows of ``split`` (dev, dev_mismatched …) are scored.  precision: of matrix products, as in
    ``Model.encode``.  Returns the task's metrics by name.  Raises DataError (file, line) for rows that cannot be used and
    InputError for a model without a task or rows without labels.
    """
    loaded = model if isinstance(model, Model) else load(model).to(device())
    if dataset is not None:
        files: GlueSet = DATASETS[dataset].load()
        rows = files.read(Path(data)) if Path(data).is_file() else files.rows(Path(data), split)
        if rows.labels is None:
            raise InputError(f"{rows.file}: {split} has no labels to score by; predict writes answers for it")
    else:
        if _compares(loaded):
            rows = read_rows(data, Columns(text, pair, label))
            _check_texts(loaded, rows)
            return score_pairs(loaded, rows, precision=precision, seed=seed)
        rows = task_of(loaded).read(data, Columns(text, pair, label), loaded.card.task)
    return score_rows(loaded, rows, precision=precision, seed=seed)


def task_of(model: Model) -> Task:
    """Return the task that a fine-tuned model was trained for; InputError when its folder does not say.

    A folder that others wrote has no card of ours: with a classification head and label names it is a classifier.
    """
    facts = dict(model.card.task)
    if not facts and not ("classify" in model.net.heads and model.card.labels):
        raise InputError("this model has no task: it was pre-trained only. Fine-tune it first: maskwright finetune")
    task: Task = TASKS[facts.get("name", "classify")].load().of_card(facts, model.card.labels)
    return task


def answers_of(model: Model, rows: Rows, *, precision: str = "auto") -> list[dict[str, Any]]:
    """Return what a fine-tuned model says of each row, as plain values; ``label`` is the answer, or the cosine of a pair.

    InputError for a model without a task, DataError (file, line) for a pair where it was trained on single texts, or the
    other way round.
    """
    _check_texts(model, rows)
    if _compares(model):
        return [{"label": round(float(cosine), 6)} for cosine in cosines(model, rows.texts, precision=precision)]
    return task_of(model).decode(_logits(model, rows, precision))


def _logits(model: Model, rows: Rows, precision: str) -> NDArray[np.float32]:
    return logits_of(model, rows.texts, precision=precision, length=model.card.task.get("length"))


def predict(
    model: Model | str | Path, texts: Sequence[str | tuple[str, ...]], *, precision: str = "auto"
) -> list[dict[str, Any]]:
    """Return what a fine-tuned model, or the folder of one, says of each text or pair of texts.

    Plain values: ``label`` is the answer (names, a number, or the cosine of a pair), ``probabilities`` are by label name
    where there are classes.  precision: of matrix products, as in ``Model.encode``.  InputError for a model without a task, or
    for texts where it was trained on pairs, or pairs where on texts.
    """
    loaded = model if isinstance(model, Model) else load(model).to(device())
    rows = tuple((each,) if isinstance(each, str) else each for each in texts)
    return answers_of(loaded, Rows(rows, None, tuple(range(1, len(rows) + 1)), "texts"), precision=precision)


def _compares(model: Model) -> bool:
    """Whether a model was trained to compare two texts by their vectors."""
    return model.card.task.get("name") == Similarity.name


def _check_texts(model: Model, rows: Rows) -> None:
    """DataError for a row of one text where the model was trained on two, or the other way round.

    It would be answered, but not by what was learnt.  A folder that others wrote does not say what it was trained on.
    """
    wanted = 2 if _compares(model) else model.card.task.get("texts")
    for texts, line in zip(rows.texts, rows.lines, strict=True):
        if wanted is not None and len(texts) != wanted:
            raise DataError(_OTHERWISE[wanted], file=rows.file, line=line)


_OTHERWISE = {
    1: "two texts, and this model was trained on single ones; give rows of one (without --pair)",
    2: "one text, and this model was trained on pairs; give rows of two (--pair names the second one's column)",
}


def score_rows(model: Model, rows: Rows, *, precision: str = "auto", seed: int = 0) -> dict[str, Interval]:
    """Return the metrics of a fine-tuned model on labelled rows, with 95 % bootstrap intervals over the rows."""
    _check_texts(model, rows)
    task = task_of(model)
    truth = task.numbers(rows)
    answers = task.answers(_logits(model, rows, precision))
    return bootstrap_each(metric(task.metric), truth, answers, draws=1000, seed=seed)


def score_answers(
    rows: Rows, answers: Sequence[Mapping[str, Any]], labels: Sequence[str], *, seed: int = 0
) -> dict[str, Any]:
    """Return the accuracy of answers by name, its interval and the most frequent label's beside it, for ``report.scores``.

    labels: the names that answers can have; DataError (file, line) for a row with another.
    """
    task = Classification(labels)
    truth = task.numbers(rows)
    said = np.array([task.labels.index(answer["label"]) for answer in answers], np.float64)
    found = bootstrap_each(metric(task.metric), truth, said, draws=1000, seed=seed)
    usual = metric(task.metric)(truth, majority(truth, truth).labels)
    return {
        name: {
            "value": each.value,
            "low": each.low,
            "high": each.high,
            "count": len(rows),
            "beside": {"most frequent label": usual[name]},
        }
        for name, each in found.items()
    }
