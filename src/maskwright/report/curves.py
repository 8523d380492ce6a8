"""The curves of a training run: loss, accuracy, learning rate, gradient norm, speed, and what was warmed up."""

from __future__ import annotations

import math
import statistics
from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

from maskwright.report import page
from maskwright.report.chart import SMALL, Series, line_chart
from maskwright.report.history import History, mapping
from maskwright.report.numbers import tick
from maskwright.report.page import Section

__all__ = ["curve_sections", "evaluated", "per_cent"]

WIDE_RANGE = 30


def curve_sections(run: History) -> list[Section]:
    """Return charts of everything that the step and eval records hold; empty where they hold nothing to draw.

    ``start["reference"]`` and ``start["accuracy_reference"]`` ({name: value}) are drawn as lines.
    """
    sections = []
    losses = _losses(run)
    if losses:
        svg = line_chart("Loss", losses, "step", "loss", _references(run.start, "reference"))
        many = any(len(one.ys) > 200 for one in losses)
        every = "every step" if run.stride == 1 else f"one step of {run.stride}"
        sections.append(page.chart(svg, f"Thin: {every}. Thick: smoothed over the steps around it." if many else ""))
    accuracies = _paired(_named(run, "accuracy"), [evaluated(run, "accuracy", name) for name in run.names("accuracy")])
    if accuracies:
        lines = _references(run.start, "accuracy_reference")
        svg = line_chart("Accuracy", accuracies, "step", "accuracy", lines, y_format=per_cent, y_from=0.0)
        sections.append(page.chart(svg))
    small = [
        _small(run, "Learning rate", "lr", "learning rate"),
        _small(run, "Gradient norm", "grad_norm", "norm before clipping"),
        _small(run, "Speed", "tokens_per_second", "tokens per second"),
        _warmed(run, "Batch", "batch_tokens", "tokens"),
        _warmed(run, "Length", "length", "longest example"),
    ]
    if drawn := [svg for svg in small if svg]:
        sections.append(page.charts(drawn))
    return sections


def evaluated(run: History, group: str, name: str) -> Series:
    """Return a field of the evaluations as a curve; the group of the loss is ""."""
    points = [
        (one["step"], value)
        for one in run.evals
        if isinstance(value := (mapping(one.get(group)) if group else one).get(name), int | float)
    ]
    return Series(name, [x for x, _ in points], [float(y) for _, y in points])


def per_cent(value: float) -> str:
    """Write a share at an axis."""
    return f"{tick(round(100 * value, 1))} %"


def _losses(run: History) -> list[Series]:
    parts = _named(run, "parts")
    training = [Series("training", *run.curve("loss")), *(parts if len(parts) > 1 else [])]
    # The evaluation is of the whole loss, so beside curves of the parts it has that curve's colour.
    found = replace(evaluated(run, "", "loss"), name="evaluation", colour=0 if len(training) > 1 else None)
    return [one for one in [*training, found] if len(one.xs)]


def _named(run: History, group: str) -> list[Series]:
    return [Series(name, *curve) for (of, name), curve in run.curves.items() if of == group]


def _paired(trained: Sequence[Series], scored: Sequence[Series]) -> list[Series]:
    """Give each evaluation the colour of the training curve of its name, and a name of its own."""
    scored = [one for one in scored if len(one.xs)]
    places = {name: at for at, name in enumerate(dict.fromkeys(one.name for one in [*trained, *scored]))}
    return [*trained, *(replace(e, name=f"{e.name}, evaluation", colour=places[e.name]) for e in scored)]


def _small(run: History, title: str, field: str, label: str) -> str:
    one = Series(label, *run.curve(field))
    if not len(one.xs):
        return ""
    finite = [y for y in one.ys if math.isfinite(y) and y > 0]
    # A spike that would flatten everything else is shown in powers of ten.
    log = field == "grad_norm" and bool(finite) and max(finite) > WIDE_RANGE * statistics.median(finite)
    return line_chart(title, [one], "step", label, log_y=log, y_from=0.0, size=SMALL)


def _warmed(run: History, title: str, field: str, label: str) -> str:
    """Return the chart of what is set, not measured; none where it never changes in earnest."""
    ys = run.curve(field).ys
    return _small(run, title, field, label) if len(ys) and max(ys) > 1.5 * min(ys) else ""


def _references(start: Mapping[str, Any], field: str) -> list[tuple[str, float]]:
    return [(name, float(value)) for name, value in mapping(start.get(field)).items()]
