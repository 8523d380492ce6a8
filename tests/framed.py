"""Samples laid out by hand, for tests that need no tokenizer's frame: [CLS] A [SEP], or [CLS] A [SEP] B [SEP]."""

from collections.abc import Sequence

import numpy as np

from maskwright.data.batch import Sample


def framed(texts: Sequence[tuple[np.ndarray, np.ndarray]], cls_id: int, sep_id: int, number: int = 0) -> Sample:
    """texts: (ids, starts_word) each."""
    end = (np.array([sep_id]), np.array([True]))
    parts = [(np.array([cls_id]), np.array([True])), *(part for text in texts for part in (text, end))]
    is_text = np.arange(len(parts)) % 2 == 1
    sizes = [len(ids) for ids, _ in parts]
    return Sample(
        np.concatenate([ids for ids, _ in parts]).astype(np.int64),
        np.repeat(np.maximum(0, np.arange(len(parts)) - 1) // 2, sizes),
        np.repeat(~is_text, sizes),
        np.concatenate([starts for _, starts in parts]),
        number,
    )
