"""Blank infilling: what is taken out and in which order it is written, held to closed forms; who sees whom, on a real network."""

import math
from collections import Counter
from collections.abc import Callable
from dataclasses import replace
from itertools import permutations

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from maskwright.data.batch import Batch, Collator, Sample
from maskwright.errors import ConfigError
from maskwright.families import FAMILIES, family_of
from maskwright.keys import Key
from maskwright.model import Model
from maskwright.objective import Pass
from maskwright.objectives.blank import Blank, BlankConfig, BlankSizes, MakeBlanks
from maskwright.objectives.denoise import poisson
from maskwright.train.setup import make_objective
from small import OF_ANY, bert_frame, loud, tiny_of

CLS, SEP, MASK = 2, 3, 4
FRAME = bert_frame(CLS, SEP)
KEYS = st.builds(Key, st.integers(0, 2**40), st.integers(0, 2**33), st.integers(0, 2**40))
FITTING = ["bert", "ernie", "roberta", "albert", "electra", "distilbert"]


def text(length: int, number: int = 0) -> Sample:
    """A text of different tokens."""
    return Sample.of([(np.arange(100, 100 + length), np.ones(length, bool))], FRAME, number)


def blanked(sample: Sample, key: Key, **options: float) -> Sample:
    return MakeBlanks(BlankConfig.of(options), MASK, CLS, SEP)(sample, key)


def spans_of(made: Sample) -> list[tuple[int, list[int]]]:
    """(place of the blank, what is written there), in the order of writing."""
    places, labels = made.targets["blank"]
    found: list[tuple[int, list[int]]] = []
    for place, label, blank in zip(places, labels, made.targets["blank.place"][1], strict=True):
        if made.ids[place] == CLS:
            found.append((int(blank), []))
        else:
            assert found[-1][1][-1] == made.ids[place] and found[-1][0] == blank
        found[-1][1].append(int(label))
    assert all(written.pop() == SEP for _, written in found)
    return found


@given(
    length=st.integers(1, 300), key=KEYS, rate=st.sampled_from([0.05, 0.15, 0.9]), mean=st.sampled_from([1.0, 3.0, 8.0])
)
@settings(max_examples=300)
def test_what_is_read_and_written_together_is_the_text(length: int, key: Key, rate: float, mean: float) -> None:
    sample = text(length)
    made = blanked(sample, key, rate=rate, mean_length=mean)
    spans = dict(spans_of(made))
    read = made.ids[: made.targets["blank"][0][0]].tolist()
    assert [place for place, piece in enumerate(read) if piece == MASK] == sorted(spans)
    filled = [piece for place, each in enumerate(read) for piece in spans.get(place, [each])]
    assert filled == sample.ids.tolist()
    taken = sum(map(len, spans.values()))
    assert taken == min(max(1, round(rate * length)), max(1, length - 1)) and all(spans.values())
    assert len(made.ids) == len(made.segments) == len(made.special) == len(made.starts_word)
    assert len(made.ids) <= BlankSizes(BlankConfig(rate=rate), 2)(np.array([length + 2]))[0]
    within = made.targets["blank.within"][1].tolist()
    assert within == [place for _, span in spans_of(made) for place in range(len(span) + 1)]


@given(length=st.integers(30, 300), key=KEYS)
@settings(max_examples=100)
def test_blanks_do_not_touch(length: int, key: Key) -> None:
    made = blanked(text(length), key)
    assert np.diff(np.flatnonzero(made.ids == MASK)).min(initial=2) > 1


@pytest.mark.parametrize("mean", [1.0, 3.0])
def test_lengths_are_poisson_s_without_zero(mean: float) -> None:
    drawn = poisson(mean, 40_000, Key(5).stream("test"), least=1)
    nothing = math.exp(-mean)
    for length in range(1, 7):
        share = math.exp(-mean) * mean**length / math.factorial(length) / (1 - nothing)
        assert (drawn == length).mean() == pytest.approx(share, abs=4 * math.sqrt(share / 40_000))
    assert drawn.min() == 1 and drawn.mean() == pytest.approx(mean / (1 - nothing), abs=0.03)


def test_every_order_of_writing_and_every_place_is_equally_likely() -> None:
    orders: Counter[tuple[int, ...]] = Counter()
    places: Counter[int] = Counter()
    for number in range(6_000):
        spans = spans_of(blanked(text(20), Key(1, 0, number), rate=0.15, mean_length=1.0))
        if len(spans) == 3:
            rank = sorted(place for place, _ in spans)
            orders[tuple(rank.index(place) for place, _ in spans)] += 1
        (alone,) = spans_of(blanked(text(9), Key(2, 0, number), rate=0.1))
        places[alone[0]] += 1
    assert set(orders) == set(permutations(range(3)))
    total = sum(orders.values())
    assert total > 1_000 and all(abs(count - total / 6) < 4 * math.sqrt(total / 6) for count in orders.values())
    assert set(places) == set(range(1, 10))
    assert all(abs(count - 6_000 / 9) < 4 * math.sqrt(6_000 / 9) for count in places.values())


def test_the_same_key_makes_the_same_blanks_and_another_epoch_others() -> None:
    one, same, other = (blanked(text(60), Key(3, epoch, 7)).ids.tolist() for epoch in (0, 0, 1))
    assert one == same != other


@pytest.fixture(params=FITTING)
def made(request: pytest.FixtureRequest, tokenizer: object) -> tuple[Blank, Model, Batch]:
    objective = Blank(BlankConfig(rate=0.3))
    model = tiny_of(request.param, tokenizer).eval()  # type: ignore[arg-type]
    objective.prepare(model)
    loud(model.net)
    assert objective.within is not None
    loud(objective.within, 1)
    samples = [text(40, 0), text(12, 1), text(25, 2)]
    return objective, model, Collator.of((objective.stage(model),), model.tokenizer)(samples, Key(4))


def losses(objective: Blank, model: Model, batch: Batch, row: int, label: int) -> float:
    """The loss of one place alone, for one label."""
    target = batch.targets["blank"]
    at = int((target.rows == row).nonzero()[0, 0])
    labels = torch.full_like(target.labels, -100)
    labels[at] = label
    alone = replace(batch, targets={**batch.targets, "blank": replace(target, labels=labels)})
    return float(objective(Pass(model, alone))["blank"].sum.detach())


def test_a_place_sees_the_text_and_what_was_written_before_it_and_nothing_later(
    made: tuple[Blank, Model, Batch],
) -> None:
    objective, model, batch = made
    begin, end = batch.layout.cu[:2].tolist()  # type: ignore[union-attr]
    written = batch.targets["blank"].rows[: batch.targets["blank"].count]
    row = int(written[written < end][5])
    before = losses(objective, model, batch, row, 7)
    for other in range(begin, end + 3):  # the next sequence too
        ids = batch.ids_T.clone()
        ids[other] = 9
        after = losses(objective, model, replace(batch, ids_T=ids), row, 7)
        assert (abs(after - before) > 1e-7 * abs(before)) == (other <= row), (other, row)


def test_the_text_is_read_as_if_nothing_were_written(made: tuple[Blank, Model, Batch]) -> None:
    objective, model, batch = made
    seen: list[torch.Tensor] = []
    hook = model.net.stack.register_forward_hook(lambda _, given, out: seen.append((given[2], out[-1])))
    objective(Pass(model, batch))
    hook.remove()
    (grid, states_TD) = seen[0]
    for b, (begin, end) in enumerate(zip(batch.layout.cu.tolist(), batch.layout.cu.tolist()[1:], strict=False)):  # type: ignore[union-attr]
        first = int(batch.targets["blank"].rows[batch.targets["blank"].rows >= begin].min())
        read = batch.ids_T[begin:first]
        expected = model(read[None]).last_hidden_state[0]
        found = states_TD.view(grid.batch, grid.length, -1)[b, : first - begin]
        assert first < end and torch.allclose(found, expected, atol=1e-5)


def test_a_written_token_has_the_place_of_its_blank_and_its_place_in_the_span(made: tuple[Blank, Model, Batch]) -> None:
    objective, model, batch = made
    rows = batch.targets["blank"].rows[: batch.targets["blank"].count]
    given: list[torch.Tensor] = []
    hook = model.net.embed.norm.register_forward_hook(lambda _, x, out: given.append(x[0]))
    objective(Pass(model, batch))
    hook.remove()
    _, places_T = batch.layout.on_grid()  # type: ignore[union-attr]
    embed, within = model.net.embed, objective.within
    assert within is not None
    inner = batch.targets["blank.within"].labels[: len(rows)]
    expected = embed.summed(
        batch.ids_T[rows], batch.targets["blank.place"].labels[: len(rows)], batch.segments_T[rows]
    ) + within(inner)
    assert torch.allclose(given[0][places_T[rows]], expected, atol=1e-6)


@pytest.mark.parametrize("name", [entry.name for entry in FAMILIES])
def test_families_that_cannot_are_refused_by_name(name: str) -> None:
    family = family_of(name)
    reason = Blank.misfit(family, family.new_spec(vocabulary=262, **OF_ANY))  # which is what a family of characters has
    assert (reason is None) == (name in FITTING)
    if name == "modernbert":
        assert reason is not None and "modernbert has no table of positions" in reason


@pytest.mark.parametrize("names", ["blank,nsp", "mlm,blank"])
def test_no_other_objective_shares_its_batch(names: str) -> None:
    with pytest.raises(ConfigError, match=r"objectives: blank makes other tokens of the text.*name it alone"):
        make_objective(names, {})


def test_a_tokenizer_without_end_pieces_is_refused(tiny: Callable[..., Model], monkeypatch: pytest.MonkeyPatch) -> None:
    model = tiny(["mlm"])
    roles = {role: number for role, number in model.tokenizer.roles.items() if role != "sep"}
    monkeypatch.setattr(model.tokenizer, "roles", roles)
    with pytest.raises(ConfigError, match="no eos and no sep piece"):
        Blank(BlankConfig()).stage(model)
