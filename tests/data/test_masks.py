"""Masking hides what it says and touches nothing else."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from maskwright.data.batch import Sample
from maskwright.keys import Key
from maskwright.objectives.mlm import HideTokens, MlmConfig
from small import bert_frame

CLS, SEP, MASK, FIRST, PIECES = 2, 3, 4, 5, 300
ORDINARY = np.arange(FIRST, PIECES)
FRAME = bert_frame(CLS, SEP)


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
    return Sample.of(segments, FRAME, number=draw(st.integers(0, 2**40)))


CONFIGS = st.builds(
    MlmConfig,
    rate=st.sampled_from([0.01, 0.15, 0.4, 0.9]),
    mask_share=st.sampled_from([0.0, 0.5, 0.8]),
    random_share=st.sampled_from([0.0, 0.1, 0.2]),
    unit=st.sampled_from(["token", "word"]),
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


@given(sample=samples(), key=KEYS)
@settings(max_examples=200)
def test_whole_words_are_chosen_whole(sample: Sample, key: Key) -> None:
    config = MlmConfig(rate=0.3, unit="word")
    chosen = np.zeros(len(sample.ids), bool)
    chosen[HideTokens(config, MASK, ORDINARY)(sample, key).targets["mlm"][0]] = True
    word = np.cumsum(sample.starts_word | sample.special | np.roll(sample.special, 1))
    sizes, taken = np.bincount(word), np.bincount(word, weights=chosen)
    broken = (taken > 0) & (taken < sizes)
    # The one exception: no word fits, and a part of the first drawn is better than no target.
    assert not broken.any() or taken.sum() == max(1, round(0.3 * len(sample.ids)))
    assert broken.sum() <= 1


def test_the_three_kinds_come_in_their_shares() -> None:
    rng = np.random.default_rng(0)
    sample = Sample.of([(rng.choice(ORDINARY, 5000), np.ones(5000, bool))], FRAME, 0)
    hide = HideTokens(MlmConfig(rate=0.5, mask_share=0.6, random_share=0.3), MASK, ORDINARY)
    shown, was = [], []
    for number in range(20):
        hidden = hide(sample, Key(0, 0, number))
        places, labels = hidden.targets["mlm"]
        shown.append(hidden.ids[places])
        was.append(labels)
    shown_all, was_all = np.concatenate(shown), np.concatenate(was)
    total = len(shown_all)
    for found, share in (((shown_all == MASK), 0.6), ((shown_all == was_all), 0.1 + 0.3 / len(ORDINARY))):
        assert abs(found.mean() - share) < 4 * (share * (1 - share) / total) ** 0.5


def test_masks_are_fresh_each_epoch_and_the_same_for_the_same_key() -> None:
    sample = Sample.of([(ORDINARY[:100], np.ones(100, bool))], FRAME, 7)
    hide = HideTokens(MlmConfig(), MASK, ORDINARY)
    one, same, other = (hide(sample, Key(0, epoch, 7)).ids.tolist() for epoch in (0, 0, 1))
    assert one == same
    assert one != other


@pytest.mark.parametrize("unit", ["token", "word"])
def test_a_sequence_of_one_token_still_has_a_target(unit: str) -> None:
    sample = Sample.of([(ORDINARY[:1], np.array([True]))], FRAME, 0)
    places, labels = HideTokens(MlmConfig(unit=unit), MASK, ORDINARY)(sample, Key(0)).targets["mlm"]
    assert places.tolist() == [1] and labels.tolist() == [FIRST]
