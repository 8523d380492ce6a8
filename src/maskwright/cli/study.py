"""``maskwright study``: questions with a protocol that is fixed before there is a result."""

from __future__ import annotations

from typing import Annotated

import cyclopts
from cyclopts import Parameter

from maskwright.cli.common import command_line, note, warn_if_busy
from maskwright.report.terminal import console, show, table
from maskwright.studies.nsp_sop_config import NspSopConfig

__all__ = ["app"]

app = cyclopts.App(name="study", help="Questions with a protocol that is fixed before there is a result.")


@app.command
def nsp_vs_sop(*, config: Annotated[NspSopConfig, Parameter(name="*")]) -> None:
    """Next sentences or sentence order: what does each teach? ALBERT's table, on small models over several seeds.

    The protocol is written to --out before anything is trained; another one is refused there. What is finished is not done
    again: after an interruption give the same command.
    """
    warn_if_busy()
    from maskwright.evaluation.cross import ALBERT_CROSS
    from maskwright.report.study import cross_table, difference_table, study_notes, study_page
    from maskwright.studies.nsp_sop import run_nsp_sop

    found = run_nsp_sop(config, command=command_line(), tell=note)
    show(table("Accuracy × 100, mean ± sd over seeds", *cross_table(found, ALBERT_CROSS)))
    show(table("Differences to hidden tokens alone, points", *difference_table(found)))
    show(*study_notes(found), "")
    out = console()  # a path is one line, to be copied
    out.print(f"report  {study_page(found, ALBERT_CROSS).write(config.out / 'report.html')}", soft_wrap=True)
