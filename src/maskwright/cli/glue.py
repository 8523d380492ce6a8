"""``maskwright glue``."""

from __future__ import annotations

from dataclasses import asdict
from typing import Annotated

from cyclopts import Parameter

from maskwright.cli.common import command_line, note, warn_if_busy
from maskwright.config import GlueConfig
from maskwright.report.terminal import console, show, table

__all__ = ["glue"]


def glue(*, config: Annotated[GlueConfig, Parameter(name="*")]) -> None:
    """Fine-tune on GLUE's tasks over several seeds; print its table and write its submission archives.

    What is finished is not run again: after an interruption give the same command. A recipe's fields become the defaults:
    --recipe FILE. Scores are of the dev sets; the test sets' labels are known to GLUE's server alone.
    """
    warn_if_busy()
    from maskwright.evaluation.published import beside
    from maskwright.report.glue import glue_notes, glue_page, glue_table
    from maskwright.train.glue import run_glue

    rival = beside(config.beside)
    published = None if rival is None else asdict(rival)
    found = run_glue(config, command=command_line(), tell=note)
    columns, rows = glue_table(found, published)
    show(table("GLUE", columns, rows), *glue_notes(found, published), "")
    out = console()  # a path is one line, to be copied
    for archive in found["archives"].values():
        if archive:
            lacks = len(archive["missing"])
            said = f" ({lacks} of 11 files missing or short)" if lacks else ""
            out.print(f"archive {archive['path']}{said}", soft_wrap=True)
    out.print(f"report  {glue_page(found, published).write(config.out / 'report.html')}", soft_wrap=True)
