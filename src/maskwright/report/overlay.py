"""The curves of several runs over each other: by step, by tokens seen and by time."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace

from maskwright.report import page, panels
from maskwright.report.chart import Series, overlay_chart
from maskwright.report.curves import evaluated, per_cent
from maskwright.report.history import Curve, History
from maskwright.report.numbers import compact, duration, tick
from maskwright.report.page import Section

__all__ = ["AXES", "overlaid"]

AXES = {"step": "by step", "tokens": "by tokens seen", "elapsed": "by time"}
_FORMATS: dict[str, tuple[str, Callable[[float], str]]] = {
    "step": ("step", tick),
    "tokens": ("tokens seen", compact),
    "elapsed": ("time", duration),
}
CUT = "Higher values are cut off."
Named = tuple[str, History, int | None]


def overlaid(runs: Sequence[Named], *, parted: bool, unlike: bool) -> list[Section]:
    """Return the charts that runs (name, history, colour) have in common; each over every axis, one of them to be shown.

    ``parted``: the runs have different objectives, so their whole losses are left out.  ``unlike``: so are the evaluations,
    which is said below each.
    """
    drawn: list[Section] = []
    parts = _names(runs, "parts")
    remark = "The evaluations are not alike; see above." if unlike else ""
    if not parted:
        drawn += _charts("Training loss", runs, "loss", "", "loss", tick)
        drawn += _charts("Evaluation loss", runs, "loss", "", "loss", tick, True, remark)
    for name in parts if parted or len(parts) > 1 else []:
        drawn += _charts(f"Training loss, {name}", runs, name, "parts", "loss", tick)
        drawn += _charts(f"Evaluation loss, {name}", runs, name, "parts", "loss", tick, True, remark)
    for name in _names(runs, "accuracy"):
        found = _charts(f"Evaluation accuracy, {name}", runs, name, "accuracy", "accuracy", per_cent, True, remark)
        drawn += found or _charts(f"Training accuracy, {name}", runs, name, "accuracy", "accuracy", per_cent)
    for name in _names(runs, "metrics"):
        drawn += _charts(f"Evaluation, {name}", runs, name, "metrics", name, tick, True, remark)
    return [panels.beside(drawn)] if drawn else []


def _names(runs: Sequence[Named], group: str) -> list[str]:
    return list(dict.fromkeys(name for _, run, _ in runs for name in run.names(group)))


def _charts(
    title: str,
    runs: Sequence[Named],
    field: str,
    group: str,
    label: str,
    y_format: Callable[[float], str],
    evaluations: bool = False,
    remark: str = "",
) -> list[Section]:
    """Return a field's chart over each axis as one section; empty where no run has the field."""
    drawn = []
    for axis, (x_label, x_format) in _FORMATS.items():
        series = []
        for name, run, colour in runs:
            held = evaluated(run, group, field) if evaluations else Series(name, *run.curve(field, group))
            one = _along(run, replace(held, name=name, colour=colour), axis)
            if len(one.xs):
                series.append(one)
        if not series:
            return []
        svg, cut = overlay_chart(
            title, series, x_label, label, x_format=x_format, y_format=y_format, falls=label == "loss"
        )
        drawn.append((axis, page.chart(svg, " ".join(filter(None, [CUT if cut else "", remark])))))
    return [panels.switched("axis", dict(drawn))]


def _along(run: History, one: Series, axis: str) -> Series:
    """Return a curve over another axis; points of which the place there is not known are left out."""
    if axis == "step":
        return one
    held: Curve = run.curve(axis)
    if held.xs == one.xs:
        return replace(one, xs=held.ys)
    placed = [(place, y) for x, y in zip(one.xs, one.ys, strict=True) if (place := run.at(x, axis)) is not None]
    return replace(one, xs=[x for x, _ in placed], ys=[y for _, y in placed])
