"""What several verbs share."""

from __future__ import annotations

import shlex
import sys
from pathlib import Path
from typing import Any

from maskwright.report import page
from maskwright.report.log import read_log
from maskwright.report.page import Section
from maskwright.report.run import run_page
from maskwright.report.terminal import console

__all__ = ["command_line", "heldout_rows", "heldout_section", "note", "share", "warn_if_busy", "write_report"]


def command_line() -> str:
    """Return the command as it was typed, ready to be pasted."""
    return shlex.join(["maskwright", *sys.argv[1:]])


def note(text: str) -> None:
    """Print a remark on stderr."""
    console(stderr=True).print(text, soft_wrap=True)


def warn_if_busy() -> None:
    """Say so when other programs are using the cores."""
    from maskwright import machine

    if warning := machine.busy():
        note(f"Note: {warning}.")


def share(interval: Any) -> str:
    """Write a share and its 95 % interval in per cent."""
    return f"{100 * interval.value:.1f} % [{100 * interval.low:.1f}, {100 * interval.high:.1f}]"


def write_report(folder: Path, ledger: dict[str, Any] | None = None, sections: tuple[Section, ...] = ()) -> Path:
    """Draw a run's log as ``report.html`` in its folder."""
    return run_page(read_log(folder / "log.jsonl"), ledger, sections).write(folder / "report.html")


def heldout_section(heldout: Any) -> tuple[Section, ...]:
    """The table of scores on held-out text, for a page."""
    return (
        page.heading("On text it never saw"),
        page.table(["", "model", "beside it"], heldout_rows(heldout)),
    )


def heldout_rows(heldout: Any) -> list[tuple[str, str, str]]:
    """Scores on held-out text and what to hold them against."""
    reference, rows = heldout.reference, []
    if "mlm" in heldout.loss:
        rows.append(
            ("masked-token loss (nats)", f"{heldout.loss['mlm']:.3f}", f"unigram entropy {reference.entropy:.3f}")
        )
        rows.append(
            (
                f"masked-token accuracy, n = {heldout.counts['mlm']:,}",
                share(heldout.accuracy["mlm"]),
                f"always {reference.piece!r} {100 * reference.most_frequent:.1f} %",
            )
        )
    if "nsp" in heldout.accuracy:
        beside = f"majority {share(heldout.nsp_majority)}"
        if heldout.nsp_lengths is not None:
            beside += f"; lengths only {share(heldout.nsp_lengths)}"
        rows.append((f"next-sentence accuracy, n = {heldout.counts['nsp']:,}", share(heldout.accuracy["nsp"]), beside))
    return rows
