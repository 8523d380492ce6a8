"""``maskwright convert-data``."""

from __future__ import annotations

from pathlib import Path
from typing import Literal

from maskwright.report.terminal import key_values, show

__all__ = ["convert_data"]


def convert_data(kind: Literal["qnli", "two-way", "wnli"], source: Path, *, out: Path) -> None:
    """Make inference pairs of other data, as GLUE's authors did; written as GLUE's .tsv.

    qnli: of questions and paragraphs laid out as SQuAD's. two-way: of three-way inference (MNLI, SNLI); neutral and
    contradiction become not_entailment. wnli: of Winograd schemas (.xml or .jsonl).

    Parameters
    ----------
    kind
        What is made.
    source
        File to read.
    out
        File to write, .tsv.
    """
    from maskwright.tasks import convert
    from maskwright.tasks.glue import SNLI

    columns = ("sentence1", "sentence2")
    match kind:
        case "qnli":
            pairs, columns = convert.qnli_from_squad(source), ("question", "sentence")
        case "two-way":
            pairs = convert.two_way(source, SNLI)
        case "wnli":
            pairs = convert.wnli_from_winograd(source)
    counts = convert.write_pairs(out, pairs, columns)
    if kind == "wnli":
        show("Keep the pairs of one schema on one side of a split: they differ in one word.")
    show(key_values({**counts, "pairs": sum(counts.values())}, str(out)))
