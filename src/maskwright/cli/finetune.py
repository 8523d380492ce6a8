"""``maskwright finetune``."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Annotated, Any

from cyclopts import Parameter

from maskwright.cli.common import (
    command_line,
    first_process,
    note,
    show_profile,
    show_rates,
    show_spread,
    warn_if_busy,
    write_report,
)
from maskwright.config import FinetuneConfig
from maskwright.errors import UsageError
from maskwright.report.log import read_log
from maskwright.report.scores import score_table
from maskwright.report.terminal import show, table

__all__ = ["finetune"]


def finetune(
    *,
    config: Annotated[FinetuneConfig, Parameter(name="*")],
    resume: bool = False,
    find_lr: bool = False,
    profile: int = 0,
    seeds: int = 1,
    folds: int = 0,
    learning_curve: str = "",
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
    profile
        Only take so many steps on a copy, and show where their time goes; --out gets profile.json.
    seeds
        Runs, from --train.seed upward, each in a folder of its own in --out; mean, spread and median are shown.
    folds
        Hold out each of so many parts of the training rows in turn, for each seed.
    learning_curve
        Shares of the training rows, such as 0.1,0.3: what the same run gives from each is shown beside the whole; with
        --seeds the mean over the seeds, the lowest and the highest.
    """
    warn_if_busy()
    from maskwright.train import finetune as training

    if find_lr:
        show_rates(training.search_rate(config))
        return
    if profile > 0:
        show_profile(training.profile(config, profile), config.out)
        return
    shares = _shares(learning_curve)
    if folds and shares:
        raise UsageError("finetune: --learning-curve takes --seeds, not --folds; leave one of them out")
    if seeds != 1 and shares:
        _curves(config, shares, seeds, resume)
        return
    if seeds != 1 or folds:
        _repeated(config, seeds, folds, resume)
        return
    if shares:
        from maskwright.train.curve import learning_curve as over_shares

        done, points = over_shares(config, shares, resume=resume, command=command_line(), tell=note)
    else:
        done, points = training.finetune(config, resume=resume, command=command_line()), []
    if not first_process():
        return
    report = write_report(config.out)
    result = [record for record in read_log(config.out / "log.jsonl") if record["kind"] == "result"][-1]
    show(table(f"On the dev rows, after {done.finished.steps:,} steps", *score_table(result["scores"])))
    if points:
        _show_curve(points, "Learning curve")
    show(f"model   {config.out / 'model'}", f"report  {report}")


def _show_curve(points: Sequence[Mapping[str, Any]], title: str) -> None:
    columns = score_table(points[-1]["scores"])[0]
    lines = [(f"{point['rows']:,}", *row) for point in points for row in score_table(point["scores"])[1]]
    show(table(title, ["training rows", *columns], lines))


def _curves(config: FinetuneConfig, shares: Sequence[float], seeds: int, resume: bool) -> None:
    from maskwright.report.finetuned import curve_page
    from maskwright.train.repeat import repeat_curve

    done, points = repeat_curve(config, shares, seeds=seeds, resume=resume, command=command_line(), tell=note)
    for run in done.runs:
        write_report(config.out / run["name"])
    show_spread(done, "On the dev rows", config.out)
    _show_curve(points, f"Learning curve, mean of {seeds} seeds [lowest, highest]")
    show(f"report  {curve_page(points, command_line()).write(config.out / 'report.html')}")


def _shares(text: str) -> list[float]:
    try:
        return [float(part) for part in text.split(",") if part.strip()]
    except ValueError:
        raise UsageError(
            f"finetune: --learning-curve takes shares with commas, such as 0.1,0.3, not {text!r}"
        ) from None


def _repeated(config: FinetuneConfig, seeds: int, folds: int, resume: bool) -> None:
    from maskwright.train.repeat import repeat

    done = repeat(config, seeds=seeds, folds=folds, resume=resume, command=command_line())
    if not first_process():
        return
    for run in done.runs:
        write_report(config.out / run["name"])
    show_spread(done, "On the dev rows", config.out)
    if folds:
        show("Folds share training rows, so the interval is narrower than that of new data would be.")
