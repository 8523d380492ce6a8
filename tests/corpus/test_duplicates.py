"""Near-duplicate groups, against comparing all with all."""

from __future__ import annotations

import subprocess
import sys
import time
from itertools import combinations

import numpy as np
import pytest

from maskwright.corpus.docstrings import harvest
from maskwright.corpus.duplicates import WORD, groups, merge
from maskwright.errors import ConfigError

TEXTS = [
    "The cat sat on the mat today.",
    "the CAT sat, on the mat today",
    "A dog ran home.",
    "",
    "…",
    "A dog ran home!",
]


def shingles(text: str) -> set[tuple[str, ...]]:
    words = WORD.findall(text.lower())
    return {tuple(words[n : n + 3]) for n in range(max(1, len(words) - 2))}


def test_case_and_punctuation_do_not_count() -> None:
    assert groups(TEXTS).tolist() == [0, 0, 1, 2, 2, 1]


def test_word_order_counts() -> None:
    assert groups(["one two three four", "four three two one"]).tolist() == [0, 1]


def test_chinese_is_compared_by_characters() -> None:
    texts = ["今天天气很好我们一起去公园散步吧", "今天天气很好我们一起去公园散步", "明天有雨不要忘记带一把雨伞出门"]
    assert groups(texts).tolist() == [0, 0, 1]


def test_no_texts_make_no_groups() -> None:
    assert groups([]).tolist() == []


@pytest.mark.parametrize("threshold", [0.6, 0.7, 0.9])
def test_groups_are_those_of_comparing_all_with_all(threshold: float) -> None:
    texts = [passage.text for passage in harvest(limit_bytes=600_000).functions[:1200]]
    # Real texts with a few words changed, so that similarities of all sizes occur.
    texts += [" ".join(text.split()[shift:]) for shift in (1, 2, 4) for text in texts[:200]]
    sets = [shingles(text) for text in texts]
    pairs = [
        (a, b)
        for a, b in combinations(range(len(texts)), 2)
        if (common := len(sets[a] & sets[b])) and common >= threshold * (len(sets[a]) + len(sets[b]) - common)
    ]
    found = groups(texts, threshold)
    split = [pair for pair in pairs if found[pair[0]] != found[pair[1]]]
    assert len(pairs) > 150
    assert len(split) <= 0.005 * len(pairs)
    # What was joined was joined by similar pairs alone: their components are at least as coarse.
    component = list(range(len(texts)))
    for a, b in pairs:
        old, new = component[b], component[a]
        component = [new if value == old else value for value in component]
    assert len({(c, f) for c, f in zip(component, found.tolist(), strict=True)}) == len(set(found.tolist()))


def test_groups_are_the_same_in_another_process() -> None:
    code = f"from maskwright.corpus.duplicates import groups; print(groups({TEXTS!r}).tolist())"
    outputs = {
        subprocess.run(
            [sys.executable, "-c", code],
            env={"PYTHONHASHSEED": seed, "PYTHONPATH": ":".join(sys.path)},
            capture_output=True,
            text=True,
            check=True,
        ).stdout
        for seed in ("1", "2")
    }
    assert len(outputs) == 1


def test_a_few_thousand_texts_take_seconds() -> None:
    words = [f"w{n}" for n in range(3000)]
    rows = np.random.default_rng(0).integers(3000, size=(4000, 50))
    texts = [" ".join(words[place] for place in row) for row in rows]
    begun = time.perf_counter()
    assert len(set(groups(texts + texts[:500]).tolist())) == 4000
    assert time.perf_counter() - begun < 10


@pytest.mark.parametrize("options", [{"threshold": 0.3}, {"threshold": 1.1}, {"shingle": 0}])
def test_settings_out_of_range_are_refused(options: dict[str, float]) -> None:
    with pytest.raises(ConfigError, match=next(iter(options))):
        groups(["a"], **options)


def test_merge_joins_what_any_grouping_joins() -> None:
    assert merge([0, 1, 1, 2, 3], ["a", "a", "b", "c", "d"]).tolist() == [0, 0, 0, 1, 2]
