"""``maskwright finetune``."""

from __future__ import annotations

from typing import Annotated

from cyclopts import Parameter

from maskwright.cli.common import command_line, first_process, show_rates, warn_if_busy, write_report
from maskwright.config import FinetuneConfig
from maskwright.report.terminal import key_values, number, show

__all__ = ["finetune"]


def finetune(
    *, config: Annotated[FinetuneConfig, Parameter(name="*")], resume: bool = False, find_lr: bool = False
) -> None:
    """Fine-tune an encoder on labelled rows.  A recipe's fields become the defaults: --recipe FILE.

    Tasks: classify and regress, on a text or (with --pair) on two; or a data set by name, with --data its folder:
    glue/mrpc, glue/sst2, glue/stsb.  multilabel takes several labels a row, and has options: --options.loss focal,
    --options.balance 0.5, --options.thresholds global, --options.separator ";".  Its data set is goemotions.

    Parameters
    ----------
    resume
        Go on from the newest checkpoint in --out.
    find_lr
        Only try rates from 1e-6 to 1 on a copy, a hundred steps, and show the loss at each.
    """
    warn_if_busy()
    from maskwright.train import finetune as training

    if find_lr:
        show_rates(training.search_rate(config))
        return
    done = training.finetune(config, resume=resume, command=command_line())
    if not first_process():
        return
    report = write_report(config.out)
    facts = {name: number(value) for name, value in done.metrics.items()}
    show(key_values({**facts, "dev rows": done.dev_rows, "steps": done.finished.steps}, "On the dev rows"))
    show(f"model   {config.out / 'model'}", f"report  {report}")
