"""The part of a fine-tuning's page behind its scores: learning curve, confusions, worst errors, calibration."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from maskwright.report import page
from maskwright.report.chart import Series, confusion_matrix, line_chart
from maskwright.report.numbers import number, share
from maskwright.report.page import Page, Section
from maskwright.report.scores import score_text

__all__ = ["curve_page", "diagnosis_sections"]


def diagnosis_sections(result: Mapping[str, Any]) -> list[Section]:
    """Return what a result record holds of ``learning_curve``, ``confusion``, ``errors`` and ``calibration``, if anything."""
    sections: list[Section] = []
    if isinstance(points := result.get("learning_curve"), list) and points:
        sections += [page.heading("Learning curve"), *_learning(points)]
    if isinstance(confusion := result.get("confusion"), Mapping):
        svg = confusion_matrix("Confusions", confusion["labels"], confusion["counts"])
        sections += [page.heading("Confusions"), page.chart(svg, "Rows: the label; columns: what it was taken for.")]
    if isinstance(errors := result.get("errors"), list) and errors:
        sections += [page.heading("Worst errors"), _errors(errors, result.get("wrong"))]
    if isinstance(calibration := result.get("calibration"), Mapping):
        sections += [page.heading("Calibration"), *_calibration(calibration)]
    return sections


def curve_page(points: Sequence[Mapping[str, Any]], command: str) -> Page:
    """Return the report of a learning curve over several seeds, whose points ``train.curve.over_seeds`` made."""
    out = Page("Learning curve", f"mean of {points[0]['seeds']} seeds")
    out.add(*_learning(points))
    out.add(page.heading("Do it again"), page.code(command))
    return out


def _learning(points: Sequence[Mapping[str, Any]]) -> list[Section]:
    """Draw the first metric and write down all of them."""
    name = next(iter(points[0]["scores"]))
    scores = [point["scores"][name] for point in points]
    ends = [(score["low"], score["high"]) for score in scores]
    curves = [Series("model", [point["rows"] for point in points], [score["value"] for score in scores], ends=ends)]
    methods = dict.fromkeys(method for score in scores for method in score["beside"])
    for method in methods:
        there = [
            (point["rows"], score["beside"][method])
            for point, score in zip(points, scores, strict=True)
            if method in score["beside"]
        ]
        curves.append(Series(method, [x for x, _ in there], [y for _, y in there]))
    chart = line_chart("Score by training rows", curves, "training rows", name)
    if seeds := points[0].get("seeds"):
        said = (
            f"Each point is the mean of {seeds} seeds; bars, and what stands in brackets: the lowest and the highest."
        )
    else:
        said = "Each point is a run of its own, scored on the same rows; bars: 95 % intervals over these rows, not over seeds."
    lines = [
        [f"{point['rows']:,}", each, score_text(score), *(number(score["beside"].get(method)) for method in methods)]
        for point in points
        for each, score in point["scores"].items()
    ]
    return [page.chart(chart, said), page.table(["training rows", "", "model", *methods], lines)]


def _errors(errors: Sequence[Mapping[str, Any]], wrong: Any) -> Section:
    sure = "probability" in errors[0]
    rows = [
        (
            error.get("line"),
            *error["texts"],
            error["gold"] if isinstance(error["gold"], str) else number(error["gold"]),
            error["answer"] if isinstance(error["answer"], str) else number(error["answer"]),
            *([share(error["probability"])] if sure else []),
        )
        for error in errors
    ]
    texts = ["text", "second text"][: len(errors[0]["texts"])]
    of = (
        f"The {len(errors):,} surest of {wrong:,} wrong answers." if isinstance(wrong, int) else "The farthest answers."
    )
    return page.table(["line", *texts, "label", "answer", *(["sure"] if sure else [])], rows, caption=of)


def _calibration(found: Mapping[str, Any]) -> list[Section]:
    bins = found["bins"]
    curves = [
        Series("model", [b[0] for b in bins], [b[1] for b in bins]),
        Series("as sure as right", [0.0, 1.0], [0.0, 1.0]),
    ]
    text = f"Expected calibration error {share(found['error'])}"
    if isinstance(mended := found.get("error_with_temperature"), int | float):
        text += f"; with a temperature fitted on the other half of the rows {share(mended)} (--calibrate)"
    chart = line_chart("Sureness and accuracy", curves, "mean probability of the answers", "share right", y_from=0.0)
    return [page.chart(chart, f"{text}.")]
