"""``maskwright sts``."""

from __future__ import annotations

from pathlib import Path
from typing import Literal

from maskwright.report.terminal import show, table

__all__ = ["sts"]


def sts(
    model: str,
    *data: Path,
    pooling: Literal["mean", "first", "max"] | None = None,
    precision: Literal["auto", "fp32", "bf16", "int8"] = "auto",
    files: bool = False,
    seed: int = 0,
) -> None:
    """Score a model's cosines on the semantic similarity tasks: Spearman's correlation x 100 with the people's scores.

    Papers report a year over all its pairs together, or as the mean over its files; the two differ by points.

    Parameters
    ----------
    model
        Folder or org/name: of an encoder.
    data
        Folders with 2012/ to 2016/, sick/ or STS-B as published; or files of score, text and text with tabs between.
    pooling
        How a text's tokens become its vector; default: as the model was trained, or else the mean.
    precision
        Of matrix products: auto takes bf16 where the machine is fast in it; int8 is faster still, for BERT's kind of blocks.
    files
        Show each file of a year too.
    seed
        Of the bootstrap.
    """
    from maskwright.errors import UsageError
    from maskwright.evaluation.sts import StsScore, score_sts, sts_files

    if not data:
        raise UsageError("sts: name the folder of the tasks, or a file of scored pairs")
    for rows_of in (rows for where in data for files_of in sts_files(where).values() for rows in files_of.values()):
        rows_of.numbers()  # a row that cannot be used is told before anything is computed
    from maskwright.machine import device
    from maskwright.model import load

    encoder = load(model).to(device())
    found: dict[str, StsScore] = {}
    for where in data:
        found |= score_sts(encoder, where, pooling=pooling, precision=precision, seed=seed)
    rows: list[tuple[object, ...]] = []
    for name, score in found.items():
        low, high = 100 * score.interval.low, 100 * score.interval.high
        rows.append(
            (name, score.pairs, f"{100 * score.all:.2f}", f"[{low:.2f}, {high:.2f}]", f"{100 * score.mean:.2f}")
        )
        if files and len(score.files) > 1:
            rows += [(f"  {one}", None, f"{100 * value:.2f}", "", "") for one, value in score.files.items()]
    if len(found) > 1:
        every = [sum(getattr(score, kind) for score in found.values()) / len(found) for kind in ("all", "mean")]
        rows.append(
            ("mean", sum(score.pairs for score in found.values()), f"{100 * every[0]:.2f}", "", f"{100 * every[1]:.2f}")
        )
    columns = ["task", "pairs", "all pairs", "95 % interval", "mean of files"]
    how = pooling or encoder.card.task.get("pooling", "mean")
    show(table(f"{model}, {how} of the tokens", columns, rows))
