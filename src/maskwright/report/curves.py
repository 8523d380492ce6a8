"""The curves of a training run: loss, accuracy, learning rate, gradient norm, speed."""

from __future__ import annotations

import math
import statistics
from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

from maskwright.report import page
from maskwright.report.chart import SMALL, Series, line_chart
from maskwright.report.numbers import tick
from maskwright.report.page import Section

__all__ = ["curve_sections"]

Record = Mapping[str, Any]

WIDE_RANGE = 30


def curve_sections(steps: Sequence[Record], evals: Sequence[Record], start: Record) -> list[Section]:
    """Return charts of everything that the step and eval records hold; empty where they hold nothing to draw.

    ``start["reference"]`` and ``start["accuracy_reference"]`` ({name: value}) are drawn as lines.
    """
    sections = []
    losses = _losses(steps, evals)
    if losses:
        svg = line_chart("Loss", losses, "step", "loss", _references(start, "reference"))
        many = any(len(one.ys) > 200 for one in losses)
        sections.append(page.chart(svg, "Thin: every step. Thick: smoothed over the steps around it." if many else ""))
    accuracies = _paired(_named(steps, "accuracy"), _named(evals, "accuracy"))
    if accuracies:
        lines = _references(start, "accuracy_reference")
        svg = line_chart("Accuracy", accuracies, "step", "accuracy", lines, y_format=_per_cent, y_from=0.0)
        sections.append(page.chart(svg))
    small = [
        _small("Learning rate", steps, "lr", "learning rate"),
        _small("Gradient norm", steps, "grad_norm", "norm before clipping"),
        _small("Speed", steps, "tokens_per_second", "tokens per second"),
    ]
    if drawn := [svg for svg in small if svg]:
        sections.append(page.charts(drawn))
    return sections


def _losses(steps: Sequence[Record], evals: Sequence[Record]) -> list[Series]:
    parts = _named(steps, "parts")
    training = [_series(steps, "loss", "training"), *(parts if len(parts) > 1 else [])]
    # The evaluation is of the whole loss, so it has that curve's colour.
    return [one for one in [*training, replace(_series(evals, "loss", "evaluation"), colour=0)] if one.xs]


def _paired(trained: Sequence[Series], evaluated: Sequence[Series]) -> list[Series]:
    """Give each evaluation the colour of the training curve of its name, and a name of its own."""
    places = {name: at for at, name in enumerate(dict.fromkeys(one.name for one in [*trained, *evaluated]))}
    return [*trained, *(replace(e, name=f"{e.name}, evaluation", colour=places[e.name]) for e in evaluated)]


def _series(records: Sequence[Record], field: str, name: str) -> Series:
    points = [(one["step"], one[field]) for one in records if one.get(field) is not None]
    return Series(name, [x for x, _ in points], [float(y) for _, y in points])


def _named(records: Sequence[Record], group: str) -> list[Series]:
    names = dict.fromkeys(name for one in records for name in one.get(group) or {})
    flat = {name: [{"step": one["step"], **(one.get(group) or {})} for one in records] for name in names}
    return [_series(rows, name, name) for name, rows in flat.items()]


def _small(title: str, steps: Sequence[Record], field: str, label: str) -> str:
    one = _series(steps, field, label)
    finite = [y for y in one.ys if math.isfinite(y) and y > 0]
    if not one.xs:
        return ""
    # A spike that would flatten everything else is shown in powers of ten.
    log = field == "grad_norm" and bool(finite) and max(finite) > WIDE_RANGE * statistics.median(finite)
    return line_chart(title, [one], "step", label, log_y=log, y_from=0.0, size=SMALL)


def _references(start: Record, field: str) -> list[tuple[str, float]]:
    given = start.get(field)
    return [(name, float(value)) for name, value in given.items()] if isinstance(given, Mapping) else []


def _per_cent(value: float) -> str:
    return f"{tick(round(100 * value, 1))} %"
