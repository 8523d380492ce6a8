"""``maskwright zero-shot``."""

from __future__ import annotations

from pathlib import Path

from maskwright.report.scores import score_table
from maskwright.report.terminal import show, table

__all__ = ["zero_shot"]


def zero_shot(
    model: str,
    data: Path,
    *,
    words: dict[str, list[str]],
    template: str = "{text} It was [MASK].",
    blank: str | None = None,
    even: bool = False,
    text: str = "text",
    pair: str | None = None,
    label: str | None = None,
    out: Path | None = None,
    seed: int = 0,
) -> None:
    """Label rows without any training: which label's words would a masked language model write at the [MASK] of a cloze?

    A recipe's fields become the defaults: --recipe FILE; words and template belong there where they are many.

    Parameters
    ----------
    model
        Folder or org/name of a model with a masked LM head.
    data
        Rows (.csv .tsv .jsonl, also .gz and .xz; .parquet).
    words
        Words that stand for a label: --words.positive great,good --words.negative bad.  One of several pieces gets as many
        [MASK]; see docs/few-shot.md.
    template
        {text} once, [MASK] once, and {pair} once for pairs of texts.
    blank
        A text that says nothing, such as "N/A"; each label's share is divided by the one that it gets there.
    even
        Divide by each label's mean share over the rows instead, where labels are about as frequent.
    text
        Column of the text.
    pair
        Column of the second text.
    label
        Column of the label; with it the answers are scored.
    out
        File for the predictions: .jsonl or .csv, with the probabilities.
    seed
        Of the bootstrap.
    """
    from maskwright.errors import ConfigError, UsageError
    from maskwright.tasks.rows import Columns, label_numbers, read_rows

    if label is None and out is None:
        raise UsageError("zero-shot: give --out for the predictions, --label to score them, or both")
    if (pair is None) == ("{pair}" in template):
        raise ConfigError(f"template: {template!r} and --pair: name the second text's column where it holds {{pair}}")
    rows = read_rows(data, Columns(text, pair, label))
    if label is not None:
        label_numbers(rows, list(words))
    from maskwright.evaluation.scores import score_answers
    from maskwright.machine import device
    from maskwright.model import load
    from maskwright.tasks.predictions import write_predictions
    from maskwright.tasks.zero_shot import zero_shot as ask

    given = {name: [word for each in several for word in each.split(",")] for name, several in words.items()}
    texts = [row if pair else row[0] for row in rows.texts]
    answers = ask(load(model).to(device()), texts, given, template=template, blank=blank, even=even)
    if label is not None:
        scores = score_answers(rows, answers, list(words), seed=seed)
        show(table(f"{model} on {data}", *score_table(scores)))
    if out is not None:
        write_predictions(out, rows, answers)
        show(f"{len(rows):,} predictions in {out}")
