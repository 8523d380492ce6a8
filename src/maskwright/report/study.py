"""The study of next sentences against sentence order, from what ``study.json`` holds: tables, sentences, one page.

Accuracies are written × 100, as the published table has them, which stands beside and is of another model and corpus.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from maskwright.report import page
from maskwright.report.chart import Bar, bar_chart
from maskwright.report.page import Page

__all__ = ["cross_table", "difference_table", "study_notes", "study_page"]

_ARMS = {"untrained": "untrained", "none": "none", "nsp": "NSP", "sop": "SOP"}
_TASKS = {"mlm": "MLM", "nsp": "NSP", "sop": "SOP", "longer": "longer"}
_READINGS = ("own", "frozen", "tuned")


def cross_table(
    found: Mapping[str, Any], published: Mapping[str, Mapping[str, float]]
) -> tuple[list[str], list[list[str]]]:
    """Return columns and rows: what was trained, how it was read, mean ± sd over seeds by task, and the published figures.

    published: trained with -> task -> accuracy × 100.
    """
    columns = ["trained with", "read", *_TASKS.values()]
    rows = []
    scores = found["summary"]["scores"]
    for arm, title in _ARMS.items():
        for reading in _READINGS:
            held = scores[reading].get(arm, {})
            if held:
                rows.append([title, reading, *(_mean(held.get(task)) for task in _TASKS)])
                title = ""
    rows.append(["", "simple rule", *(f"{100 * found['summary']['beside'][task]:.1f}" for task in _TASKS)])
    for arm, figures in published.items():
        rows.append([f"ALBERT, {_ARMS[arm]}", "published", *(_one(figures.get(task)) for task in _TASKS)])
    return columns, rows


def _mean(score: Mapping[str, Any] | None) -> str:
    if score is None:
        return "–"
    return f"{100 * score['mean']:.1f}" + ("" if score["sd"] is None else f" ± {100 * score['sd']:.1f}")


def _one(value: float | None) -> str:
    return "–" if value is None else f"{value:.1f}"


def difference_table(found: Mapping[str, Any]) -> tuple[list[str], list[list[str]]]:
    """Return columns and rows: each arm less the one of hidden tokens alone, in points, and what the protocol says of it."""
    columns = ["read", "task", "trained with", "points [95 %]", "it is", "ALBERT"]
    rows = []
    for one in found["summary"]["differences"]:
        points = f"{100 * one['mean']:+.1f} [{100 * one['low']:+.1f}, {100 * one['high']:+.1f}]"
        rows.append(
            [
                one["reading"],
                _TASKS[one["task"]],
                _ARMS[one["arm"]],
                points,
                one["says"],
                f"{one['albert']:+.1f}",
            ]
        )
    return columns, rows


def study_notes(found: Mapping[str, Any]) -> list[str]:
    """Return the sentences that belong under the tables: what passed, what was learnt, what follows, what stands beside."""
    summary, settings = found["summary"], found["protocol"]["settings"]
    checks = summary["checks"]
    notes = [
        "None: hidden tokens alone. Own: the model's own head; frozen: a head on its frozen encoder, which decides; tuned: all "
        "weights. Longer: the positive control. Simple rule: the better of the usual answer and the two lengths."
    ]
    notes += [f"{one['name'].capitalize()} {'passed' if one['passed'] else 'FAILED'}: {one['fact']}." for one in checks]
    if not all(one["passed"] for one in checks):
        notes.append("A control failed: by the protocol nothing follows from this study.")
    for one in summary["learnt"]:
        fact = (
            f"{100 * one['mean']:.1f} [{100 * one['low']:.1f}, {100 * one['high']:.1f}], rule {100 * one['rule']:.1f}"
        )
        said = "learnt" if one["passed"] else "did not learn"
        notes.append(f"Trained with {_ARMS[one['arm']]}: {said} {_TASKS[one['task']]}, by its own head ({fact}).")
    unlearnt = [_TASKS[one["task"]] for one in summary["learnt"] if not one["passed"] and one["task"] in ("nsp", "sop")]
    if unlearnt:
        notes.append(
            f"After these steps {' and '.join(unlearnt)} {'was' if len(unlearnt) == 1 else 'were'} not learnt: of what "
            f"{'it teaches' if len(unlearnt) == 1 else 'they teach'} the study says nothing."
        )
    nulls = [
        one for one in summary["differences"] if one["reading"] == "frozen" and one["says"] == "no difference shown"
    ]
    if nulls:
        notes.append(
            f"No difference shown in {len(nulls)} of 4 comparisons of the frozen reading; their intervals say what is excluded."
        )
    notes.append(
        f"{settings['seeds']} seeds, {settings['steps']:,} + {settings['arm_steps']:,} steps, length {settings['length']}; "
        "means ± sd over seeds, differences paired by seed with Student's interval."
    )
    notes.append(
        "ALBERT's figures are of another model, another corpus and far more training: beside, not like for like."
    )
    return notes


def study_page(found: Mapping[str, Any], published: Mapping[str, Mapping[str, float]]) -> Page:
    """Return the report of a study."""
    out = Page("Next sentences or sentence order?", "what each teaches a small encoder", wide=True)
    out.add(page.heading("Accuracy × 100"), page.table(*cross_table(found, published)))
    out.add(*map(page.paragraph, study_notes(found)))
    out.add(page.heading("Differences to hidden tokens alone"), page.table(*difference_table(found)))
    main = [one for one in found["summary"]["differences"] if one["reading"] == "frozen"]
    bars = [
        Bar(f"{_TASKS[one['task']]}: {_ARMS[one['arm']]}", 100 * one["mean"], 100 * one["low"], 100 * one["high"])
        for one in main
    ]
    out.add(page.chart(bar_chart("Frozen encoder, points", bars), "Whiskers: 95 % intervals over seeds."))
    out.add(page.heading("Protocol"), *_protocol(found["protocol"]))
    out.add(
        page.heading("Every model"), page.table(["seed", "trained with", "reading", *_TASKS.values()], _every(found))
    )
    if found["command"]:
        out.add(page.heading("Do it again"), page.code(found["command"]))
    return out


def _protocol(protocol: Mapping[str, Any]) -> list[page.Section]:
    said = [page.paragraph(f"{name.capitalize()}. {text}") for name, text in protocol["text"].items()]
    return [*said, page.details("settings", {name: value for name, value in protocol.items() if name != "text"})]


def _every(found: Mapping[str, Any]) -> list[Sequence[object]]:
    rows: list[Sequence[object]] = []
    for cell in found["cells"]:
        for reading in _READINGS:
            if cell[reading]:
                scores = [cell[reading].get(task) for task in _TASKS]
                rows.append(
                    (
                        str(cell["seed"]),
                        _ARMS[cell["arm"]],
                        reading,
                        *("–" if each is None else _interval(each["accuracy"]) for each in scores),
                    )
                )
    return rows


def _interval(each: Mapping[str, float]) -> str:
    return f"{100 * each['value']:.1f} [{100 * each['low']:.1f}, {100 * each['high']:.1f}]"
