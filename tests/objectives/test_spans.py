"""Span corruption: a text worked by hand, the published counts, and draws held against closed forms."""

from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from maskwright.cli.tokenizer import train
from maskwright.data.batch import Sample
from maskwright.errors import ConfigError, InputError
from maskwright.keys import Key
from maskwright.objectives.output import Rewriting
from maskwright.objectives.spans import SpansConfig, SpanSizes, TakeOut, amounts, noise_of, sentinels_of
from maskwright.text.sentinels import with_sentinels
from maskwright.text.special import Frame, Place
from maskwright.text.tokenizer import Tokenizer

PAD, END = 0, 1
FRAME = Frame((Place(None, 0, 0), Place(END, -1, 0)), (Place(None, 0, 0), Place(None, 1, 0)))  # T5's: text </s>
SENTINELS = np.arange(900, 1000)[::-1].copy()
CONFIGS = st.builds(
    SpansConfig, density=st.sampled_from([0.01, 0.15, 0.5, 0.9]), mean_length=st.sampled_from([1.0, 3.0, 10.0])
)
KEYS = st.builds(Key, st.integers(0, 2**40), st.integers(0, 2**33), st.integers(0, 2**40))


def sample_of(text: np.ndarray) -> Sample:
    return Sample.of([(text, np.ones(len(text), bool))], FRAME, 7)


def take_out(config: SpansConfig) -> TakeOut:
    return TakeOut(config, SENTINELS, Rewriting("spans", PAD))


def test_the_paper_s_sentence_by_hand(monkeypatch: pytest.MonkeyPatch) -> None:
    # Thank you | for inviting | me to your party last | week: two kept, two out, five kept, one out.
    words = np.array([10, 11, 12, 13, 14, 15, 16, 17, 18, 19])
    monkeypatch.setattr("maskwright.objectives.spans.noise_of", lambda *given: np.array([2, 2, 5, 1]))
    made = take_out(SpansConfig())(sample_of(words), Key(0))
    assert made.ids.tolist() == [10, 11, 999, 14, 15, 16, 17, 18, 998, END]
    assert made.decoder is not None
    places, labels = made.decoder.targets["spans"]
    assert labels.tolist() == [999, 12, 13, 998, 19, END] and places.tolist() == list(range(6))
    assert made.decoder.ids.tolist() == [PAD, 999, 12, 13, 998, 19]
    assert made.special.tolist() == [False] * 9 + [True] and not made.targets
    assert (made.number, made.decoder.number) == (7, 7)


@given(length=st.integers(1, 500), config=CONFIGS, key=KEYS)
@settings(max_examples=300)
def test_input_and_output_together_hold_the_text_and_nothing_else(length: int, config: SpansConfig, key: Key) -> None:
    text = np.arange(1000, 1000 + length)
    made = TakeOut(config, np.arange(600, 900), Rewriting("spans", PAD))(sample_of(text), key)
    assert made.decoder is not None
    read, written = made.ids[:-1].tolist(), made.decoder.targets["spans"][1][:-1].tolist()
    spans: dict[int, list[int]] = {}
    for piece in written:
        if piece < 1000:
            spans[piece] = here = []
        else:
            here.append(piece)
    assert list(spans) == list(range(600, 600 + len(spans))) and all(spans.values())
    again = [token for piece in read for token in (spans[piece] if piece < 1000 else [piece])]
    assert again == text.tolist()
    sizes = SpanSizes(config, FRAME.special(1))(np.array([length + 1]))
    assert sizes.tolist() == [len(made.ids) + len(made.decoder.ids)]
    assert read[-1] < 1000 and (length == 1 or read[0] >= 1000)


@pytest.mark.parametrize(
    ("length", "taken", "spans"), [(512, 77, 26), (100, 15, 5), (10, 2, 1), (2, 1, 1), (1, 1, 1), (30, 4, 1)]
)
def test_as_many_tokens_and_spans_as_in_the_published_code(length: int, taken: int, spans: int) -> None:
    # round(0.15 n), at least 1 and at most n - 1, and round(that / 3), at least 1; halves to even.
    assert [each.tolist() for each in amounts(SpansConfig(), np.array([length]))] == [[taken], [spans]]


def test_every_way_to_cut_is_equally_likely() -> None:
    # Of 10 tokens 4 are taken out in 2 spans: 3 ways to cut the 4, 5 ways to cut the 6 that stay.
    config, count = SpansConfig(density=0.4, mean_length=2.0), 6_000
    found: dict[tuple[int, ...], int] = {}
    for number in range(count):
        turns = tuple(noise_of(config, 10, Key(0, 0, number).stream("spans.noise")).tolist())
        found[turns] = found.get(turns, 0) + 1
    assert len(found) == 15
    for turns, times in found.items():
        assert sum(turns) == 10 and turns[1] + turns[3] == 4
        assert abs(times / count - 1 / 15) < 4 * (1 / 15 * 14 / 15 / count) ** 0.5


def test_taken_places_are_as_likely_as_the_closed_form_says() -> None:
    # With one span in n tokens all kept tokens stand before it: the last ones are always those taken out.
    config = SpansConfig()
    assert noise_of(config, 20, Key(0).stream("spans.noise")).tolist() == [17, 3]
    # With k spans the first kept piece has c in all C(kept - c - 1, k - 2) of C(kept - 1, k - 1) ways: its mean is kept / k.
    firsts = [noise_of(config, 100, Key(0, 1, n).stream("spans.noise"))[0] for n in range(4_000)]
    kept, k = 85, 5
    variance = kept * (kept - k) * (k - 1) / (k**2 * (k + 1))
    assert abs(np.mean(firsts) - kept / k) < 4 * (variance / len(firsts)) ** 0.5


def test_the_same_key_takes_out_the_same_and_another_epoch_others() -> None:
    stage, sample = take_out(SpansConfig()), sample_of(np.arange(100))
    one, same, other = (stage(sample, Key(0, epoch, 7)).ids.tolist() for epoch in (0, 0, 1))
    assert one == same != other


def test_sentinels_are_found_by_name_or_missed_with_the_remedy(tokenizer: Tokenizer) -> None:
    more = with_sentinels(tokenizer, 20)
    assert sentinels_of(more, "<extra_id_{}>").tolist() == list(range(tokenizer.vocab_size, tokenizer.vocab_size + 20))
    assert more.encode("a text of words") == tokenizer.encode("a text of words")
    assert more.encode("<extra_id_0>") == tokenizer.encode("<extra_id_0>") and more.roles == tokenizer.roles
    with pytest.raises(ConfigError, match=r"no piece '<extra_id_0>'.*\[unused0\]"):
        sentinels_of(tokenizer, "<extra_id_{}>")
    with pytest.raises(ConfigError, match=r"has no place \{\} for the number"):
        sentinels_of(tokenizer, "<extra_id_0>")
    with pytest.raises(InputError, match="<extra_id_0> already"):
        with_sentinels(more)


def test_a_vocabulary_is_trained_with_sentinels_that_live_through_its_folder(tmp_path: Path) -> None:
    (tmp_path / "text.txt").write_text("a red fox runs over a hill\n" * 9)
    train(str(tmp_path / "text.txt"), out=tmp_path / "made", vocab_size=300, kind="unigram", sentinels=4)
    tokenizer = Tokenizer.load(tmp_path / "made")
    assert sentinels_of(tokenizer, "<extra_id_{}>").tolist() == list(
        range(tokenizer.vocab_size - 4, tokenizer.vocab_size)
    )
    assert set(sentinels_of(tokenizer, "<extra_id_{}>").tolist()) <= tokenizer.special_ids


def test_more_spans_than_sentinels_are_refused() -> None:
    few = TakeOut(SpansConfig(density=0.5, mean_length=1.0), SENTINELS[:4], Rewriting("spans", PAD))
    with pytest.raises(InputError, match="50 spans in a text of 100 tokens, and the tokenizer has 4 sentinels"):
        few(sample_of(np.arange(100)), Key(0))
