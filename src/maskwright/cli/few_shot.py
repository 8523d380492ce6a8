"""``maskwright few-shot``."""

from __future__ import annotations

from typing import Annotated

from cyclopts import Parameter

from maskwright.cli.common import command_line, first_process, show_spread, warn_if_busy, write_report
from maskwright.report.log import read_log
from maskwright.report.scores import score_table
from maskwright.report.terminal import show, table
from maskwright.tasks.few_config import FewShotConfig

__all__ = ["few_shot"]


def few_shot(*, config: Annotated[FewShotConfig, Parameter(name="*")], resume: bool = False, seeds: int = 1) -> None:
    """Make a classifier of a few labelled texts: contrastive pairs, then a logistic regression (SetFit).

    A recipe's fields become the defaults: --recipe FILE.  Which texts were drawn moves the result by points, so give several
    --seeds.  The folder OUT/model is one that evaluate, predict and sentence-transformers take.

    Parameters
    ----------
    resume
        Go on from the newest checkpoint in --out.
    seeds
        Runs, from --train.seed upward, each with rows of its own and a folder of its own in --out; mean, spread and median
        are shown.
    """
    warn_if_busy()
    from maskwright.train import few_shot as training

    if seeds != 1:
        from maskwright.train.repeat import repeat_few_shot

        repeated = repeat_few_shot(config, seeds=seeds, resume=resume, command=command_line())
        for run in repeated.runs:
            _report(config, run["name"])
        show_spread(repeated, "On the rows that were not learnt from", config.out)
        return
    done = training.few_shot(config, resume=resume, command=command_line())
    if not first_process():
        return
    _report(config)
    records = read_log(config.out / "encoder" / "log.jsonl")
    for result in [record for record in records if record["kind"] == "result"][-1:]:
        show(table(result["title"], *score_table(result["scores"])))
    show(f"model   {done.folder / 'model'}", f"report  {config.out / 'report.html'}")


def _report(config: FewShotConfig, name: str = "") -> None:
    folder = config.out / name
    write_report(folder / "encoder", folder / "report.html")
