"""``maskwright pretrain``."""

from __future__ import annotations

from typing import Annotated

from cyclopts import Parameter

from maskwright.cli.common import (
    command_line,
    first_process,
    heldout_table,
    show_outlook,
    show_profile,
    show_rates,
    warn_if_busy,
    write_report,
)
from maskwright.config import PretrainConfig
from maskwright.report.terminal import show

__all__ = ["pretrain"]


def pretrain(
    *,
    config: Annotated[PretrainConfig, Parameter(name="*")],
    resume: bool = False,
    dry_run: bool = False,
    find_lr: bool = False,
    profile: int = 0,
) -> None:
    """Pre-train an encoder on a corpus.  A recipe's fields become the defaults: --recipe FILE.

    In several processes: torchrun --nproc_per_node 2 -m maskwright pretrain …

    Parameters
    ----------
    resume
        Go on from the newest checkpoint in --out.
    dry_run
        Only look ahead: faults of the corpus, what has to be beaten, and what the run will take.
    find_lr
        Only try rates from 1e-6 to 1 on a copy, a hundred steps, and show the loss at each.
    profile
        Only take so many steps on a copy, and show where their time goes; --out gets profile.json.
    """
    warn_if_busy()
    from maskwright.train import pretrain as training

    if dry_run:
        show_outlook(training.foresee(config))
        return
    if find_lr:
        show_rates(training.search_rate(config))
        return
    if profile > 0:
        show_profile(training.profile(config, profile), config.out)
        return
    done = training.pretrain(config, resume=resume, command=command_line(), tell=show_outlook)
    if not first_process():
        return
    report = write_report(config.out)
    if done.heldout is not None:
        show(heldout_table(done.heldout))
    show(f"model   {config.out / 'model'}", f"report  {report}")
