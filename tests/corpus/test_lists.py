"""Rows on their way to the disk: lists end to end, lengths as bytes."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from maskwright.corpus.lists import Lists, Pile, count_numbers, in_bytes, numbers_by, only, running_sums

NUMBERS = st.one_of(st.integers(0, 40), st.sampled_from([0, 1, 254, 255, 256, 509, 510, 511, 100_000]))


@given(st.lists(st.lists(NUMBERS, max_size=6), max_size=5))
def test_numbers_come_back_from_their_bytes(rows: list[list[int]]) -> None:
    flat = np.array([number for row in rows for number in row], np.int64)
    stored = in_bytes(flat, np.cumsum([len(row) for row in rows], dtype=np.int64))
    assert stored.flat.dtype == np.uint8 and len(stored) == len(rows)
    for number, row in enumerate(rows):
        assert running_sums(stored[number]).tolist() == np.cumsum(row, dtype=np.int64).tolist()
    assert running_sums(stored.flat, np.int32).tolist() == np.cumsum(flat).tolist()
    assert count_numbers(stored.flat) == len(flat)
    assert numbers_by(stored.flat, stored.ends).tolist() == np.cumsum([len(row) for row in rows]).tolist()


def test_a_length_below_255_is_one_byte() -> None:
    assert in_bytes(np.array([0, 254, 255, 600]), np.array([4])).flat.tolist() == [0, 254, 255, 0, 255, 255, 90]


def test_some_rows_are_those_and_no_others() -> None:
    lists = Lists.of([np.arange(3), np.arange(0), np.arange(5, 7), np.arange(1)], np.int64)
    kept = only({"a": lists, "b": Lists.of_bytes([b"x", b"", b"yz", b"w"])}, np.array([True, True, False, True]))
    assert [kept["a"][number].tolist() for number in range(3)] == [[0, 1, 2], [], [0]]
    assert [kept["b"][number].tobytes() for number in range(3)] == [b"x", b"", b"w"]


@pytest.mark.parametrize("size", [3, 50_000])
def test_a_pile_holds_what_was_added_and_begins_anew(size: int) -> None:
    pile = Pile(np.uint16)
    for _ in range(2):
        for number in range(4):
            pile.add(Lists.of([np.full(size, number), np.empty(0, np.int64)], np.int64))
        taken = pile.take()
        assert taken.flat.dtype == np.uint16
        assert taken.lengths.tolist() == [size, 0] * 4
        assert taken.flat.tolist() == [number for number in range(4) for _ in range(size)]
