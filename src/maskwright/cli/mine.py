"""``maskwright mine``."""

from __future__ import annotations

from pathlib import Path

from maskwright.report.terminal import show, table

__all__ = ["mine"]

_SHOWN = 3


def mine(
    model: str,
    data: Path,
    *,
    out: Path,
    text: str = "text",
    pair: str = "pair",
    candidates: Path | None = None,
    candidate: str = "text",
    each: int = 1,
    search: int = 50,
    share: float = 0.95,
) -> None:
    """Find hard negatives for pairs: texts that a model takes for near and that are not the right ones.

    The file that it writes has the columns text, pair and negative, for similarity --loss in-batch or triplet.

    Parameters
    ----------
    model
        Folder or org/name of an encoder, such as one that was trained for similarity.
    data
        Pairs that belong together (.csv .tsv .jsonl, also .gz and .xz; .parquet).
    out
        File for the rows: .jsonl or .csv.
    text
        Column of the text.
    pair
        Column of the text that belongs to it.
    candidates
        File of texts to look among; default: the second texts of all pairs.
    candidate
        Its column of the text.
    each
        Negatives for a pair, at most.
    search
        Nearest texts to choose from.
    share
        A text with more than this share of the right one's cosine is left out, for it is often right too; from 1 on none is.
    """
    from maskwright.errors import InputError
    from maskwright.tasks.predictions import check_suffix, write_records
    from maskwright.tasks.rows import Columns, read_rows

    check_suffix(out)
    pairs = [(first, second) for first, second in read_rows(data, Columns(text, pair)).texts]
    column = Columns(candidate, options=("candidate",))
    among = None if candidates is None else [one for (one,) in read_rows(candidates, column).texts]
    from maskwright.machine import device
    from maskwright.model import load
    from maskwright.tasks.mining import mine_negatives

    found = mine_negatives(load(model).to(device()), pairs, among, each=each, search=search, share=share)
    if not found:
        raise InputError(f"{data}: no pair has a negative; give more --candidates, or raise --share or --search")
    columns = ("text", "pair", "negative")
    write_records(out, [dict(zip(columns, row, strict=True)) for row in found])
    show(table(f"The first of {len(found):,}", columns, [[_cut(one) for one in row] for row in found[:_SHOWN]]))
    without = len(set(pairs)) - len({(first, second) for first, second, _ in found})
    show(f"{len(found):,} rows in {out}; {without:,} of {len(set(pairs)):,} pairs have none")


def _cut(text: str) -> str:
    return text if len(text) <= 80 else f"{text[:80]}…"
