"""BART's noises: what each may change, and how often, held against closed forms."""

import math
from itertools import pairwise

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from maskwright.data.batch import Sample
from maskwright.errors import ConfigError
from maskwright.keys import Key
from maskwright.objectives.denoise import NOISES, Damage, DenoiseConfig, poisson
from maskwright.objectives.output import Rewriting
from maskwright.train.setup import make_objective
from small import bert_frame

BEGIN, END, MASK, START = 1, 2, 3, 2
FRAME = bert_frame(BEGIN, END)
KEYS = st.builds(Key, st.integers(0, 2**40), st.integers(0, 2**33), st.integers(0, 2**40))


def sample_of(length: int, sentences: tuple[int, ...] = ()) -> Sample:
    """A text of different tokens; sentences begin at these places of it, and at its beginning."""
    sample = Sample.of([(np.arange(100, 100 + length), np.ones(length, bool))], FRAME, 0)
    starts = np.zeros(length + 2, bool)
    starts[[1, *(1 + place for place in sentences)]] = True
    return Sample(**{**vars(sample), "starts_sentence": starts})


def damaged(noises: str, sample: Sample, key: Key, **options: float) -> list[int]:
    """The input's text; the output is checked on the way."""
    made = Damage(DenoiseConfig.of({"noises": noises, **options}), MASK, Rewriting("denoise", START))(sample, key)
    assert made.decoder is not None
    whole = [BEGIN, *range(100, 100 + len(sample.ids) - 2), END]
    assert made.decoder.targets["denoise"][1].tolist() == whole
    assert made.decoder.ids.tolist() == [START, *whole[:-1]]
    assert made.ids[0] == BEGIN and made.ids[-1] == END
    assert len(made.ids) == len(made.segments) == len(made.special) == len(made.starts_word)
    assert len(made.ids) <= len(sample.ids)
    return made.ids[1:-1].tolist()


@given(
    length=st.integers(1, 300),
    key=KEYS,
    rate=st.sampled_from([0.05, 0.3, 0.9]),
    mean=st.sampled_from([1.0, 3.0, 8.0]),
)
@settings(max_examples=300)
def test_infilling_puts_one_mask_for_a_span_and_keeps_the_rest_in_order(
    length: int, key: Key, rate: float, mean: float
) -> None:
    text = damaged("infilling", sample_of(length), key, rate=rate, mean_length=mean)
    kept = [piece for piece in text if piece != MASK]
    assert kept == sorted(set(kept)) and set(kept) <= set(range(100, 100 + length))
    assert length - len(kept) <= max(1, round(rate * length)) and MASK in text
    assert all(MASK not in pair or pair[0] != pair[1] for pair in pairwise(text))


def test_infilled_lengths_are_poisson_s_with_none_among_them() -> None:
    hidden, spans, empty = 0, 0, 0
    length, rounds = 2_000, 40
    for number in range(rounds):
        text = damaged("infilling", sample_of(length), Key(0, 0, number))
        kept = [piece for piece in text if piece != MASK]
        hidden += length - len(kept)
        spans += text.count(MASK)
        around = [99, *text, 100 + length]
        empty += sum(around[at + 1] - around[at - 1] == 1 for at, piece in enumerate(around) if piece == MASK)
    assert hidden == rounds * 0.3 * length
    # n draws add up to the hidden tokens: n is near hidden / 3, with the variance of a renewal count, t σ² / μ³ = t / 9.
    assert abs(spans - hidden / 3) < 4 * (hidden / 9) ** 0.5 + rounds
    share = math.exp(-3)
    assert abs(empty / spans - share) < 4 * (share * (1 - share) / spans) ** 0.5


@pytest.mark.parametrize("mean", [0.5, 3.0, 50.0])
def test_draws_are_poisson_s(mean: float) -> None:
    found = poisson(mean, 20_000, Key(4).stream("p"))
    assert abs(found.mean() - mean) < 4 * (mean / 20_000) ** 0.5
    for number in range(int(mean) + 3):
        share = math.exp(-mean + number * math.log(mean) - math.lgamma(number + 1))
        assert abs((found == number).mean() - share) < 4 * (share * (1 - share) / 20_000) ** 0.5 + 1e-9


def test_sentences_keep_their_tokens_together_and_come_in_every_order() -> None:
    sentences = {(100, 101, 102), (103, 104), (105, 106, 107, 108)}
    seen: dict[tuple[int, ...], int] = {}
    for number in range(3_000):
        text = damaged("sentences", sample_of(9, (3, 5)), Key(0, 0, number))
        order = tuple(piece for piece in text if piece in (100, 103, 105))
        assert text == [piece for first in order for each in sentences if each[0] == first for piece in each]
        seen[order] = seen.get(order, 0) + 1
    assert len(seen) == 6
    assert all(abs(times / 3_000 - 1 / 6) < 4 * (1 / 6 * 5 / 6 / 3_000) ** 0.5 for times in seen.values())


def test_masking_deletion_and_rotation_do_what_they_are_called() -> None:
    seen = {name: [damaged(name, sample_of(50), Key(0, 0, n)) for n in range(500)] for name in NOISES}
    whole = list(range(100, 150))
    for text in seen["masking"]:
        assert text.count(MASK) == 15 and all(a in (b, MASK) for a, b in zip(text, whole, strict=True))
    for text in seen["deletion"]:
        assert len(text) == 35 and text == sorted(text) and MASK not in text
    for text in seen["rotation"]:
        at = whole.index(text[0])
        assert text == whole[at:] + whole[:at]
    begins = np.array([text[0] - 100 for text in seen["rotation"]])
    assert abs(begins.mean() - 24.5) < 4 * ((50**2 - 1) / 12 / 500) ** 0.5
    hidden = np.array([[piece == MASK for piece in text] for text in seen["masking"]]).mean(0)
    assert (abs(hidden - 0.3) < 4.5 * (0.21 / 500) ** 0.5).all()


def test_noises_join_and_a_single_token_survives_them() -> None:
    both = damaged("infilling, sentences", sample_of(90, (30, 60)), Key(1))
    assert both.count(MASK) > 1 and [piece for piece in both if piece != MASK] != sorted(set(both) - {MASK})
    for name in NOISES:
        assert len(damaged(name, sample_of(1), Key(0))) == 1


def test_an_unknown_noise_is_refused_with_the_nearest_one() -> None:
    with pytest.raises(
        ConfigError, match=r"objective\.denoise\.noises.*no noise 'infiling'.*Did you mean 'infilling'\?"
    ):
        make_objective("denoise", {"denoise": {"noises": "infiling"}})
    with pytest.raises(ConfigError, match="each noise is named once"):
        make_objective("denoise", {"denoise": {"noises": "masking,masking"}})
