"""``maskwright probe``."""

from __future__ import annotations

import json
from pathlib import Path

from maskwright.report.terminal import console, show, table

__all__ = ["probe"]


def probe(
    model: str,
    *,
    corpus: Path,
    tasks: str = "mlm,nsp,sop",
    examples: int = 4_000,
    length: int | None = None,
    held_out: float = 0.1,
    seed: int = 0,
    out: Path | None = None,
) -> None:
    """What does a model know of its pre-training tasks? Its own heads, and fresh ones on its frozen encoder.

    Both are scored on documents that neither learnt from.

    Parameters
    ----------
    model
        Folder or org/name. Nothing in it changes.
    corpus
        Folder of a corpus in the model's vocabulary.
    tasks
        Some of mlm, nsp, sop, with commas.
    examples
        How many of each task the fresh heads learn from, at most.
    length
        Tokens in an example; default: as in the model's pre-training on this corpus, or else 128.
    held_out
        Share of documents that are scored; fresh heads learn from the others. A model that was pre-trained on this corpus knows
        what it held out, and that is taken.
    seed
        Of these documents; likewise.
    out
        File for everything that was found, as JSON, with the numbers of the documents.
    """
    from maskwright.cli.common import note, warn_if_busy
    from maskwright.report.files import write_atomic
    from maskwright.report.probe import COLUMNS, probe_rows
    from maskwright.studies.probe import probe as score

    warn_if_busy()
    found = score(model, corpus, tasks=tasks, examples=examples, length=length, held_out=held_out, seed=seed).as_dict()
    show(table(f"{model} on {corpus}", COLUMNS, probe_rows(found)))
    note(found["documents"]["seen"])
    if out is not None:
        write_atomic(out, (json.dumps(found, indent=1, ensure_ascii=False) + "\n").encode())
        console().print(f"probe   {out}", soft_wrap=True)  # a path is one line, to be copied
