"""``maskwright finetune``."""

from __future__ import annotations

from typing import Annotated

from cyclopts import Parameter

from maskwright.cli.common import command_line, first_process, show_rates, warn_if_busy, write_report
from maskwright.config import FinetuneConfig
from maskwright.report.log import read_log
from maskwright.report.scores import score_table
from maskwright.report.terminal import show, table

__all__ = ["finetune"]


def finetune(
    *,
    config: Annotated[FinetuneConfig, Parameter(name="*")],
    resume: bool = False,
    find_lr: bool = False,
    seeds: int = 1,
    folds: int = 0,
) -> None:
    """Fine-tune an encoder on labelled rows.  A recipe's fields become the defaults: --recipe FILE.

    Tasks: classify, regress and bins (a number learnt as classes), on a text or (with --pair) on two; or a data set by
    name, with --data its folder or a file of it: glue/cola, sst2, mrpc, stsb, stsb-classes, qqp, mnli, qnli, rte, wnli
    (each behind glue/), and snli.  multilabel takes several labels a row, and has options: --options.loss focal,
    --options.balance 0.5, --options.thresholds global, --options.separator ";".  Its data set is goemotions.

    Parameters
    ----------
    resume
        Go on from the newest checkpoint in --out.
    find_lr
        Only try rates from 1e-6 to 1 on a copy, a hundred steps, and show the loss at each.
    seeds
        Runs, from --train.seed upward, each in a folder of its own in --out; mean, spread and median are shown.
    folds
        Hold out each of so many parts of the training rows in turn, for each seed.
    """
    warn_if_busy()
    from maskwright.train import finetune as training

    if find_lr:
        show_rates(training.search_rate(config))
        return
    if seeds != 1 or folds:
        _repeated(config, seeds, folds, resume)
        return
    done = training.finetune(config, resume=resume, command=command_line())
    if not first_process():
        return
    report = write_report(config.out)
    result = [record for record in read_log(config.out / "log.jsonl") if record["kind"] == "result"][-1]
    show(table(f"On the dev rows, after {done.finished.steps:,} steps", *score_table(result["scores"])))
    show(f"model   {config.out / 'model'}", f"report  {report}")


def _repeated(config: FinetuneConfig, seeds: int, folds: int, resume: bool) -> None:
    import statistics

    from maskwright.train.repeat import repeat

    done = repeat(config, seeds=seeds, folds=folds, resume=resume, command=command_line())
    if not first_process():
        return
    for run in done.runs:
        write_report(config.out / run["name"])
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
    show(table(f"On the dev rows, {len(done.runs)} runs", columns, rows))
    if folds:
        show("Folds share training rows, so the interval is narrower than that of new data would be.")
    show(f"runs    {config.out / 'runs.json'}", f"models  {config.out / done.runs[0]['name'] / 'model'} and so on")
