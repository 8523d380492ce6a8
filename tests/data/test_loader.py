"""Batches of a run: the same from this process or from workers, from the beginning or from the middle."""

import pickle
from itertools import islice, pairwise
from pathlib import Path

import numpy as np
import pytest
import torch

from maskwright.corpus.store import Corpus
from maskwright.data.batch import IGNORED, Batch, Collator
from maskwright.data.loader import Loader, Place, StepData
from maskwright.data.pairs import NextPairs
from maskwright.data.plan import Budget
from maskwright.data.source import CorpusSource, RowsSource
from maskwright.errors import InputError
from maskwright.nn.layout import Ragged
from maskwright.objectives.mlm import HideTokens, MlmConfig
from maskwright.objectives.nsp import LabelPair
from maskwright.text.tokenizer import Tokenizer


@pytest.fixture
def loader(small_corpus: Corpus, tokenizer: Tokenizer, tmp_path: Path) -> Loader:
    column = small_corpus.tokens()
    ordinary = np.setdiff1d(np.arange(tokenizer.vocab_size), sorted(tokenizer.special_ids))
    return Loader(
        CorpusSource(
            column, np.arange(column.documents), NextPairs(64), tokenizer.frame, "small"
        ),
        Collator((LabelPair(), HideTokens(MlmConfig(), tokenizer.mask_id, ordinary)), tokenizer.pad_id),
        Budget(tokens=20_000),
        seed=3,
        micro_tokens=5_000,
        plans=tmp_path / "plans",
    )  # fmt: skip


def changed(loader: Loader, **values: object) -> Loader:
    return Loader(**{**loader.__dict__, **values})


def assert_same(one: list[StepData], other: list[StepData]) -> None:
    assert [(step.place, step.next) for step in one] == [(step.place, step.next) for step in other]
    for a, b in zip(one, other, strict=True):
        for x, y in zip(a.batches, b.batches, strict=True):
            assert x.examples == y.examples
            assert_equal(x, y)


def assert_equal(one: Batch, other: Batch) -> None:
    for name in ("ids_T", "positions_T", "segments_T"):
        assert torch.equal(getattr(one, name), getattr(other, name))
    assert isinstance(one.layout, Ragged) and isinstance(other.layout, Ragged)
    assert torch.equal(one.layout.cu, other.layout.cu) and torch.equal(one.layout.row, other.layout.row)
    assert one.targets.keys() == other.targets.keys()
    for name, target in one.targets.items():
        assert torch.equal(target.rows, other.targets[name].rows)
        assert torch.equal(target.labels, other.targets[name].labels)
        assert target.count == other.targets[name].count


def test_workers_and_no_workers_give_the_same_batches(loader: Loader) -> None:
    steps = loader.plan(0).steps + 2  # into the second epoch
    alone = list(islice(loader.steps(Place(0, 0)), steps))
    assert [step.place.epoch for step in alone][-2:] == [1, 1]
    assert_same(alone, list(islice(changed(loader, workers=2).steps(Place(0, 0)), steps)))


@pytest.mark.parametrize("workers", [0, 2])
def test_starting_in_the_middle_is_the_same_as_skipping(loader: Loader, workers: int) -> None:
    whole = list(islice(loader.steps(Place(0, 0)), loader.plan(0).steps + 4))
    for at in (2, loader.plan(0).steps - 1, loader.plan(0).steps + 1):
        middle = changed(loader, workers=workers).steps(whole[at].place)
        assert_same(whole[at : at + 2], list(islice(middle, 2)))
        assert whole[at - 1].next == whole[at].place


def test_plans_are_kept_and_used_again(loader: Loader) -> None:
    made = loader.plan(0)
    assert loader.plans is not None and (loader.plans / "epoch-0000.arrow").exists()
    assert loader.plan(0).digest() == made.digest() == changed(loader, plans=None).plan(0).digest()


@pytest.mark.parametrize(
    "change", [{"seed": 4}, {"budget": Budget(tokens=9_000)}, {"documents": np.arange(3)}, {"pairing": NextPairs(32)}]
)
def test_a_plan_left_by_other_settings_is_not_used(
    loader: Loader, change: dict, caplog: pytest.LogCaptureFixture
) -> None:
    loader.plan(0)
    source = {name: change.pop(name) for name in ("documents", "pairing") if name in change}
    other = changed(loader, source=CorpusSource(**{**loader.source.__dict__, **source}), **change)
    assert (
        other.plan(0).digest()
        == changed(other, plans=None).plan(0).digest()
        != changed(loader, plans=None).plan(0).digest()
    )
    assert "made a plan anew" in caplog.text


def test_a_damaged_plan_is_made_again(loader: Loader, caplog: pytest.LogCaptureFixture) -> None:
    digest = loader.plan(0).digest()
    assert loader.plans is not None
    (loader.plans / "epoch-0000.arrow").write_bytes(b"")
    assert loader.plan(0).digest() == digest
    assert "damaged" in caplog.text


def test_micro_batches_hold_the_step_s_examples_and_no_more_tokens_than_asked(loader: Loader) -> None:
    plan = loader.plan(0)
    for data in islice(loader.steps(Place(0, 0)), 3):
        numbers = [number for batch in data.batches for number in batch.examples]
        assert sorted(numbers) == sorted(plan.examples(data.place.step).tolist())
        assert len(data.batches) > 1
        assert all(batch.tokens <= 5_000 for batch in data.batches)


def test_two_ranks_together_see_what_one_sees_with_the_same_masks(loader: Loader) -> None:
    def seen(steps: list[StepData]) -> dict[int, list[int]]:
        found = {}
        for batch in (batch for step in steps for batch in step.batches):
            assert isinstance(batch.layout, Ragged)
            sequences = batch.ids_T[: batch.tokens].split(batch.layout.cu.diff().tolist())
            found |= {number: ids.tolist() for number, ids in zip(batch.examples, sequences, strict=True)}
        return found

    one = seen(list(islice(loader.steps(Place(0, 0)), 2)))
    ranks = [seen(list(islice(changed(loader, rank=rank, world=2).steps(Place(0, 0)), 2))) for rank in (0, 1)]
    assert not ranks[0].keys() & ranks[1].keys()
    assert ranks[0] | ranks[1] == one


def test_filled_up_places_belong_to_no_sequence_and_have_no_target(loader: Loader, tokenizer: Tokenizer) -> None:
    batch = next(loader.steps(Place(0, 0))).batches[0]
    assert len(batch.ids_T) % 64 == 0 and len(batch.ids_T) > batch.tokens
    assert (batch.ids_T[batch.tokens :] == tokenizer.pad_id).all()
    target = batch.targets["mlm"]
    assert len(target.rows) % 16 == 0
    assert (target.labels != IGNORED).sum() == target.count < len(target.labels)
    assert (target.rows < batch.tokens).all()
    assert batch.targets["nsp"].count == len(batch.examples) == len(batch.targets["nsp"].rows)
    assert (batch.targets["nsp"].rows == batch.layout.first_B).all()


def test_positions_restart_and_segments_follow_the_separators(loader: Loader, tokenizer: Tokenizer) -> None:
    batch = next(loader.steps(Place(0, 0))).batches[0]
    assert isinstance(batch.layout, Ragged)
    cu = batch.layout.cu.tolist()
    for begin, end in pairwise(cu):
        ids, segments = batch.ids_T[begin:end], batch.segments_T[begin:end]
        assert batch.positions_T[begin:end].tolist() == list(range(end - begin))
        assert ids[0] == tokenizer.cls_id and ids[-1] == tokenizer.sep_id
        first = (ids == tokenizer.sep_id).nonzero()[0].item()
        assert segments.tolist() == [0] * (first + 1) + [1] * (end - begin - first - 1)


def test_what_travels_to_workers_is_small_and_holds_no_torch_module(loader: Loader) -> None:
    packed = pickle.dumps((loader.source, loader.collator))
    assert len(packed) < 20_000
    assert b"torch" not in packed


def test_a_source_without_examples_is_refused(tokenizer: Tokenizer) -> None:
    empty = RowsSource([], np.zeros(0), tokenizer.frame, "")
    loader = Loader(empty, Collator((), tokenizer.pad_id), Budget(examples=2), 0)
    with pytest.raises(InputError, match="nothing to train on"):
        next(loader.steps(Place(0, 0)))
