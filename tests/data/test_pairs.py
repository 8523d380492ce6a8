"""What a pair or a run may contain, held against the documents themselves."""

from functools import cache
from pathlib import Path

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from maskwright.corpus.build import build_from
from maskwright.corpus.read import Document
from maskwright.corpus.store import Corpus, TokenColumn
from maskwright.data.pairs import FOLLOWS, IN_ORDER, RANDOM, SWAPPED, NeighbourPairs, NextPairs, Runs
from maskwright.errors import ConfigError, InputError
from maskwright.keys import Key
from maskwright.text.tokenizer import Tokenizer

DRAWS = settings(max_examples=40, suppress_health_check=[HealthCheck.function_scoped_fixture])
KEYS = st.builds(Key, st.integers(0, 2**40), st.integers(0, 2**33))


@cache
def _document_ends(column: TokenColumn) -> np.ndarray:
    """(documents + 1,) first token of each document, and the end."""
    ends = [0]
    for shard in column.shards:
        ends += [shard.first_token + int(shard.sentence_ends[end - 1]) for end in shard.document_ends]
    return np.array(ends)


def _documents_of(column: TokenColumn, tokens: np.ndarray) -> np.ndarray:
    return np.searchsorted(_document_ends(column), tokens, side="right") - 1


def _everything(column: TokenColumn) -> np.ndarray:
    return np.arange(column.documents)


@given(key=KEYS, length=st.integers(16, 200), short=st.sampled_from([0.0, 0.1, 1.0]))
@DRAWS
def test_both_segments_stay_inside_one_document_each(small_corpus: Corpus, key: Key, length: int, short: float) -> None:
    column = small_corpus.tokens()
    pairs = NextPairs(length, short)(column, _everything(column), key)
    a, a_end, b, b_end, label = pairs.T
    assert (a < a_end).all() and (b < b_end).all()
    assert (a_end - a + b_end - b + 3 <= length).all()
    in_a, in_b = _documents_of(column, a), _documents_of(column, b)
    assert (_documents_of(column, a_end - 1) == in_a).all()
    assert (_documents_of(column, b_end - 1) == in_b).all()
    assert (in_b[label == RANDOM] != in_a[label == RANDOM]).all()
    assert (in_b[label == FOLLOWS] == in_a[label == FOLLOWS]).all()


@given(key=KEYS)
@DRAWS
def test_a_following_segment_begins_where_the_first_ends_unless_a_cut_took_tokens_between(
    small_corpus: Corpus, key: Key
) -> None:
    column = small_corpus.tokens()
    pairs = NextPairs(64, 0.0)(column, _everything(column), key)
    a, a_end, b, b_end, _ = pairs[pairs[:, 4] == FOLLOWS].T
    assert (a_end <= b).all()
    uncut = a_end - a + b_end - b < 64 - 3
    assert uncut.any() and (a_end[uncut] == b[uncut]).all()
    # A pair that was cut is exactly full: nothing was taken beyond what had to go.
    assert (a_end - a + b_end - b)[a_end != b].tolist() == [61] * int((a_end != b).sum())


def test_every_token_of_every_document_can_be_seen_in_a_pair(small_corpus: Corpus) -> None:
    column = small_corpus.tokens()
    seen = np.zeros(column.tokens, bool)
    for epoch in range(12):
        for a, a_end, b, b_end, _ in NextPairs(64)(column, _everything(column), Key(0, epoch)):
            seen[a:a_end] = seen[b:b_end] = True
    assert seen.mean() > 0.99  # a long sentence's middle may be cut away every time


def test_documents_that_are_held_out_appear_on_neither_side(small_corpus: Corpus) -> None:
    column = small_corpus.tokens()
    kept = np.arange(0, column.documents, 3)
    pairs = NextPairs(64)(column, kept, Key(0))
    assert set(_documents_of(column, pairs[:, 0])) | set(_documents_of(column, pairs[:, 2])) <= set(kept.tolist())


@given(key=KEYS, length=st.integers(16, 200), short=st.sampled_from([0.0, 0.1, 1.0]))
@DRAWS
def test_neighbours_are_of_one_document_and_stand_in_the_order_that_their_label_says(
    small_corpus: Corpus, key: Key, length: int, short: float
) -> None:
    column = small_corpus.tokens()
    a, a_end, b, b_end, label = NeighbourPairs(length, short)(column, _everything(column), key).T
    assert (a < a_end).all() and (b < b_end).all() and (a_end - a + b_end - b + 3 <= length).all()
    documents = [_documents_of(column, at) for at in (a, a_end - 1, b, b_end - 1)]
    assert all((each == documents[0]).all() for each in documents)
    assert (a_end[label == IN_ORDER] <= b[label == IN_ORDER]).all()
    assert (b_end[label == SWAPPED] <= a[label == SWAPPED]).all()
    uncut = a_end - a + b_end - b < length - 3
    first_end, second = np.where(label == SWAPPED, b_end, a_end), np.where(label == SWAPPED, a, b)
    assert (first_end == second)[uncut].all()


def _near(found: float, share: float, count: int) -> bool:
    """Whether a share of ``count`` draws is within four standard deviations."""
    return abs(found - share) < 4 * (share * (1 - share) / count) ** 0.5


@pytest.mark.parametrize("rate", [0.5, 0.2])
def test_neighbours_are_swapped_in_the_share_that_was_asked_for_whatever_their_lengths(
    small_corpus: Corpus, rate: float
) -> None:
    column = small_corpus.tokens()
    rule = NeighbourPairs(48, 0.1, rate)  # 45 tokens of text: two long segments cannot be equally long
    pairs = np.concatenate([rule(column, _everything(column), Key(1, epoch)) for epoch in range(30)])
    a, a_end, b, b_end, label = pairs.T
    assert len(pairs) > 5_000 and _near((label == SWAPPED).mean(), rate, len(pairs))
    longer = (a_end - a + b_end - b == 45) & (
        a_end - a == b_end - b + 1
    )  # were it cut before the swap: always in order
    assert longer.sum() > 5_000
    assert abs((label[longer] == SWAPPED).mean() - rate) < 0.02


def test_the_first_of_two_neighbours_ends_anywhere_with_the_same_chance(small_corpus: Corpus) -> None:
    column = small_corpus.tokens()
    document = int(np.diff(_document_ends(column)).argmax())
    ends = {int(shard.first_token + end) for shard in column.shards for end in shard.sentence_ends}
    begin = int(_document_ends(column)[document])
    taken = []
    for epoch in range(400):
        a, a_end, b, b_end, label = NeighbourPairs(100_000, 0.0)(column, np.array([document]), Key(0, epoch))[0]
        assert (min(a, b), max(a_end, b_end)) == (begin, int(_document_ends(column)[document + 1]))
        taken.append(int(a_end if label == IN_ORDER else b_end))
    inside = sorted(end for end in ends if begin < end < _document_ends(column)[document + 1])
    assert set(taken) <= set(inside)
    # A uniform draw over n places has the mean (n - 1) / 2 and the variance (n² - 1) / 12.
    places, n = np.searchsorted(inside, taken), len(inside)
    assert abs(places.mean() - (n - 1) / 2) < 4 * ((n**2 - 1) / 12 / len(taken)) ** 0.5


def test_every_sentence_but_a_lonely_document_s_can_be_seen_among_neighbours(
    tmp_path: Path, tokenizer: Tokenizer
) -> None:
    texts = ["one sentence alone", "first line here\nsecond line there", "a b c\nd e f\ng h i"]
    column = build_from(
        [Document(str(n), text) for n, text in enumerate(texts)], tmp_path / "corpus", tokenizer, sentences="lines"
    ).tokens()
    pairs = np.concatenate([NeighbourPairs(16, 0.0)(column, np.arange(3), Key(0, epoch)) for epoch in range(20)])
    assert set(_documents_of(column, pairs[:, 0]).tolist()) == {1, 2}
    seen = np.zeros(column.tokens, bool)
    for a, a_end, b, b_end, _ in pairs:
        seen[a:a_end] = seen[b:b_end] = True
    assert seen[_document_ends(column)[1] :].all() and not seen[: _document_ends(column)[1]].any()
    with pytest.raises(InputError, match="documents of at least two sentences and the corpus has none"):
        NeighbourPairs(16)(column, np.array([0]), Key(0))


@given(key=KEYS, length=st.integers(16, 200), short=st.sampled_from([0.0, 0.1, 1.0]))
@DRAWS
def test_runs_lose_no_token_and_repeat_none(small_corpus: Corpus, key: Key, length: int, short: float) -> None:
    column = small_corpus.tokens()
    runs = Runs(length, short)(column, _everything(column), key)
    begin, end = runs[:, 0], runs[:, 1]
    assert begin[0] == 0 and end[-1] == column.tokens
    assert (begin[1:] == end[:-1]).all()
    assert (end - begin + 2 <= length).all() and (end > begin).all()
    assert (_documents_of(column, begin) == _documents_of(column, end - 1)).all()


def test_pairs_and_runs_depend_on_seed_and_epoch_and_on_nothing_else(small_corpus: Corpus) -> None:
    column = small_corpus.tokens()
    for rule in (NextPairs(64), NeighbourPairs(64), Runs(64, 1.0)):
        made = [rule(column, _everything(column), key).tolist() for key in (Key(1, 2), Key(1, 2), Key(1, 3), Key(2, 2))]
        assert made[0] == made[1]
        assert made[0] != made[2] and made[0] != made[3] and made[2] != made[3]


def test_a_document_gives_the_same_examples_whatever_else_is_in_the_corpus(small_corpus: Corpus) -> None:
    column = small_corpus.tokens()
    for rule in (Runs(64, 1.0), NeighbourPairs(64, 1.0)):
        alone = rule(column, np.array([5]), Key(3, 1))
        among = rule(column, _everything(column), Key(3, 1))
        mine = _documents_of(column, among[:, 0]) == 5
        assert alone.tolist() == among[mine].tolist()


def test_next_sentences_need_two_documents(small_corpus: Corpus) -> None:
    with pytest.raises(InputError, match=r"at least two documents.*blank lines"):
        NextPairs(64)(small_corpus.tokens(), np.array([0]), Key(0))


@pytest.mark.parametrize(("rule", "shortest"), [(NextPairs, 5), (NeighbourPairs, 5), (Runs, 4)])
def test_a_length_without_room_for_text_is_refused(small_corpus: Corpus, rule: type, shortest: int) -> None:
    column = small_corpus.tokens()
    assert len(rule(shortest)(column, np.arange(2), Key(0)))
    with pytest.raises(ConfigError, match="no room for text"):
        rule(shortest - 1)(column, np.arange(2), Key(0))
