"""A classifier from a handful of texts a class: the encoder learns from pairs of them, a logistic regression from its vectors.

Tunstall et al. 2022 (SetFit), https://arxiv.org/abs/2209.11055.  N texts make many pairs: each text is paired with texts of its
own class (cosine 1) and of other classes (cosine 0); what they teach the encoder is more than N labels could teach a head.
The logistic regression becomes the folder's classification head on the pooled vectors, so that the result is a fine-tuned
model like any other.   Needs: an encoder whose vectors mean something already, such as one trained for similarity.
"""

from __future__ import annotations

import numpy as np
import torch
from numpy.typing import NDArray
from torch import nn

from maskwright.checkpoint.folder import Card
from maskwright.errors import ConfigError, InputError
from maskwright.evaluation.diagnosis import baselines, dev_scores, diagnose
from maskwright.evaluation.metrics import metric
from maskwright.evaluation.runner import logits_of
from maskwright.families.seq2seq import Seq2SeqNet
from maskwright.keys import Key
from maskwright.model import Model, load
from maskwright.report.log import RunLog
from maskwright.tasks.classify import Classification
from maskwright.tasks.few_config import FewShotConfig
from maskwright.tasks.rows import Columns, Rows, read_rows
from maskwright.tasks.similar_config import SimilarityConfig
from maskwright.train.finetune import Finetuned
from maskwright.train.similar import train_similarity_rows
from maskwright.train.world import need_alone

__all__ = ["few_rows", "few_shot", "few_shot_rows", "pairs_of", "read_few"]


def few_shot(config: FewShotConfig, *, resume: bool = False, command: str = "") -> Finetuned:
    """Make a classifier of a few labelled texts as configured.

    The run folder receives ``encoder/``, the training over the pairs with its log and the encoder that it gave, and
    ``model/``, the classifier.  Raises InputError and DataError (file, line) for rows that cannot be used, and what
    ``train_similarity`` raises.
    """
    rows, rest = read_few(config)
    return few_shot_rows(load(config.model), rows, rest, config, resume=resume, command=command)


def read_few(config: FewShotConfig) -> tuple[Rows, Rows | None]:
    """Return the rows to learn from and those to score by: of the dev file, or else what was not drawn; None for none."""
    columns = Columns(config.text, None, config.label)
    rows, rest = read_rows(config.data, columns), None
    if config.each is not None:
        rows, rest = few_rows(rows, config.each, seed=config.train.seed)
    if config.dev is not None:
        rest = read_rows(config.dev, columns)
    return rows, rest if rest is not None and len(rest) else None


def few_rows(rows: Rows, each: int, *, seed: int = 0) -> tuple[Rows, Rows]:
    """Return ``each`` rows of every label, drawn by the seed, and the rows that are left.

    InputError for a label that has fewer.
    """
    assert rows.labels is not None
    labels, order = np.array(rows.labels), Key(seed).stream("few.rows").order(len(rows))
    taken: list[int] = []
    for label in sorted(set(rows.labels)):
        there = order[labels[order] == label]
        if len(there) < each:
            raise InputError(f"{rows.file}: the label {label!r} has {len(there)} rows, and {each} are asked for")
        taken += there[:each].tolist()
    return rows.pick(taken), rows.pick(np.setdiff1d(np.arange(len(rows)), taken).tolist())


def pairs_of(rows: Rows, rounds: int, *, seed: int = 0) -> Rows:
    """Return pairs with the label 1 (of one class) or 0: in each round one of either kind for each text.

    A text that is alone in its class is paired with itself.  InputError for fewer than two labels or for pairs of texts.
    """
    assert rows.labels is not None
    labels = np.array(rows.labels)
    if len(set(rows.labels)) < 2:
        raise InputError(f"{rows.file}: at least two labels are needed, and there is {sorted(set(rows.labels))}")
    if any(len(texts) != 1 for texts in rows.texts):
        raise InputError(f"{rows.file}: few-shot learning takes single texts, not pairs")
    texts, kinds, lines = [], [], []
    for at, label in enumerate(rows.labels):
        stream = Key(seed, sample=at).stream("few.pairs")
        same = np.setdiff1d(np.flatnonzero(labels == label), [at])
        groups = (("1", same if len(same) else np.array([at])), ("0", np.flatnonzero(labels != label)))
        for _ in range(rounds):
            for kind, group in groups:
                other = int(group[stream.below(len(group))])
                texts.append((rows.texts[at][0], rows.texts[other][0]))
                kinds.append(kind)
                lines.append(rows.lines[at])
    return Rows(tuple(texts), tuple(kinds), tuple(lines), rows.file)


def few_shot_rows(
    model: Model, rows: Rows, dev: Rows | None, config: FewShotConfig, *, resume: bool = False, command: str = ""
) -> Finetuned:
    """Make a classifier of rows already read; see ``few_shot``.  The model is changed, and its own pooling is kept."""
    need_alone("few-shot")
    if isinstance(model.net, Seq2SeqNet):
        raise ConfigError(
            f"model: vectors are an encoder's, and {model.family.name} has a decoder too; take an encoder"
        )
    pairs = pairs_of(rows, config.rounds, seed=config.train.seed)
    task = Classification.of(rows)
    truth = (
        None if dev is None else task.numbers(dev)
    )  # a label that nothing was learnt of is refused now, not at the end
    pooling = model.card.task.get("pooling", "mean")
    trained = train_similarity_rows(
        model,
        pairs,
        None,
        SimilarityConfig(
            model=config.model,
            data=config.data,
            loss="cosine",
            pooling=pooling,
            length=config.length,
            out=config.out / "encoder",
            train=config.train,
        ),
        resume=resume,
        command=command,
        label="few-shot",
    )
    weight_CD, bias_C = _regression(model.encode([text for (text,) in rows.texts]), task.numbers(rows), config.strength)
    task.read_by(pooling)
    head = model.add_head(task.head, len(task.labels))
    assert isinstance(head.score, nn.Linear)
    with torch.no_grad():
        head.score.weight.copy_(torch.from_numpy(weight_CD))
        head.score.bias.copy_(torch.from_numpy(bias_C))
    model.keep_heads(task.head)
    model.eval()
    facts, labels = task.card()
    history = {"command": command, "rows": len(rows), "steps": trained.finished.steps}
    facts = {**facts, "pooling": pooling, "texts": 1}
    model.card = Card(facts, tuple(labels), {**model.card.provenance, "few_shot": history})
    model.save(config.out / "model")
    if dev is None or truth is None:
        return Finetuned(model, task, trained.finished, {}, 0, config.out, np.empty((0, len(labels)), np.float32))
    logits = logits_of(model, dev.texts)
    beside = baselines(task, rows, dev, config.train.seed) if config.baseline else {}
    with RunLog(config.out / "encoder" / "log.jsonl") as log:
        title = f"On {len(dev):,} rows, after {len(rows):,}"
        log.write("result", title=title, scores=dev_scores(task, truth, logits, beside), **diagnose(task, dev, logits))
    found = metric(task.metric)(truth, task.answers(logits))
    return Finetuned(model, task, trained.finished, found, len(dev), config.out, logits)


def _regression(
    vectors_BD: NDArray[np.float32], numbers_B: NDArray[np.float64], strength: float
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Return the weights and biases of a logistic regression, (C, D) and (C,)."""
    from sklearn.linear_model import LogisticRegression

    fitted = LogisticRegression(C=strength, max_iter=10_000).fit(vectors_BD.astype(np.float64), numbers_B)
    weight_CD, bias_C = fitted.coef_, fitted.intercept_
    if len(fitted.classes_) == 2:  # one line of weights, for the second class against the first
        weight_CD, bias_C = np.concatenate([0 * weight_CD, weight_CD]), np.concatenate([0 * bias_C, bias_C])
    return weight_CD, bias_C
