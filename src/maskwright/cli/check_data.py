"""``maskwright check-data``."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

from maskwright.report.terminal import console, number, share, show, table

if TYPE_CHECKING:
    from maskwright.tasks.check import Checked
    from maskwright.tasks.checking import Report

__all__ = ["check_data"]


def check_data(
    data: Path,
    *,
    task: str | None = None,
    model: str | None = None,
    dev: Path | None = None,
    text: str | None = None,
    pair: str | None = None,
    label: str | None = None,
    length: int = 128,
    most: int = 20,
) -> None:
    """Look through labelled rows before training: columns, labels, repeats, overlap, lengths, unknown words.

    Every row that cannot be used is listed with file and line, and makes the exit code 1. Without --task the tasks that the
    file fits are named, and it is checked for the first; of a folder, the data sets in it are listed.

    Parameters
    ----------
    data
        File of rows (.csv .tsv .jsonl .parquet), or the folder of a data set.
    task
        classify, regress, bins, multilabel, or a data set such as glue/rte.
    model
        Folder or org/name: its tokenizer counts lengths and unknown pieces.
    dev
        Evaluation file, compared with the first.
    text
        Column of the text; default: text.
    pair
        Column of the second text.
    label
        Column of the label; default: label.
    length
        Tokens that a training would read of a row.
    most
        Unusable rows to list; 0 lists all.
    """
    from maskwright.cli.common import show_findings
    from maskwright.errors import InputError
    from maskwright.tasks.checking import check_data as check
    from maskwright.tasks.checking import data_sets_in
    from maskwright.tasks.rows import Columns

    if data.is_dir() and task is None and (found := data_sets_in(data)):
        _list_sets(data, found)
        return
    named = text is not None or pair is not None or label is not None
    columns = Columns(text or "text", pair, label or "label") if named else None
    done = check(data, task=task, model=model, dev=dev, columns=columns, length=length)
    if done.suggestions:
        lines = [(each.options, each.why) for each in done.suggestions[:5]]
        show(table("Tasks that this file fits; checked for the first", ["options", "why"], lines))
    show(f"{done.task} in {data}", _summary(done, data, length))
    show_findings(done.findings)
    problems = [error for one in done.splits.values() for error in one.problems]
    for error in problems[: most or None]:
        console().print(str(error), soft_wrap=True)  # one line each, to be searched and copied
    if most and len(problems) > most:
        show(f"… and {len(problems) - most:,} more; --most 0 lists all")
    if problems:
        raise InputError(f"rows that cannot be used: {len(problems):,}")
    if not done.findings:
        show("Nothing speaks against training on this.")


def _list_sets(folder: Path, found: dict[str, tuple[str, ...]]) -> None:
    """Say which data sets are there, with how many rows as published."""
    from maskwright.tasks import DATASETS

    lines = []
    for name, splits in found.items():
        files = DATASETS[name].load()
        for split in splits:
            rows = len(files.rows(folder, split))
            lines.append((name, split, rows, files.sizes.get(split)))
    show(table(f"Data sets in {folder}", ["--task", "split", "rows", "published"], lines))
    show(f"Look through one: maskwright check-data {folder} --task {next(iter(found))}")


def _summary(done: Report, data: Path, length: int) -> Any:
    """One column a split: all facts fit 80 columns."""
    splits = done.splits
    facts: dict[str, list[object]] = {"rows": [len(one.rows) for one in splits.values()]}
    if done.files is not None and data.is_dir():
        facts["published"] = [done.files.sizes.get(name) for name in splits]
        if done.files.noted:
            facts["in field notes"] = [done.files.noted.get(name) for name in splits]
    if any(one.problems for one in splits.values()):
        facts["unusable rows"] = [len(one.problems) for one in splits.values()]
    facts["repeated rows"] = [len(one.repeats) for one in splits.values()]
    labels = list(dict.fromkeys(name for one in splits.values() for name in one.labels))
    for name in labels[:12]:
        facts[f"label {name}"] = [_part(one, name) for one in splits.values()]
    if len(labels) > 12:
        facts["more labels"] = [max(0, len(one.labels) - 12) or None for one in splits.values()]
    if any(one.values is not None for one in splits.values()):
        facts["value, mean ± sd"] = [_spread(one) for one in splits.values()]
        facts["least, greatest"] = [_range(one) for one in splits.values()]
    facts |= _lengths(splits, length)
    rows = [[name, *values] for name, values in facts.items()]
    return table("", ["", *splits], rows)


def _part(one: Checked, label: str) -> str:
    if not one.labels:
        return "–"
    return share(one.labels.get(label, 0) / max(1, len(one.rows)))


def _spread(one: Checked) -> str:
    return "–" if one.values is None else f"{one.values.mean():.2f} ± {one.values.std():.2f}"


def _range(one: Checked) -> str:
    return "–" if one.values is None else f"{number(float(one.values.min()))}, {number(float(one.values.max()))}"


def _lengths(splits: Any, length: int) -> dict[str, list[object]]:
    import numpy as np

    if any(one.tokens is None or not len(one.rows) for one in splits.values()):
        return {}
    lengths = [one.tokens.lengths for one in splits.values()]
    facts: dict[str, list[object]] = {
        "tokens, median": [int(np.median(each)) for each in lengths],
        "tokens, 95 % have at most": [int(np.quantile(each, 0.95, method="higher")) for each in lengths],
        "tokens, longest": [int(each.max()) for each in lengths],
        f"longer than {length}": [share(float((each > length).mean())) for each in lengths],
    }
    if all(one.tokens.unknown is not None for one in splits.values()):
        facts["[UNK] among pieces"] = [share(one.tokens.unknown_share) for one in splits.values()]
    return facts
