"""One page for several runs: what differs among their settings, what came out, and their curves over each other.

Only like is put beside like.  Objectives are compared part by part, by name; evaluations of other text, other lengths or
another masking are called so, and nothing is marked as the best among them.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

from maskwright.report import page, panels
from maskwright.report.chart import LABELLED, swatch
from maskwright.report.history import History, mapping
from maskwright.report.numbers import MISSING, compact, duration, number, share
from maskwright.report.overlay import AXES, overlaid
from maskwright.report.page import Page, Section
from maskwright.report.run import progress
from maskwright.report.scores import score_text

__all__ = ["Compared", "compare_page"]

MEASURED = ("length", "held_out", "held_out_tokens", "objective", "train.seed")
"""Settings that decide on what, and with which masks, a run is evaluated."""
SOURCES = ("corpus", "data", "pair")
PLACES = frozenset({"out"})


@dataclass(frozen=True)
class Compared:
    """A run among others."""

    name: str
    run: History
    colour: int | None = None
    """Its place among the runs in colour; None: grey."""

    @property
    def label(self) -> Section:
        """The name with the line it has in the charts."""
        return Section(f'<span class="run">{swatch(self.colour)}{page.escape(self.name)}</span>')


def compare_page(runs: Sequence[tuple[str, History]], *, now: float) -> Page:
    """Return the page that compares runs, each with its name; ``now`` (seconds since 1970) tells which are going."""
    shown = _coloured(runs)
    unlike = _unlike(shown)
    parted = len({tuple(sorted(one.run.names("parts"))) for one in shown}) > 1
    out = Page(f"{len(shown)} runs compared", _moment(now), wide=True)
    out.add(*(progress(each.run, now, each.name) for each in shown if each.run.state(now).kind == "going"))
    out.add(*_remarks(shown, unlike, parted))
    out.add(page.heading("Runs"), _overview(shown, now))
    if any(one.run.evals for one in shown):
        out.add(page.heading("Evaluation"), _evaluations(shown, parted, alike=not unlike))
    if scores := _scores(shown):
        titles = dict.fromkeys(str(result.get("title", "")) for one in shown for result in one.run.results[-1:])
        out.add(page.heading(" / ".join(filter(None, titles)) or "Result"), scores)
    curves = overlaid([(one.name, one.run, one.colour) for one in shown], parted=parted, unlike=bool(unlike))
    if curves:
        out.add(page.heading("Curves"), panels.switch("axis", AXES), *curves)
    out.add(page.heading("Settings that differ"), _settings(shown))
    if any(one.run.start.get("command") for one in shown):
        out.add(page.heading("Do it again"))
        out.add(*(page.code(str(one.run.start["command"])) for one in shown if one.run.start.get("command")))
    return out


def _moment(seconds: float) -> str:
    return datetime.fromtimestamp(seconds, UTC).strftime("As of %-d %B %Y, %H:%M UTC")


def _coloured(runs: Sequence[tuple[str, History]]) -> list[Compared]:
    """Give colours: to all runs, or to the eight of lowest loss."""
    order = range(len(runs)) if len(runs) <= LABELLED else sorted(range(len(runs)), key=lambda at: _loss(runs[at][1]))
    colours = {at: colour for colour, at in enumerate(list(order)[:LABELLED])}
    return [Compared(name, run, colours.get(at)) for at, (name, run) in enumerate(runs)]


def _loss(run: History) -> float:
    losses = [run.evals[run.best].get("loss", math.nan)] if run.best is not None else run.curve("loss").ys[-50:]
    mean = sum(losses) / len(losses) if losses else math.nan
    return math.inf if math.isnan(mean) else mean


def _flat(values: Mapping[str, Any], before: str = "") -> dict[str, Any]:
    """Return nested settings by dotted name."""
    out: dict[str, Any] = {}
    for name, value in values.items():
        inner = _flat(value, f"{before}{name}.") if isinstance(value, Mapping) else {}
        out |= inner or {f"{before}{name}": value}
    return out


def _differing(shown: Sequence[Compared], settings: Sequence[Mapping[str, Any]]) -> dict[str, list[Any]]:
    """Return the settings that are not the same in all runs; a run that lacks one has None."""
    names = dict.fromkeys(name for one in settings for name in one)
    values = {name: [one.get(name) for one in settings] for name in names}
    return {name: each for name, each in values.items() if any(value != each[0] for value in each[1:])}


def _unlike(shown: Sequence[Compared]) -> dict[str, list[Any]]:
    """Return what makes the runs' evaluations other ones: name → value of each run; empty where they are alike."""
    held = []
    for one in shown:
        if not one.run.evals and not one.run.results:
            continue
        settings = _flat(mapping(one.run.start.get("config")))
        reference = _flat(mapping(one.run.start.get("reference")))
        # The entropy of the text says more than its path, which may be written in several ways.
        wanted = MEASURED if reference else (*MEASURED, *SOURCES)
        chosen = {n: v for n, v in settings.items() if n in wanted or n.startswith("objective.")}
        held.append((one, chosen | reference))
    return _differing([one for one, _ in held], [values for _, values in held]) if len(held) > 1 else {}


def _remarks(shown: Sequence[Compared], unlike: Mapping[str, Sequence[Any]], parted: bool) -> list[Section]:
    remarks = []
    if unlike:
        said = "; ".join(f"{name}: {', '.join(dict.fromkeys(map(_setting, v)))}" for name, v in unlike.items())
        text = f"The evaluations are not alike ({said}): a better number there need not mean a better model."
        remarks.append(page.callout(text, "warning"))
    if parted:
        said = "; ".join(f"{one.name}: {', '.join(one.run.names('parts')) or 'none'}" for one in shown)
        text = f"The runs have different objectives ({said}), so whole losses are not compared, only parts of one name."
        remarks.append(page.callout(text, "note"))
    for one in shown:
        if count := len(one.run.broken):
            steps = "1 step" if count == 1 else f"{count:,} steps"
            first = f"from step {one.run.broken[0]:,} on" if count > 1 else f"step {one.run.broken[0]:,}"
            remarks.append(page.callout(f"{one.name}: {steps} not finite ({first}).", "warning"))
    return remarks


def _overview(shown: Sequence[Compared], now: float) -> Section:
    rows = []
    for one in shown:
        run = one.run
        state, last = run.state(now), run.last or {}
        again = f", resumed {run.resumes} ×" if run.resumes else ""
        tokens = last.get("tokens")
        rows.append(
            [
                one.label,
                state.text.partition(" after step")[0] + again,
                compact(run.start.get("parameters")),
                number(run.steps),
                number(run.planned),
                compact(tokens),
                duration(run.seconds),
                compact(tokens / run.seconds) if tokens and run.seconds else MISSING,
            ]
        )
    head = ["", "state", "parameters", "steps", "of", "tokens", "time", "tokens per second"]
    many = f"In colour in the charts: the {LABELLED} runs of lowest loss." if len(shown) > LABELLED else ""
    return page.table(head, rows, caption=f"{many} Tokens per second: over the whole time.".strip())


def _evaluations(shown: Sequence[Compared], parted: bool, *, alike: bool) -> Section:
    """Return each run's best evaluation, and the last loss; the best of a column is marked where all are alike."""
    found = [one.run.evals[one.run.best] if one.run.best is not None else {} for one in shown]
    names = {g: dict.fromkeys(n for e in found for n in mapping(e.get(g))) for g in ("parts", "accuracy", "metrics")}
    columns: list[tuple[str, list[str]]] = [("best at step", [number(one.get("step")) for one in found])]
    if not parted:
        last = [one.run.evals[-1].get("loss") if one.run.evals else None for one in shown]
        columns.append(("loss", _marked([one.get("loss") for one in found], number, min if alike else None)))
        columns.append(("last loss", [number(value) for value in last]))
    for group, title, write in (
        ("parts", "{} loss", number),
        ("accuracy", "{} accuracy", share),
        ("metrics", "{}", number),
    ):
        if group == "parts" and not parted and len(names[group]) < 2:
            continue
        for name in names[group]:
            values = [mapping(one.get(group)).get(name) for one in found]
            # Whether more of a metric is better is not known here.
            better = {"parts": min, "accuracy": max}.get(group) if alike else None
            columns.append((title.format(name), _marked(values, write, better)))
    rows = [[one.label, *(texts[at] for _, texts in columns)] for at, one in enumerate(shown)]
    caption = "Each run's best evaluation. ★: the best of its column." if alike else "Each run's best evaluation."
    return page.table(["", *(title for title, _ in columns)], rows, caption=caption)


def _marked(values: Sequence[float | None], write: Any, better: Any) -> list[str]:
    finite = [value for value in values if value is not None and math.isfinite(value)]
    best = better(finite) if better and len(finite) > 1 else None
    return [("★ " if value is not None and value == best else "") + write(value) for value in values]


def _scores(shown: Sequence[Compared]) -> Section | None:
    held = [mapping(one.run.results[-1].get("scores")) if one.run.results else {} for one in shown]
    names = list(dict.fromkeys(name for scores in held for name in scores))
    rows = [
        [one.label, *(score_text(scores[name]) if name in scores else MISSING for name in names)]
        for one, scores in zip(shown, held, strict=True)
    ]
    return page.table(["", *names], rows) if names else None


def _settings(shown: Sequence[Compared]) -> Section:
    settings = []
    for one in shown:
        config = {n: v for n, v in _flat(mapping(one.run.start.get("config"))).items() if n not in PLACES}
        around = {"processes": one.run.start.get("processes"), "planned steps": one.run.planned}
        machine = _flat({"machine": mapping(one.run.start.get("machine")), **mapping(one.run.start.get("versions"))})
        settings.append(config | around | machine)
    differing = _differing(shown, settings)
    if not differing:
        return page.paragraph("None: the runs have the same settings, on the same machine.")
    rows = [[name, *map(_setting, values)] for name, values in differing.items()]
    return page.table(["", *(one.label for one in shown)], rows)


def _setting(value: object) -> str:
    return MISSING if value is None else page.leaf(value)
