"""Masking hides what it says and touches nothing else."""

from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from framed import framed
from maskwright.data.batch import Sample
from maskwright.keys import Key
from maskwright.objectives import units
from maskwright.objectives.mlm import HideTokens, MlmConfig

CLS, SEP, MASK, FIRST, PIECES = 2, 3, 4, 5, 300
ORDINARY = np.arange(FIRST, PIECES)


@st.composite
def samples(draw: st.DrawFn) -> Sample:
    """One segment or two, with words of one to six pieces."""
    segments = []
    for _ in range(draw(st.integers(1, 2))):
        words = draw(st.lists(st.integers(1, 6), min_size=1, max_size=60))
        starts = np.concatenate([np.arange(size) == 0 for size in words])
        starts[0] = draw(st.booleans())  # a segment that was cut may begin within a word
        ids = draw(st.integers(0, 2**32)) + np.arange(len(starts)) * 7919
        segments.append((FIRST + ids % (PIECES - FIRST), starts))
    return framed(segments, CLS, SEP, number=draw(st.integers(0, 2**40)))


CONFIGS = st.builds(
    MlmConfig,
    rate=st.sampled_from([0.01, 0.15, 0.4, 0.9]),
    mask_share=st.sampled_from([0.0, 0.5, 0.8]),
    random_share=st.sampled_from([0.0, 0.1, 0.2]),
    unit=st.sampled_from(["token", "word", "span", "ngram"]),
    static=st.booleans(),
)
KEYS = st.builds(Key, st.integers(0, 2**40), st.integers(0, 2**33), st.integers(0, 2**40))


@given(sample=samples(), config=CONFIGS, key=KEYS)
@settings(max_examples=300)
def test_unmasked_ids_never_change(sample: Sample, config: MlmConfig, key: Key) -> None:
    before = sample.ids.copy()
    hidden = HideTokens(config, MASK, ORDINARY)(sample, key)
    places, labels = hidden.targets["mlm"]
    untouched = np.ones(len(before), bool)
    untouched[places] = False
    assert (hidden.ids[untouched] == before[untouched]).all()
    assert (labels == before[places]).all()
    assert (sample.ids == before).all()
    assert hidden.segments is sample.segments and hidden.number == sample.number


@given(sample=samples(), config=CONFIGS, key=KEYS)
@settings(max_examples=300)
def test_special_tokens_are_never_masked_and_never_put_in(sample: Sample, config: MlmConfig, key: Key) -> None:
    hidden = HideTokens(config, MASK, ORDINARY)(sample, key)
    places, _ = hidden.targets["mlm"]
    assert not sample.special[places].any()
    assert (np.diff(places) > 0).all()
    assert (hidden.ids[places] >= MASK).all()


@given(sample=samples(), key=KEYS, rate=st.sampled_from([0.05, 0.15, 0.5]))
@settings(max_examples=200)
def test_as_many_are_chosen_as_bert_would(sample: Sample, key: Key, rate: float) -> None:
    wanted = max(1, round(len(sample.ids) * rate))
    tokens = HideTokens(MlmConfig(rate=rate), MASK, ORDINARY)(sample, key).targets["mlm"][0]
    assert len(tokens) == min(wanted, int((~sample.special).sum()))
    words = HideTokens(MlmConfig(rate=rate, unit="word"), MASK, ORDINARY)(sample, key).targets["mlm"][0]
    assert 1 <= len(words) <= wanted


@given(
    sample=samples(), key=KEYS, rate=st.sampled_from([0.05, 0.3, 0.8]), unit=st.sampled_from(["word", "span", "ngram"])
)
@settings(max_examples=300)
def test_units_of_words_keep_words_whole_and_leave_none_that_would_fit(
    sample: Sample, key: Key, rate: float, unit: str
) -> None:
    chosen = np.zeros(len(sample.ids), bool)
    chosen[HideTokens(MlmConfig(rate=rate, unit=unit), MASK, ORDINARY)(sample, key).targets["mlm"][0]] = True
    wanted = max(1, round(rate * len(sample.ids)))
    word = np.cumsum(sample.starts_word | sample.special | np.roll(sample.special, 1))
    sizes, taken = np.bincount(word), np.bincount(word, weights=chosen)
    is_text = np.bincount(word, weights=~sample.special) > 0
    partly = (taken > 0) & (taken < sizes)
    assert 1 <= taken.sum() <= wanted
    if partly.any():  # no word fits, and a part of one is better than no target
        assert sizes[is_text].min() > wanted == taken.sum() and partly.sum() == 1
    else:
        assert sizes[is_text & (taken == 0)].min(initial=wanted + 1) > wanted - taken.sum()


def words(count: int, number: int = 0, pieces: int = 1) -> Sample:
    """One segment of random words of so many pieces."""
    ids = np.random.default_rng(number).choice(ORDINARY, count * pieces)
    return framed([(ids, np.arange(count * pieces) % pieces == 0)], CLS, SEP, number)


@pytest.mark.parametrize("unit", ["token", "word", "ngram", "span"])
def test_the_three_kinds_come_in_their_shares(unit: str) -> None:
    hide = HideTokens(MlmConfig(rate=0.4, mask_share=0.6, random_share=0.3, unit=unit), MASK, ORDINARY)
    masked, kept, total, decisions = 0, 0, 0, 0
    for number in range(20):
        sample = words(5000, number)
        hidden = hide(sample, Key(0, 0, number))
        places, labels = hidden.targets["mlm"]
        shown = hidden.ids[places]
        masked, kept, total = masked + (shown == MASK).sum(), kept + (shown == labels).sum(), total + len(places)
        decisions += len(places) if unit != "span" else 1 + np.count_nonzero(np.diff(places) > 1)
    # With spans one decision hides many tokens, and long spans weigh more: Kish's effective number, E[n]² / E[n²] of them.
    effective = decisions * (1 if unit != "span" else moments(SPAN)[0] ** 2 / moments(SPAN)[1])
    for found, share in ((masked, 0.6), (kept, 0.1 + 0.3 / len(ORDINARY))):
        assert abs(found / total - share) < 4 * (share * (1 - share) / effective) ** 0.5


def test_spans_are_masked_changed_or_kept_as_one_and_tokens_of_ngrams_each_for_itself() -> None:
    mixed = {}
    for unit in ("span", "ngram"):
        hidden = HideTokens(MlmConfig(mask_share=0.5, random_share=0, unit=unit), MASK, ORDINARY)(words(4000), Key(1))
        places = hidden.targets["mlm"][0]
        run = np.cumsum(np.diff(places, prepend=places[0]) > 1)
        share = np.bincount(run, weights=hidden.ids[places] == MASK) / np.bincount(run)
        mixed[unit] = ((share > 0) & (share < 1)).sum()
    assert mixed["span"] == 0
    assert mixed["ngram"] > 50


SPAN = 0.8 ** np.arange(10) / (0.8 ** np.arange(10)).sum()
NGRAM = np.array([6, 3, 2]) / 11


def moments(shares: np.ndarray) -> tuple[float, float]:
    lengths = np.arange(1, len(shares) + 1)
    return float(shares @ lengths), float(shares @ lengths**2)


@pytest.mark.parametrize(("unit", "shares", "mean"), [("span", SPAN, 3.797), ("ngram", NGRAM, 1.636)])
@pytest.mark.parametrize(("pieces", "tries"), [(1, 16), (3, 16), (1, 0)])
def test_lengths_are_distributed_as_in_the_paper(
    unit: str, shares: np.ndarray, mean: float, pieces: int, tries: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(units, "_TRIES", tries)  # without a try, each place is drawn from a list of all that are left
    hide = HideTokens(MlmConfig(unit=unit), MASK, ORDINARY)
    lengths = []
    for number in range(6 if tries else 2):  # so long that the last span of each, which is cut to fit, does not count
        places = hide(words(15_000, number, pieces), Key(3, 0, number)).targets["mlm"][0]
        assert len(places) == round(0.15 * (15_000 * pieces + 2)) // pieces * pieces
        bounds = np.flatnonzero(np.diff(places, prepend=-9, append=places[-1] + 9) > 1)
        lengths.append(np.diff(bounds) / pieces)
    found = np.concatenate(lengths)
    total = len(found)
    assert moments(shares)[0] == pytest.approx(mean, abs=5e-4)
    assert found.max() == len(shares)
    for length, share in enumerate(shares, start=1):
        assert abs((found == length).mean() - share) < 4 * (share * (1 - share) / total) ** 0.5
    first, second = moments(shares)
    assert abs(found.mean() - first) < 4 * ((second - first**2) / total) ** 0.5


def test_p_and_longest_change_the_lengths() -> None:
    def runs(config: MlmConfig) -> np.ndarray:
        places = HideTokens(config, MASK, ORDINARY)(words(10_000), Key(0)).targets["mlm"][0]
        return np.diff(np.flatnonzero(np.diff(places, prepend=-9, append=places[-1] + 9) > 1))

    assert runs(MlmConfig(unit="span", p=0.9)).mean() < 1.3
    assert runs(MlmConfig(unit="span", longest=2)).max() == 2
    assert runs(MlmConfig(unit="ngram", longest=6)).max() == 6


@pytest.mark.parametrize(("unit", "tries"), [("word", 16), ("span", 16), ("ngram", 16), ("span", 0)])
def test_every_place_is_about_as_likely(unit: str, tries: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(units, "_TRIES", tries)
    hide = HideTokens(MlmConfig(unit=unit), MASK, ORDINARY)
    counts, rounds, length = np.zeros(102), 4000, 100
    sample = words(length)
    for epoch in range(rounds):
        counts[hide(sample, Key(0, epoch)).targets["mlm"][0]] += 1
    share = counts[1:-1] / rounds
    assert counts[0] == counts[-1] == 0
    assert share.mean() == pytest.approx(15 / 100)
    # A span that begins at the edge of a text is all that can hide the edge; ten words further in all places are alike.
    inner = share[10:-10] if unit != "word" else share
    mean = inner.mean()
    assert np.abs(inner - mean).max() < 4.5 * (mean * (1 - mean) / rounds) ** 0.5


def test_masks_are_fresh_each_epoch_and_the_same_for_the_same_key() -> None:
    sample = framed([(ORDINARY[:100], np.ones(100, bool))], CLS, SEP, 7)
    hide = HideTokens(MlmConfig(), MASK, ORDINARY)
    one, same, other = (hide(sample, Key(0, epoch, 7)).ids.tolist() for epoch in (0, 0, 1))
    assert one == same
    assert one != other


def test_static_masks_are_those_of_the_text_in_every_epoch_and_at_every_place() -> None:
    hide = HideTokens(MlmConfig(static=True), MASK, ORDINARY)
    one, other = words(100, 7), words(100, 8)
    elsewhere = replace(one, number=12)
    first = hide(one, Key(0, 0, 7))
    assert (hide(elsewhere, Key(0, 5, 12)).ids == first.ids).all()
    assert hide(elsewhere, Key(0, 5, 12)).number == 12
    places = {tuple(hide(sample, Key(seed)).targets["mlm"][0]) for seed in (0, 1) for sample in (one, other)}
    assert len(places) == 4


def test_spans_stay_long_where_there_is_little_room_and_the_rate_is_kept() -> None:
    hide = HideTokens(MlmConfig(rate=0.6, unit="span", p=0.01, longest=5), MASK, ORDINARY)
    shares = []
    for number in range(50):
        hidden = np.zeros(102, bool)
        hidden[hide(words(100, number), Key(0, 0, number)).targets["mlm"][0]] = True
        assert hidden.sum() == 61
        runs = np.diff(np.flatnonzero(np.diff(hidden.astype(int), prepend=0)))[::2]
        shares.append((runs >= 3).mean())
    assert np.mean(shares) > 0.53  # without a list of the places that are left it is 0.46


@pytest.mark.parametrize("unit", ["token", "word", "span", "ngram"])
def test_a_sequence_of_one_token_still_has_a_target(unit: str) -> None:
    sample = framed([(ORDINARY[:1], np.array([True]))], CLS, SEP, 0)
    places, labels = HideTokens(MlmConfig(unit=unit), MASK, ORDINARY)(sample, Key(0)).targets["mlm"]
    assert places.tolist() == [1] and labels.tolist() == [FIRST]
