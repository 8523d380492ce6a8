"""What is measured of a masking is what a hand counts."""

from dataclasses import replace

import numpy as np
import pytest

from maskwright.data.batch import Sample
from maskwright.objectives.measure import measure
from maskwright.report.masking import masking_rows

MASK = 4


def sample(words: list[int]) -> Sample:
    """[CLS], words of so many pieces with ids from 10 on, [SEP]."""
    starts = np.concatenate([[True], *[np.arange(size) == 0 for size in words], [True]])
    special = np.zeros(len(starts), bool)
    special[[0, -1]] = True
    ids = np.arange(9, 9 + len(starts))
    return Sample(ids, np.zeros(len(ids), np.int64), special, starts, 0)


def hidden(before: Sample, shown: dict[int, int]) -> Sample:
    """The sample with these ids at these places, all of them asked for."""
    ids, places = before.ids.copy(), np.array(sorted(shown))
    ids[places] = [shown[place] for place in sorted(shown)]
    return replace(before, ids=ids, targets={"mlm": (places, before.ids[places])})


def test_every_fact_is_what_a_hand_counts() -> None:
    one = sample([2, 1, 3, 1, 1])  # 10 tokens: words at 1-2, 3, 4-6, 7, 8
    two = sample([1] * 8)
    pairs = [
        (one, hidden(one, {1: MASK, 2: MASK, 3: 50, 5: MASK, 8: 17})),  # 17 is what stands at 8: kept
        (two, hidden(two, {4: MASK})),
        (two, two),  # nothing asked: does not count
    ]
    facts = measure(pairs, MASK)
    assert facts == {
        "examples": 2, "tokens": 20, "hidden": 6 / 20, "masked": 4 / 6, "random": 1 / 6, "kept": 1 / 6,
        "span_tokens": 6 / 4, "span_words": 5 / 4, "words_partly": 1 / 5,
    }  # fmt: skip
    rows = masking_rows(facts | {"gazetteer": {"lines": 9, "entities": 5, "duplicate": 3, "unknown": 0, "found": 2}})
    assert rows["tokens hidden"].startswith("30.0 %")
    assert rows["of these"] == "66.7 % [MASK], 16.7 % a random token, 16.7 % kept"
    assert rows["side by side"] == "1.50 tokens, 1.25 words on average"
    assert rows["hidden words"] == "20.0 % of them only in part"
    assert rows["gazetteer"] == "5 entities, found 2 times; left out: 3 duplicate"


def test_samples_in_which_nothing_is_hidden_measure_nothing() -> None:
    one = sample([1, 1])
    assert measure([(one, one)], MASK) == {} == masking_rows({})


@pytest.mark.parametrize("places", [[1, 2], [8, 9], [1, 9]])
def test_stretches_at_the_edges_count(places: list[int]) -> None:
    before = sample([1] * 9)
    facts = measure([(before, hidden(before, dict.fromkeys(places, MASK)))], MASK)
    assert facts["span_tokens"] == (1 if places == [1, 9] else 2)
