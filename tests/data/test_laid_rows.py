"""Rows that are read and not learnt from lie as collated samples do."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from maskwright.data.batch import Collator, lay_rows
from maskwright.data.plan import Budget
from maskwright.data.source import RowsSource
from maskwright.keys import Key
from maskwright.text.tokenizer import Tokenizer

ROWS = [([5, 6, 7],), ([8],), ([9, 10], [11, 12, 13]), ([], [14]), ([15] * 40,)]


@pytest.mark.parametrize("numbers", [[0], [4, 2, 0], [1, 3], [0, 1, 2, 3, 4]])
def test_they_lie_as_samples_do(tokenizer: Tokenizer, numbers: list[int]) -> None:
    source = RowsSource(ROWS, np.zeros(len(ROWS)), tokenizer.frame, "")
    plan = source.plan(Budget(examples=1), Key(0), shuffle=False)
    wanted = Collator.of((), tokenizer)([source.sample(plan, number) for number in numbers], Key(0))
    found = lay_rows(ROWS, numbers, tokenizer.frame, tokenizer.roles["pad"], len(wanted.ids_T))
    for name in ("ids_T", "positions_T", "segments_T"):
        assert torch.equal(getattr(found, name), getattr(wanted, name)), name
        assert getattr(found, name).dtype == torch.int64
    assert torch.equal(found.layout.cu, wanted.layout.cu) and torch.equal(found.layout.row, wanted.layout.row)
    assert found.examples == wanted.examples and found.layout.tokens == wanted.layout.tokens
