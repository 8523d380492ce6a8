"""``maskwright pretrain``."""

from __future__ import annotations

from typing import Annotated

from cyclopts import Parameter

from maskwright.cli.common import command_line, heldout_rows, heldout_section, warn_if_busy, write_report
from maskwright.config import PretrainConfig
from maskwright.report.terminal import show, table

__all__ = ["pretrain"]


def pretrain(*, config: Annotated[PretrainConfig, Parameter(name="*")], resume: bool = False) -> None:
    """Pre-train an encoder on a corpus.  A recipe's fields become the defaults: --recipe FILE.

    Parameters
    ----------
    resume
        Go on from the newest checkpoint in --out.
    """
    warn_if_busy()
    from maskwright.corpus.store import Corpus
    from maskwright.train.pretrain import pretrain as run

    done = run(config, resume=resume, command=command_line())
    sections = () if done.heldout is None else heldout_section(done.heldout)
    report = write_report(config.out, Corpus.open(config.corpus).ledger.accounts(), sections)
    if done.heldout is not None:
        show(table("On held-out documents", ["", "model", "beside it"], heldout_rows(done.heldout)))
    show(f"model   {config.out / 'model'}", f"report  {report}")
