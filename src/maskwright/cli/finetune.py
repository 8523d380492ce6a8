"""``maskwright finetune``."""

from __future__ import annotations

from typing import Annotated

from cyclopts import Parameter

from maskwright.cli.common import command_line, warn_if_busy, write_report
from maskwright.config import FinetuneConfig
from maskwright.report.terminal import key_values, number, show

__all__ = ["finetune"]


def finetune(*, config: Annotated[FinetuneConfig, Parameter(name="*")], resume: bool = False) -> None:
    """Fine-tune an encoder on labelled rows.  A recipe's fields become the defaults: --recipe FILE.

    Tasks: classify and regress, on a text or (with --pair) on two; or a data set by name, with --data its folder:
    glue/mrpc, glue/sst2, glue/stsb.

    Parameters
    ----------
    resume
        Go on from the newest checkpoint in --out.
    """
    warn_if_busy()
    from maskwright.train.finetune import finetune as run

    done = run(config, resume=resume, command=command_line())
    report = write_report(config.out)
    facts = {name: number(value) for name, value in done.metrics.items()}
    show(key_values({**facts, "dev rows": done.dev_rows, "steps": done.finished.steps}, "On the dev rows"))
    show(f"model   {config.out / 'model'}", f"report  {report}")
