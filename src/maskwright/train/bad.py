"""Keep the batches of a step that could not be taken, readable by people and by programs.

RUN/bad/step-00000012-rank-0.json   why; each example's number, text, ids and targets
"""

from __future__ import annotations

import itertools
import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from maskwright.data.batch import IGNORED, Batch
from maskwright.nn.layout import Ragged
from maskwright.report.files import write_atomic
from maskwright.text.tokenizer import Tokenizer

__all__ = ["save_bad"]


def save_bad(folder: Path, step: int, rank: int, why: str, batches: Sequence[Batch], tokenizer: Tokenizer) -> Path:
    """Write one file for this process's share of a step; returns its path."""
    path = folder / "bad" / f"step-{step:08}-rank-{rank}.json"
    examples = [example for batch in batches for example in _examples(batch, tokenizer)]
    content = {"step": step, "why": why, "examples": examples}
    write_atomic(path, json.dumps(content, ensure_ascii=False, indent=1).encode("utf-8", "backslashreplace"))
    return path


def _examples(batch: Batch, tokenizer: Tokenizer) -> list[dict[str, Any]]:
    assert isinstance(batch.layout, Ragged)
    found = []
    each = batch.layout.batch // max(1, len(batch.examples))  # sequences of an example
    numbers = [number for number in batch.examples for _ in range(each)]
    for number, (begin, end) in zip(numbers, itertools.pairwise(batch.layout.cu.tolist()), strict=True):
        ids = batch.ids_T[begin:end].tolist()
        targets = {
            name: [
                (row - begin, label)
                for row, label in zip(target.rows.tolist(), target.labels.tolist(), strict=True)
                if begin <= row < end and label != IGNORED
            ]
            for name, target in batch.targets.items()
        }
        found.append({"number": number, "text": " ".join(tokenizer.pieces(ids)), "ids": ids, "targets": targets})
    if batch.decoder is not None:
        for example, written in zip(found, _examples(batch.decoder, tokenizer), strict=True):
            example["decoder"] = written
    return found
