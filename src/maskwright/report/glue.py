"""GLUE's table from what a run over it measured: mean ± sd and median over seeds, a linear rival, and published scores.

A published score stands beside these only where its protocol is like theirs: all of the published rows, the same choice of
weights, the same start; otherwise the cell is empty and a line below says why.
"""

from __future__ import annotations

import statistics
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from maskwright.report import page
from maskwright.report.chart import Bar, bar_chart
from maskwright.report.numbers import duration
from maskwright.report.page import Page

__all__ = ["Line", "average", "glue_lines", "glue_notes", "glue_page", "glue_table"]

MISSING = "–"


@dataclass(frozen=True)
class Line:
    """One metric of one task; scores are 0 to 100."""

    task: str
    metric: str
    scores: tuple[float, ...]
    """One a seed."""
    rival: float | None
    """Of the best simple method."""
    published: float | None

    @property
    def mean(self) -> float:
        """Over the seeds."""
        return statistics.fmean(self.scores)

    @property
    def spread(self) -> str:
        """Mean and standard deviation of the sample; of one seed the mean alone."""
        if len(self.scores) == 1:
            return f"{self.mean:.1f}"
        return f"{self.mean:.1f} ± {statistics.stdev(self.scores):.1f}"


def glue_lines(found: Mapping[str, Any], published: Mapping[str, Any] | None = None) -> list[Line]:
    """Return a line for each metric of each evaluated split.

    found: what ``glue.json`` holds.  published: the fields of a ``Published``, or None.
    """
    lines = []
    for name, facts in found["tasks"].items():
        cells = [cell for cell in found["cells"] if cell["task"] == name]
        for split in cells[0]["scores"]:
            key = {"dev": name, "dev_mismatched": f"{name}-mm", "ax-dev": "ax"}.get(split, f"{name} {split}")
            title = {"dev": facts["title"], "dev_mismatched": f"{facts['title']}-mm", "ax-dev": "AX"}.get(split, key)
            for metric in cells[0]["scores"][split]:
                rivals = [scores[metric] for scores in facts["baselines"].values() if metric in scores]
                there = None if published is None or _unlike(found, name, published) else published["scores"].get(key)
                lines.append(
                    Line(
                        title,
                        metric,
                        tuple(100 * cell["scores"][split][metric] for cell in cells),
                        100 * max(rivals) if rivals and split == "dev" else None,
                        (there or {}).get(metric),
                    )
                )
    return lines


def _unlike(found: Mapping[str, Any], name: str, published: Mapping[str, Any]) -> str:
    """Why a task's published score is no like of ours; empty where it is."""
    config, facts = found["config"], found["tasks"][name]
    if not facts["official"]:
        return str(facts["why_not"])
    if config["weights"] != published["weights"]:
        return f"{config['weights']} weights here, {published['weights']} there"
    if name in config["start_from"]:
        return f"starts from {config['start_from'][name]}"
    return ""


def average(found: Mapping[str, Any]) -> tuple[float, ...]:
    """Return each seed's mean over the tasks, a task's score being the mean over its metrics and dev sets, 0 to 100."""
    seeds = sorted({cell["seed"] for cell in found["cells"]})
    scores: dict[int, list[float]] = {seed: [] for seed in seeds}
    for cell in found["cells"]:
        values = [v for split, held in cell["scores"].items() if not split.startswith("ax") for v in held.values()]
        scores[cell["seed"]].append(100 * statistics.fmean(values))
    return tuple(statistics.fmean(scores[seed]) for seed in seeds)


def glue_table(found: Mapping[str, Any], published: Mapping[str, Any] | None) -> tuple[list[str], list[list[str]]]:
    """Return the columns and the rows of the table, as text."""
    lines = glue_lines(found, published)
    rivals = any(line.rival is not None for line in lines)
    columns = ["task", "metric", "mean ± sd", "median", *(["TF-IDF"] if rivals else [])]
    like = any(line.published is not None for line in lines)
    columns += [str(published["model"])] if published and like else []
    rows = []
    for at, line in enumerate(lines):
        name = "" if at and lines[at - 1].task == line.task else line.task
        row = [name, line.metric, line.spread, f"{statistics.median(line.scores):.1f}"]
        row += [_one(line.rival)] if rivals else []
        rows.append(row + ([_one(line.published)] if published and like else []))
    if len(lines) == 1:  # it is its own average
        return columns, rows
    means = Line("", "", average(found), None, None)
    count = len(found["tasks"])
    last = [f"average of {count}", "", means.spread, f"{statistics.median(means.scores):.1f}"]
    rows.append(last + [MISSING] * (len(columns) - 4))
    return columns, rows


def _one(value: float | None) -> str:
    return MISSING if value is None else f"{value:.1f}"


def glue_notes(found: Mapping[str, Any], published: Mapping[str, Any] | None) -> list[str]:
    """Return the sentences that belong under the table: protocols, what is missing and why."""
    config, train = found["config"], found["config"]["train"]
    seeds = sorted({cell["seed"] for cell in found["cells"]})
    # Plain names and values: "1 epochs" reads worse than "epochs 1".
    size = next(f"{name} {train[name]:g}" for name in ("steps", "epochs", "minutes") if train[name] is not None)
    batch = next(f"{train[name]:,} {name}" for name in ("tokens", "examples") if train[name] is not None)
    ours = f"Here: dev, {len(seeds)} seed{'s' * (len(seeds) > 1)} ({seeds[0]} to {seeds[-1]}), {config['weights']} weights, "
    ours += f"length {config['length']}, rate {train['lr']:g}, {size}, {batch} a step. Scores × 100; sd over seeds."
    notes = [ours]
    if any(facts["baselines"] for facts in found["tasks"].values()):
        notes.append("TF-IDF: the better of the most frequent label and a linear model on TF-IDF, by each metric.")
    if published:
        reasons: dict[str, list[str]] = {}
        for name, facts in found["tasks"].items():
            reasons.setdefault(_unlike(found, name, published), []).append(facts["title"])
        if "" in reasons:
            notes.append(f"{published['model']}: {published['protocol']}. Source: {published['source']}.")
        notes += [f"No published score beside {', '.join(each)}: {why}." for why, each in reasons.items() if why]
    notes += [f"{name} was left out: {why}." for name, why in found["left_out"].items()]
    notes += [f"{name}: {', '.join(f'{k} {v}' for k, v in own.items())}." for name, own in config["per_task"].items()]
    return notes


def glue_page(found: Mapping[str, Any], published: Mapping[str, Any] | None) -> Page:
    """Return the report of a run over GLUE."""
    out = Page("GLUE", f"{found['config']['model']} · dev sets", wide=True)
    columns, rows = glue_table(found, published)
    out.add(page.heading("Scores"), page.table(columns, rows), *map(page.paragraph, glue_notes(found, published)))
    lines = glue_lines(found, published)
    bars = [Bar(f"{line.task} {line.metric}", line.mean, min(line.scores), max(line.scores)) for line in lines]
    out.add(page.chart(bar_chart("Mean over seeds", bars), "Whiskers: the lowest and the highest seed."))
    out.add(page.heading("Every run"), _runs(found))
    for archive in found["archives"].values():
        if archive:
            lacks = "; ".join(archive["missing"]) or "complete"
            out.add(page.paragraph(f"{archive['path']}: {', '.join(archive['files'])} ({lacks})."))
    out.add(page.heading("Configuration"), page.details("all of it", found["config"]))
    if found["command"]:
        out.add(page.heading("Do it again"), page.code(found["command"]))
    return out


def _runs(found: Mapping[str, Any]) -> page.Section:
    rows: list[Sequence[object]] = []
    for cell in found["cells"]:
        facts = found["tasks"][cell["task"]]
        scores = [f"{name} {100 * v:.1f}" for split in cell["scores"].values() for name, v in split.items()]
        rows.append(
            (
                facts["title"],
                str(cell["seed"]),
                ", ".join(scores),
                facts["train_rows"],
                facts["dev_rows"],
                cell["steps"],
                duration(cell["seconds"]),
            )
        )
    return page.table(["task", "seed", "scores", "train rows", "dev rows", "steps", "time"], rows)
