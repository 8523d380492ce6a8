"""What several verbs share."""

from __future__ import annotations

import os
import shlex
import statistics
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from maskwright.report.log import read_log
from maskwright.report.masking import masking_rows
from maskwright.report.run import run_page
from maskwright.report.scores import score_table
from maskwright.report.terminal import console, key_values, show, sparkline, table

__all__ = [
    "command_line",
    "first_process",
    "heldout_table",
    "note",
    "share",
    "show_findings",
    "show_outlook",
    "show_profile",
    "show_rates",
    "show_spread",
    "warn_if_busy",
    "write_report",
]

HELD_OUT = "On text it never saw"


def command_line() -> str:
    """Return the command as it was typed, ready to be pasted."""
    return shlex.join(["maskwright", *sys.argv[1:]])


def first_process() -> bool:
    """Whether this process is the only one, or the first that torchrun started: the one that tells the user."""
    return os.environ.get("RANK", "0") == "0"


def note(text: str) -> None:
    """Print a remark on stderr."""
    console(stderr=True).print(text, soft_wrap=True)


def warn_if_busy() -> None:
    """Say so when other programs are using the cores."""
    from maskwright import machine

    if first_process() and (warning := machine.busy()):
        note(f"Note: {warning}.")


def show_rates(search: Any) -> None:
    """Print what the learning-rate finder saw."""
    rows = [
        (f"{search.rates[at]:.1e}", f"{search.losses[at]:.3f}")
        for at in range(0, len(search.rates), max(1, len(search.rates) // 12))
    ]
    show(table("Learning-rate finder", ["rate", "loss (running mean)"], rows), sparkline(search.losses, 60))
    broke = f"breaks beyond {search.rates[-1]:.1e}" if search.broke else f"does not break up to {search.rates[-1]:.1e}"
    facts = {"falls fastest at": f"{search.steepest:.1e}", "lowest at": f"{search.lowest:.1e}", "training": broke}
    show(key_values(facts))
    note(
        "The rate at which the loss falls fastest, or a third of it where the encoder is deep, is a good first peak "
        "(--train.lr): a hundred steps cannot show what a long run at that rate does."
    )


def show_findings(findings: Sequence[Any]) -> None:
    """Print what is odd, and what would mend it."""
    for found in findings:
        show(
            "", key_values({found.severity: found.name, "found": found.fact, "why": found.why, "remedy": found.remedy})
        )


def show_outlook(outlook: Any) -> None:
    """Print what is known of a run before its first step."""
    from maskwright.train.estimate import rows
    from maskwright.train.watch import to_beat

    show(key_values(rows(outlook.estimate), "What the run will take"))
    if outlook.masking:
        show(key_values(masking_rows(outlook.masking), "What is hidden"))
    show(key_values(to_beat(outlook.baselines), "To beat"))
    show_findings(outlook.findings)


def show_profile(profile: Any, out: Path) -> None:
    """Print where a step's time goes."""
    show(table("Where a step's time goes, under the profiler", ["", "ms", "share"], profile.rows()))
    show(key_values(profile.facts()), f"profile  {out / 'profile.json'}")


def share(interval: Any) -> str:
    """Write a share and its 95 % interval in per cent."""
    return f"{100 * interval.value:.1f} % [{100 * interval.low:.1f}, {100 * interval.high:.1f}]"


def write_report(folder: Path, to: Path | None = None) -> Path:
    """Draw a run's log as ``report.html`` in its folder, or where it is said."""
    return run_page(read_log(folder / "log.jsonl")).write(to or folder / "report.html")


def show_spread(done: Any, title: str, out: Path) -> None:
    """Print mean, spread and median over the runs that ``train.repeat`` made, and where these are."""
    rows = []
    for name, spread in done.spread().items():
        values = done.values(name)
        low, high = (spread.interval.low, spread.interval.high) if spread.interval else (spread.mean, spread.mean)
        sd = "–" if spread.sd is None else f"{spread.sd:.4f}"
        ends = f"{min(values):.4f} to {max(values):.4f}"
        rows.append(
            (name, f"{spread.mean:.4f}", sd, f"{statistics.median(values):.4f}", ends, f"[{low:.4f}, {high:.4f}]")
        )
    columns = ["metric", "mean", "sd", "median", "range", "95 % of the mean"]
    show(table(f"{title}, {len(done.runs)} runs", columns, rows))
    show(f"runs    {out / 'runs.json'}", f"models  {out / done.runs[0]['name'] / 'model'} and so on")


def heldout_table(heldout: Any, title: str = HELD_OUT) -> Any:
    """The same for a terminal."""
    return table(title, *score_table(heldout.scores()))
