"""An epoch's plan: everything once, within the budget, the same on disk, and however it is dealt out."""

from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from maskwright.data.plan import Budget, Plan
from maskwright.errors import ConfigError, InputError
from maskwright.keys import Key

LENGTHS = st.lists(st.integers(3, 128), min_size=1, max_size=200).map(lambda found: np.array(found, dtype=np.int64))
BUDGETS = st.one_of(st.builds(Budget, tokens=st.integers(128, 2000)), st.builds(Budget, examples=st.integers(1, 50)))
KEYS = st.builds(Key, st.integers(0, 2**40), st.integers(0, 100))


def make(lengths: np.ndarray, budget: Budget, key: Key | None = Key(0)) -> Plan:  # noqa: B008  (frozen)
    return Plan.make(np.arange(2 * len(lengths)).reshape(-1, 2), lengths, budget, key)


@given(lengths=LENGTHS, budget=BUDGETS, key=KEYS)
@settings(max_examples=200)
def test_every_example_is_seen_exactly_once_an_epoch_within_the_budget(
    lengths: np.ndarray, budget: Budget, key: Key
) -> None:
    plan = make(lengths, budget, key)
    steps = [plan.examples(step) for step in range(plan.steps)]
    assert sorted(np.concatenate(steps).tolist()) == list(range(len(lengths)))
    for step, examples in enumerate(steps):
        assert len(examples)
        if budget.tokens is None:
            assert len(examples) == budget.examples or step == plan.steps - 1
            continue
        assert lengths[examples].sum() <= budget.tokens
        if step + 1 < plan.steps:  # no step is left shorter than it had to be
            assert lengths[examples].sum() + lengths[steps[step + 1][0]] > budget.tokens


@given(lengths=LENGTHS, budget=BUDGETS, longest=st.sampled_from([None, 64, 128, 500]))
@settings(max_examples=200)
def test_one_two_and_four_ranks_hold_the_same_examples_however_they_cut_them(
    lengths: np.ndarray, budget: Budget, longest: int | None
) -> None:
    plan = make(lengths, budget)
    for step in range(plan.steps):
        whole = sorted(plan.examples(step).tolist())
        for world in (1, 2, 4):
            shares = plan.pieces(step, world, longest)
            dealt = [np.concatenate(share) for share in shares]
            assert len(shares) == world
            assert sorted(np.concatenate(dealt).tolist()) == whole
            assert max(map(len, dealt)) - min(map(len, dealt)) <= 1
            for micro in (micro for share in shares for micro in share):
                total = lengths[micro].sum()
                assert longest is None or total <= longest or len(micro) == 1 or total <= lengths.max()


@given(lengths=LENGTHS, budget=BUDGETS)
@settings(max_examples=40)
def test_a_plan_comes_back_from_disk_as_it_was(
    tmp_path_factory: pytest.TempPathFactory, lengths: np.ndarray, budget: Budget
) -> None:
    plan, path = make(lengths, budget), tmp_path_factory.mktemp("plan") / "plans" / "epoch-0000.arrow"
    plan.save(path, "this")
    back = Plan.load(path, "this")
    for name in ("columns", "lengths", "order", "bounds"):
        assert (getattr(back, name) == getattr(plan, name)).all()
    assert back.digest() == plan.digest()
    assert [file.name for file in path.parent.iterdir()] == [path.name]


def test_the_digest_tells_seeds_epochs_budgets_and_contents_apart() -> None:
    lengths = np.full(50, 10)
    plans = [make(lengths, Budget(examples=8), Key(seed, epoch)) for seed, epoch in ((0, 0), (1, 0), (0, 1))]
    plans += [make(lengths, Budget(examples=9)), make(lengths + (np.arange(50) == 3), Budget(examples=8))]
    assert len({plan.digest() for plan in plans}) == len(plans)
    assert make(lengths, Budget(examples=8)).digest() == plans[0].digest()


def test_without_a_key_the_order_is_the_source_s() -> None:
    assert make(np.full(9, 5), Budget(examples=2), None).order.tolist() == list(range(9))


@pytest.mark.parametrize(
    ("arguments", "said"),
    [({}, "either tokens or examples"), ({"tokens": 5, "examples": 5}, "either tokens or examples"), ({"examples": 0}, "at least 1")],
)  # fmt: skip
def test_an_impossible_budget_is_refused(arguments: dict[str, int], said: str) -> None:
    with pytest.raises(ConfigError, match=said):
        Budget(**arguments)


def test_an_example_longer_than_a_step_is_refused_with_both_numbers() -> None:
    with pytest.raises(ConfigError, match="an example of 40 tokens does not fit a step of 39"):
        make(np.array([10, 40]), Budget(tokens=39))


@pytest.mark.parametrize("damage", ["cut", "empty", "one bit"])
def test_a_damaged_plan_is_refused_by_name(tmp_path: Path, damage: str) -> None:
    path = tmp_path / "epoch-0000.arrow"
    plan = make(np.full(90, 5), Budget(examples=2))
    plan.save(path, "this")
    bytes_ = bytearray(path.read_bytes())
    place = bytes(bytes_).index(plan.order.tobytes()) + 16
    bytes_[place] ^= 1
    path.write_bytes({"cut": bytes_[:200], "empty": b"", "one bit": bytes_}[damage])
    with pytest.raises(InputError, match=r"epoch-0000\.arrow: damaged"):
        Plan.load(path, "this")


def test_a_plan_of_other_data_or_settings_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "epoch-0000.arrow"
    make(np.full(9, 5), Budget(examples=2)).save(path, "this")
    with pytest.raises(InputError, match="other data or settings"):
        Plan.load(path, "that")
