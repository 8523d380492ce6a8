"""Hard negatives: the search is exact, and what is right, or nearly as near as what is right, is never taken."""

import numpy as np
import pytest

from maskwright.errors import ConfigError, InputError
from maskwright.tasks import mining
from maskwright.tasks.mining import mine_negatives, top_k


class Known:
    """Stands for a model: texts with vectors that are known."""

    def __init__(self, **degrees: float) -> None:
        self.degrees = degrees

    def encode(self, texts: list[str]) -> np.ndarray:
        angles = np.radians([self.degrees[text] for text in texts])
        # Of any length: only directions count.
        return (np.stack([np.cos(angles), np.sin(angles)], 1) * (1 + np.arange(len(texts))[:, None])).astype(np.float32)


def test_the_search_finds_what_sorting_everything_finds(monkeypatch: pytest.MonkeyPatch) -> None:
    rng = np.random.default_rng(0)
    queries, candidates = rng.normal(size=(23, 4)).astype(np.float32), rng.normal(size=(50, 4)).astype(np.float32)
    order = np.argsort(-(queries @ candidates.T), axis=1, kind="stable")
    for at_once in (1, 400, 1 << 24):
        monkeypatch.setattr(mining, "_AT_ONCE", at_once)
        scores, numbers = top_k(queries, candidates, 7)
        assert np.array_equal(numbers, order[:, :7])
        assert np.allclose(scores, np.take_along_axis(queries @ candidates.T, order[:, :7], 1))
    assert top_k(queries, candidates, 99)[1].shape == (23, 50)


def test_of_equal_scores_the_first_candidate_comes_first() -> None:
    ones = np.ones((6, 1), np.float32)
    assert top_k(ones[:1], ones, 3)[1].tolist() == [[0, 1, 2]]


def test_negatives_are_the_nearest_texts_that_are_not_right() -> None:
    model = Known(a=0, b=90, near=20, nearly=22, far=50, other=100)
    pairs = [("a", "near"), ("b", "other"), ("a", "far")]
    # By cosine a is nearest to near (own), nearly, far (own too), other; b to other (own), far, nearly, near.
    found = mine_negatives(model, pairs, ["near", "nearly", "far", "other"], share=1.0)
    assert found == [("a", "near", "nearly"), ("b", "other", "far"), ("a", "far", "nearly")]
    # cos 22 is 0.987 of cos 20, and cos 100 is below it; above the cosine of 50 there is no bound left but other.
    found = mine_negatives(model, pairs, ["near", "nearly", "far", "other"], share=0.95)
    assert found == [("a", "near", "other"), ("b", "other", "far"), ("a", "far", "other")]
    found = mine_negatives(model, pairs[1:2], ["near", "nearly", "far"], each=2)
    assert found == [("b", "other", "far"), ("b", "other", "nearly")]
    assert mine_negatives(model, pairs[:1]) == []


def test_what_cannot_be_searched_is_refused() -> None:
    with pytest.raises(InputError, match="no pairs"):
        mine_negatives(Known(), [])
    with pytest.raises(ConfigError, match="each 3, search 2"):
        mine_negatives(Known(a=1, b=2), [("a", "b")], each=3, search=2)
