"""What a pre-training has to beat, and the signs in its log that it does not: each named, with the remedy.

Every run passes the plateau where it knows word frequencies only; a healthy one leaves it.  There a model names the most
frequent token always, so that its accuracy gives it away sooner and more surely than its loss.  The limits below were set on
five small runs: on two that learn nothing is reported at any step, on three that do not, it is.
"""

from __future__ import annotations

import math
import statistics
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from maskwright.corpus.health import Finding
from maskwright.evaluation.intervals import Interval, wilson
from maskwright.evaluation.pretraining import (
    PAIR_TITLES,
    TOKEN_TITLES,
    Reference,
    length_rule,
    token_reference,
)
from maskwright.report.numbers import number, share

__all__ = ["Baselines", "baselines", "signs", "to_beat"]

_SHARE, _FEWEST, _MOST = 0.1, 100, 2_000
"""Of the run's steps that a judgement is over, with its bounds."""
_NEAR = 0.1
"""Nats: nearer to what word frequencies give is at it."""
_ABOVE = 1.2
"""Times the share of the most frequent token, below which an accuracy is no better than naming it."""
_GUESSING = 0.2
"""Nats below ln V, a uniform guess."""
_DIVERGED, _LATELY = 0.5, 20
"""Nats above ln V, in the median of the latest steps."""
_SPIKE, _BEFORE = 10, 50
"""Times the median of the steps before; these steps."""
_LATE, _LATE_STEPS = 0.75, 20_000
"""Questions of two answers may start to be learnt late: judged from this share of the run on, or after so many steps."""

Record = Mapping[str, Any]


@dataclass(frozen=True)
class Baselines:
    """What can be reached without reading."""

    vocabulary: int
    """V: a uniform guess has a loss of ln V."""
    reference: Reference
    """Word frequencies."""
    nsp_majority: Interval | None = None
    """Accuracy of always giving the more frequent answer; None without pairs."""
    nsp_lengths: Interval | None = None
    """Accuracy of a rule that sees lengths only."""
    token_task: str | None = "masked-token"
    """What is asked of single tokens; None where nothing is, or not which one it is."""
    pair_task: str = "next-sentence"
    """What is asked of the pairs."""
    marks: float = 0.0
    """Share of the targets that are an objective's own marks."""


def baselines(
    reference: Reference,
    vocabulary: int,
    train_columns: NDArray[np.int64],
    test_columns: NDArray[np.int64],
    *,
    pairs: bool,
) -> Baselines:
    """Score the baselines before training.

    train_columns, test_columns: of the plans of training and held-out pairs (E, 5), see ``data.pairs``; without held-out
    pairs the last tenth of the training ones is held out here.
    """
    if not pairs or not len(train_columns):
        return Baselines(vocabulary, reference)
    if not len(test_columns):
        cut = max(1, len(train_columns) * 9 // 10)
        train_columns, test_columns = train_columns[:cut], train_columns[cut:]
    labels = test_columns[:, 4]
    if not len(labels):
        return Baselines(vocabulary, reference)
    usual = round(float(train_columns[:, 4].mean()))
    majority, lengths = wilson(int((labels == usual).sum()), len(labels)), None
    if len(np.unique(train_columns[:50_000, 4])) == 2:
        lengths = wilson(int((length_rule(train_columns, test_columns) == labels).sum()), len(labels))
    return Baselines(vocabulary, reference, majority, lengths)


def to_beat(found: Baselines) -> list[tuple[str, str]]:
    """Return names and values for a table."""
    reference = token_reference(found.reference, "", {"": found.marks})
    lines = []
    if found.token_task is not None:
        guess, marks = number(math.log(found.vocabulary)), ", the objective's marks counted" * bool(found.marks)
        text = f"{number(reference.entropy)} nats: word frequencies{marks} (a uniform guess: {guess})"
        lines.append((f"{found.token_task} loss", text))
        lines.append((f"{found.token_task} accuracy", f"{share(reference.most_frequent)}: always {reference.piece!r}"))
    if found.nsp_majority is not None:
        text = f"{share(found.nsp_majority.value)}: always the more frequent answer"
        if found.nsp_lengths is not None:
            text += f"; {share(found.nsp_lengths.value)}: a rule that sees lengths only"
        lines.append((f"{found.pair_task} accuracy", text))
    return lines


def signs(records: Sequence[Record], found: Baselines | None, *, steps: int, warmup: int) -> list[Finding]:
    """Return what the log so far says against the run; an empty list where nothing does.

    records: of the run log, the latest last; steps: of the whole run; warmup: steps over which the rate rises.  Without
    baselines only losses and gradients are looked at.
    """
    window = min(_MOST, max(_FEWEST, round(_SHARE * steps)))
    taken = [record for record in records if record["kind"] == "step"][-max(window, 2 * _BEFORE + _MOST) :]
    signs = [_not_finite(taken), _spikes(taken)]
    if found is not None and taken:
        now = taken[-1]["step"]
        asked = [part for part in TOKEN_TITLES if part in taken[-1]["parts"]]
        signs += [_diverged(taken[-_LATELY:], part, found) for part in asked]
        # As many steps as are judged are left alone first: a run needs them to leave the plateau.
        if now >= warmup + 2 * window and len(taken) >= window:
            signs += [_frequencies(taken[-window:], part, found) for part in asked]
            if now >= min(_LATE * steps, warmup + _LATE_STEPS):
                signs += [_pairs(taken[-window:], part, found) for part in PAIR_TITLES]
                signs.append(_replaced(taken[-window:]))
    return [sign for sign in signs if sign is not None]


def _mean(records: Sequence[Record], group: str, name: str) -> float | None:
    values = [record[group][name] for record in records if name in record.get(group, {})]
    values = [value for value in values if math.isfinite(value)]
    return statistics.fmean(values) if values else None


def _not_finite(taken: Sequence[Record]) -> Finding | None:
    bad = [r["step"] for r in taken if not (math.isfinite(r["loss"]) and math.isfinite(r.get("grad_norm", 0.0)))]
    if not bad:
        return None
    return Finding(
        "not finite",
        "warning",
        f"{len(bad):,} of the last {len(taken):,} steps had a loss or gradient that is not finite, the latest step {bad[-1]:,}",
        "such a step teaches nothing; several of them mean that the weights have grown too large",
        "lower train.lr, lengthen train.warmup, or --train.precision fp32",
    )


def _spikes(taken: Sequence[Record]) -> Finding | None:
    worst: tuple[float, str, int] | None = None
    count = 0
    for name, what in (("loss", "loss"), ("grad_norm", "gradient norm")):
        values = np.array([record.get(name, math.nan) for record in taken], dtype=np.float64)
        if len(values) <= _BEFORE or not np.isfinite(values).any():
            continue
        values = np.where(np.isfinite(values), values, np.nanmedian(values[np.isfinite(values)]))
        before = np.median(np.lib.stride_tricks.sliding_window_view(values[:-1], _BEFORE), axis=1)
        times = values[_BEFORE:] / np.maximum(before, 1e-12)
        count += int((times > _SPIKE).sum())
        at = int(times.argmax())
        if times[at] > _SPIKE and (worst is None or times[at] > worst[0]):
            worst = (float(times[at]), what, int(taken[_BEFORE + at]["step"]))
    if worst is None:
        return None
    return Finding(
        "spikes",
        "note",
        f"in {count:,} of the last {len(taken):,} steps a loss or gradient was over {_SPIKE} times the median before it: "
        f"the {worst[1]} {worst[0]:.0f} times at step {worst[2]:,}",
        "one spike heals; many mean that the rate is at the edge of what the run bears, or that some text is broken",
        "lower train.lr, --train.beta2 0.98, or look at the examples of that step",
    )


def _diverged(latest: Sequence[Record], part: str, found: Baselines) -> Finding | None:
    losses = [record["parts"][part] for record in latest if part in record["parts"]]
    uniform = math.log(found.vocabulary)
    if len(losses) < _LATELY or not statistics.median(losses) > uniform + _DIVERGED:
        return None
    return Finding(
        "diverged",
        "warning",
        f"the {TOKEN_TITLES[part]} loss is {number(statistics.median(losses))}, and a uniform guess has {number(uniform)}",
        "the first steps were so large that they have undone the weights' fresh start, which seldom recovers",
        "start anew with a lower train.lr and a longer train.warmup",
    )


def _frequencies(taken: Sequence[Record], part: str, found: Baselines) -> Finding | None:
    """Whether a question about tokens is not learnt at all, or no further than word frequencies."""
    loss, accuracy = _mean(taken, "parts", part), _mean(taken, "accuracy", part)
    if loss is None or accuracy is None:
        return None
    marks = _mean(taken, "usual", part)
    known = token_reference(found.reference, part, {} if marks is None else {part: marks})
    entropy, uniform, top, title = known.entropy, math.log(found.vocabulary), known.most_frequent, TOKEN_TITLES[part]
    if loss > uniform - _GUESSING > entropy:
        return Finding(
            "not learning",
            "warning",
            f"the {title} loss has been {number(loss)} for {len(taken):,} steps; a uniform guess has {number(uniform)}",
            "the weights hardly move",
            "raise train.lr (1e-3 to 1e-4 is usual), or a shorter train.warmup",
        )
    if accuracy == 0.0:
        return Finding(
            "accuracy 0",
            "warning",
            f"not one {title} answer was right in {len(taken):,} steps; always {known.piece!r} gets {share(top)}",
            "the targets cannot be what the text holds: another vocabulary, or labels that are all ignored",
            "check that the model's tokenizer is the corpus's (maskwright corpus show)",
        )
    if loss > entropy - _NEAR and accuracy < _ABOVE * top:
        return Finding(
            "plateau",
            "warning",
            f"for {len(taken):,} steps the {title} loss has been {number(loss)} and the accuracy {share(accuracy)}; word "
            f"frequencies alone give {number(entropy)} and {share(top)}",
            "the model names frequent tokens and does not read their context",
            "a lower train.lr, a longer train.warmup (0.2), --train.beta2 0.98, shorter examples (--length 32), dropout 0",
        )
    return None


def _pairs(taken: Sequence[Record], part: str, found: Baselines) -> Finding | None:
    """Whether a question about pairs is answered no better than by the more frequent answer."""
    values = [record["accuracy"][part] for record in taken if part in record["accuracy"]]
    if found.nsp_majority is None or len(values) < 2 or _above(values, max(0.5, found.nsp_majority.low)):
        return None
    title = PAIR_TITLES[part]
    return Finding(
        f"{title.replace('-', ' ')} at chance",
        "note",
        f"for {len(taken):,} steps {title} accuracy has been {share(statistics.fmean(values))}; always the more frequent "
        f"answer gives {share(found.nsp_majority.value)}",
        "the task is not learnt yet, and takes its share of the gradient",
        "more steps, or --objectives mlm, which most later encoders do without loss",
    )


def _replaced(taken: Sequence[Record]) -> Finding | None:
    """Whether a discriminator answers no better than that no token was replaced."""
    told = [(each["accuracy"]["rtd"], each["usual"]["rtd"]) for each in taken if "rtd" in each.get("usual", {})]
    if len(told) < 2 or _above([right - usual for right, usual in told], 0.0):
        return None
    right, usual = (statistics.fmean(column) for column in zip(*told, strict=True))
    return Finding(
        "replaced tokens at chance",
        "note",
        f"for {len(taken):,} steps replaced-token accuracy has been {share(right)}; that none was replaced is right in "
        f"{share(usual)}",
        "a discriminator learns late: first the generator must write what is not seen at once to be wrong",
        "more steps, a higher train.lr, or a trained generator (--objective.rtd.generator)",
    )


def _above(values: Sequence[float], limit: float) -> bool:
    """Whether the mean is above a limit by more than two standard errors."""
    return statistics.fmean(values) - 2 * statistics.stdev(values) / math.sqrt(len(values)) > limit
