"""What a score about tokens is held against."""

import numpy as np
import pytest

from maskwright.evaluation.pretraining import Reference, token_reference


def test_with_marks_the_reference_is_the_entropy_of_words_and_marks_together() -> None:
    shares = np.array([0.5, 0.3, 0.2])
    words = Reference(float(-(shares * np.log(shares)).sum()), 0.5, "the")
    for marks in (0.1, 0.25, 0.6):
        both = np.append((1 - marks) * shares, marks)
        found = words.with_marks(marks)
        assert found.entropy == pytest.approx(-(both * np.log(both)).sum())
        assert found.most_frequent == pytest.approx(both.max())
        assert found.piece == ("the" if marks < 0.5 * (1 - marks) else "the next mark")


def test_a_part_without_marks_is_held_against_word_frequencies() -> None:
    words = Reference(6.5, 0.06, ",")
    assert token_reference(words, "mlm", {}) is words
    assert token_reference(words, "spans", {"spans": 0.0}) is words
    assert token_reference(words, "spans", {"spans": 0.25}) == words.with_marks(0.25)
