"""``maskwright evaluate``."""

from __future__ import annotations

from pathlib import Path
from typing import Literal

from maskwright.report.terminal import show, table

__all__ = ["evaluate"]


def evaluate(
    model: str,
    *,
    data: Path | None = None,
    corpus: Path | None = None,
    text: str = "text",
    pair: str | None = None,
    label: str = "label",
    dataset: str | None = None,
    split: str = "dev",
    precision: Literal["auto", "fp32", "bf16", "int8"] = "auto",
    seed: int = 0,
) -> None:
    """Score a model with 95 % intervals: a fine-tuned one on labelled rows, a pre-trained one on a corpus.

    Parameters
    ----------
    model
        Folder or org/name.
    data
        Labelled rows (.csv .tsv .jsonl), or the folder of the data set named with --dataset.
    corpus
        Folder of a corpus in the model's vocabulary, none of which it was trained on.
    text
        Column of the text.
    pair
        Column of the second text.
    label
        Column of the label.
    dataset
        A data set by name, such as glue/mrpc.
    split
        Of that data set: dev, or dev_mismatched of glue/mnli.
    precision
        Of matrix products: auto takes bf16 where the machine is fast in it; int8 is faster still, for BERT's kind of blocks.
    seed
        Of the bootstrap, and of what is masked.
    """
    from maskwright.cli.common import heldout_table
    from maskwright.errors import UsageError

    if (data is None) == (corpus is None):
        raise UsageError("evaluate: give either --data (labelled rows) or --corpus (text)")
    from maskwright.machine import device
    from maskwright.model import load

    loaded = load(model).to(device())
    if corpus is not None:
        from maskwright.train.pretrain import evaluate_on

        found = evaluate_on(loaded, corpus, seed=seed, precision=precision)
        show(heldout_table(found, f"{model} on {corpus}"))
        return
    assert data is not None
    from maskwright.evaluation.scores import evaluate as score

    scores = score(
        loaded, data, text=text, pair=pair, label=label, dataset=dataset, split=split, precision=precision, seed=seed
    )
    lines = [(name, f"{i.value:.4f}", f"[{i.low:.4f}, {i.high:.4f}]") for name, i in scores.items()]
    show(table(f"{model} on {data}", ["metric", "value", "95 % interval"], lines))
