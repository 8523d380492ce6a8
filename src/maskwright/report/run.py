"""The page of one training run: what was run, what came out, how it went, on what, and how to do it again.

Works from the records of a run log alone, also where the run was interrupted, resumed, never evaluated, or is still going.
"""

from __future__ import annotations

import math
import statistics
from collections.abc import Iterable, Mapping
from datetime import UTC, datetime
from typing import Any

from maskwright.report import page, panels
from maskwright.report.curves import curve_sections
from maskwright.report.finetuned import diagnosis_sections
from maskwright.report.history import History, mapping
from maskwright.report.ledger import ledger_sections
from maskwright.report.masking import masking_rows
from maskwright.report.numbers import compact, duration, number, share
from maskwright.report.page import Page, Section, Stat
from maskwright.report.scores import score_sections

__all__ = ["progress", "run_page"]

Record = Mapping[str, Any]

MOST_ROWS = 30
MASKED_WORDS = "mlm"


def run_page(
    log: Iterable[Record] | History,
    ledger: Mapping[str, Any] | None = None,
    extra_sections: Iterable[Section] = (),
    *,
    now: float | None = None,
) -> Page:
    """Return the report of a run from its log (``read_log``, or its history), and sections of the caller's own.

    The extra sections stand right after the result: what the model can do comes before how it was made.  ``ledger`` is for
    a log that holds none.  With ``now`` (seconds since 1970) the page says whether the run is going, and how far it is.
    """
    run = log if isinstance(log, History) else History.of(log)
    out = Page(str(run.start.get("name") or "Training run"), _subtitle(run))
    if now is not None and run.state(now).kind == "going":
        out.add(progress(run, now))
    out.add(page.stats(_tiles(run, now)), *_remarks(run, now))
    for result in run.results[-1:]:
        out.add(*score_sections(result), *diagnosis_sections(result))
    out.add(*extra_sections)
    curves = curve_sections(run)
    if curves:
        out.add(page.heading("Curves"), *curves)
    if run.evals:
        out.add(page.heading("Evaluation"), _evaluation(run))
    accounts = ledger_sections(ledger or mapping(run.start.get("ledger")))
    if accounts:
        out.add(page.heading("Data"), page.paragraph("What was read, and what became of it."), *accounts)
    if masking := masking_rows(mapping(run.start.get("masking"))):
        out.add(page.heading("Masking"), page.key_values(masking))
    machine = {**mapping(run.start.get("machine")), **mapping(run.start.get("versions"))}
    if machine:
        out.add(page.heading("Machine"), page.key_values(machine))
    if config := mapping(run.start.get("config")):
        out.add(page.heading("Configuration"), *_configuration(config))
    if command := run.start.get("command"):
        out.add(page.heading("Do it again"), page.code(str(command)))
    return out


def progress(run: History, now: float, name: str = "") -> Section:
    """Return the line that says how far a going run is, when it last spoke, and when it will be done."""
    facts = [f"step {run.steps:,}" + (f" of {run.planned:,}" if run.planned else "")]
    if run.newest is not None:
        age = now - run.newest["time"]
        facts.append(f"last record {_clock(run.newest['time'])} ({f'{duration(age)} ago' if age >= 2 else 'just now'})")
    if (left := run.seconds_left()) is not None:
        facts.append(f"about {duration(left)} left")
        facts.append(f"done around {_clock(now + left, now)}")
    return panels.status(f"{name or 'Going'}: {facts[0]}", facts[1:], run.steps / run.planned if run.planned else None)


def _clock(seconds: float, today: float | None = None) -> str:
    moment = datetime.fromtimestamp(seconds, UTC)
    if today is None:
        return moment.strftime("%H:%M:%S UTC")
    same = moment.date() == datetime.fromtimestamp(today, UTC).date()
    return moment.strftime("%H:%M UTC" if same else "%-d %B, %H:%M UTC")


def _subtitle(run: History) -> str:
    facts = []
    if run.began is not None:
        facts.append(datetime.fromtimestamp(run.began, UTC).strftime("%-d %B %Y, %H:%M UTC"))
        facts.append(duration(run.seconds))
    if "parameters" in run.start:
        facts.append(f"{compact(run.start['parameters'])} parameters")
    machine = mapping(run.start.get("machine"))
    if device := machine.get("gpu") or machine.get("cpu") or machine.get("device"):
        facts.append(str(device))
    # A line breaks between facts, not inside a short one such as a time.
    return "\u00a0· ".join(fact.replace(" ", "\u00a0") if len(fact) < 20 else fact for fact in facts)


def _tiles(run: History, now: float | None) -> list[Stat]:
    tiles = []
    if run.best is not None:
        best = run.evals[run.best]
        for name, value in mapping(best.get("metrics")).items():
            tiles.append(Stat(name, number(value), f"evaluation at step {best['step']:,}"))
        if "loss" in best and len(tiles) < 3:
            remark = f"best of {len(run.evals)}, step {best['step']:,}"
            tiles.append(Stat("evaluation loss", number(best["loss"]), remark))
    if losses := _late(run.curve("loss").ys):
        first = run.curve("loss").ys[0]
        tiles.append(Stat("training loss", number(statistics.fmean(losses)), f"from {number(first)} at the start"))
    for name, value in mapping((run.evals[-1] if run.evals else run.last or {}).get("accuracy")).items():
        where = "evaluation" if run.evals else "training"
        tiles.append(Stat(f"{name} accuracy", share(value), f"{where}, last"))
    if run.last is not None:
        seen = f"{compact(run.last['tokens'])} tokens seen" if "tokens" in run.last else ""
        tiles.append(Stat("steps", number(run.steps), seen))
    if speeds := [speed for speed in run.curve("tokens_per_second").ys if math.isfinite(speed)]:
        tiles.append(Stat("tokens per second", compact(statistics.median(speeds)), "median over the steps"))
    tiles.append(Stat("time", duration(run.seconds), _outcome(run, now)))
    return tiles


def _late(values: Iterable[float]) -> list[float]:
    """Return the last twentieth of the steps' values, at most 50: a single step's loss says little."""
    held = list(values)
    return held[-min(50, max(1, len(held) // 20)) :]


def _outcome(run: History, now: float | None) -> str:
    again = "" if not run.resumes else ", resumed once" if run.resumes == 1 else f", resumed {run.resumes} times"
    if run.end is None and now is not None:
        return ("so far" if run.state(now).kind == "going" else "no end recorded") + again
    return (str(run.end["reason"]) if run.end else "no end recorded") + again


def _remarks(run: History, now: float | None) -> list[Section]:
    """Say what the numbers mean, and what is wrong with them."""
    remarks = []
    last = f"after step {run.steps:,}" if run.last else "before its first step"
    if run.end is None and now is None:
        remarks.append(page.callout(f"The log stops {last}: the run was interrupted or is still going.", "warning"))
    elif now is not None and (state := run.state(now)).kind == "silent":
        silence = duration(now - run.newest["time"]) if run.newest else ""
        why = state.text if state.text.startswith("stopped") else f"The log stops {last}, {silence} ago"
        remarks.append(page.callout(f"{why[0].upper()}{why[1:]}. Go on with --resume.", "warning"))
    if broken := run.broken:
        where = ", ".join(f"{step:,}" for step in broken[:5]) + (" …" if len(broken) > 5 else "")
        steps = "1 step" if len(broken) == 1 else f"{len(broken):,} steps"
        text = f"{steps} had a loss or a gradient that is not finite (step {where}); marked × in the curves."
        remarks.append(page.callout(text, "warning"))
    verdicts = (_verdict(run, name, value) for name, value in mapping(run.start.get("reference")).items())
    return remarks + [one for one in verdicts if one is not None]


def _verdict(run: History, name: str, level: float) -> Section | None:
    """Compare the loss with a reference: where there are several parts, the masked-word loss alone."""
    evaluated = run.evals[run.best] if run.best is not None else None
    parts = mapping(evaluated.get("parts")) if evaluated else run.names("parts")
    if evaluated:
        found = mapping(parts).get(MASKED_WORDS) if len(parts) > 1 else evaluated.get("loss")
        losses = [found] if isinstance(found, int | float) else []
    else:
        losses = _late(run.curve(MASKED_WORDS, "parts").ys if len(parts) > 1 else run.curve("loss").ys)
    if not losses or not math.isfinite(statistics.fmean(losses) + level):
        return None
    loss = statistics.fmean(losses)
    kind = "evaluation" if evaluated else "training"
    kind += f" {MASKED_WORDS}" if len(parts) > 1 else ""
    unigram = "unigram" in name
    if loss < level:
        meaning = ": the model has learnt more than how often each word occurs" if unigram else ""
        text = (
            f"The {kind} loss came to {number(loss)}, {number(level - loss)} below {name} ({number(level)}){meaning}."
        )
        return page.callout(text, "good")
    meaning = ": so far the model knows no more than how often each word occurs" if unigram else ""
    return page.callout(f"The {kind} loss, {number(loss)}, is not below {name} ({number(level)}){meaning}.", "warning")


def _evaluation(run: History) -> Section:
    names: dict[tuple[str, str], None] = {}
    for one in run.evals:
        names.update({("", "loss"): None} if "loss" in one else {})
        names.update({(group, n): None for group in ("parts", "accuracy", "metrics") for n in mapping(one.get(group))})
    parts = [name for group, name in names if group == "parts"]
    # One part is the loss itself: no second column for it.
    columns = [(group, name) for group, name in names if group != "parts" or len(parts) > 1]
    stride = math.ceil(len(run.evals) / MOST_ROWS)
    shown = [at for at in range(len(run.evals)) if at % stride == 0 or at in (run.best, len(run.evals) - 1)]
    rows = []
    for at in shown:
        one = run.evals[at]
        values = [one.get(name) if not group else mapping(one.get(group)).get(name) for group, name in columns]
        texts = [share(v) if group == "accuracy" else number(v) for (group, _), v in zip(columns, values, strict=True)]
        rows.append([one["step"], *texts])
    titles = {"parts": "{} loss", "accuracy": "{} accuracy"}
    head = [titles.get(group, "{}").format(name) for group, name in columns]
    said = [f"{len(shown)} of {len(run.evals):,} evaluations."] if stride > 1 else []
    said += ["Of the averaged weights."] if run.evals[-1].get("ema") else []
    said += ["Highlighted: the best one."] if run.best is not None else []
    highlight = shown.index(run.best) if run.best is not None else None
    return page.table(["step", *head], rows, caption=" ".join(said), highlight=highlight)


def _configuration(config: Mapping[str, Any]) -> list[Section]:
    branches = {name: value for name, value in config.items() if isinstance(value, Mapping) and value}
    leaves = {name: value for name, value in config.items() if name not in branches}
    sections = [page.details(name, value) for name, value in branches.items()]
    return ([page.details("general", leaves)] if leaves else []) + sections
