"""One-hot and TF-IDF: the columns, the weights (scikit-learn's as the judge), and the limit of dense output."""

import numpy as np
import pytest
from sklearn.feature_extraction.text import TfidfVectorizer

from maskwright import static
from maskwright.errors import InputError
from maskwright.static import sparse

TEXTS = ["The north wind and the sun", "the sun and the moon", "A moon, a moon, a wind; the end."]


def test_texts_without_a_word_that_is_frequent_enough_are_refused() -> None:
    with pytest.raises(InputError, match="there is no word in the texts"):
        static.SparseVectors.fit(["...", ""], static.OnehotConfig())
    with pytest.raises(InputError, match="there is no word in the texts"):
        static.SparseVectors.fit([], static.TfidfConfig())
    with pytest.raises(InputError, match=r"no word occurs in 2 texts or more \(2 texts, 2 words\); lower min_count"):
        static.SparseVectors.fit(["north", "wind"], static.OnehotConfig())


def test_dense_output_beyond_the_limit_is_refused_before_it_is_made(monkeypatch: pytest.MonkeyPatch) -> None:
    fitted = static.SparseVectors.fit(TEXTS, static.OnehotConfig(min_count=1))
    monkeypatch.setattr(sparse, "DENSE_LIMIT", 4 * 3 * len(fitted))
    assert fitted.encode(TEXTS).shape == (3, len(fitted))
    with pytest.raises(InputError, match="Use encode_sparse"):
        fitted.encode([*TEXTS, "sun"])
    assert fitted.encode_sparse([*TEXTS, "sun"]).shape == (4, len(fitted))


@pytest.mark.parametrize("texts", ["one text", ["a", 3]])
def test_what_is_no_list_of_texts_is_refused(texts: object) -> None:
    fitted = static.SparseVectors.fit(TEXTS, static.OnehotConfig())
    for encode in (fitted.encode, fitted.encode_sparse, fitted.coverage):
        with pytest.raises(InputError, match="encode: texts"):
            encode(texts)


def test_one_hot_has_a_one_for_each_word_that_is_there() -> None:
    fitted = static.SparseVectors.fit(TEXTS, static.OnehotConfig())
    assert fitted.words == ["the", "and", "moon", "sun", "wind"]  # by how many texts have them, then by the alphabet
    assert fitted.counts_V.tolist() == [3, 2, 2, 2, 2]
    encoded = fitted.encode(["the sun, the SUN and more", "", "zzz"])
    assert encoded.dtype == np.float32
    np.testing.assert_array_equal(encoded, [[1, 1, 0, 1, 0], [0] * 5, [0] * 5])
    assert fitted.encode([]).shape == (0, 5)
    assert static.SparseVectors.fit(reversed(TEXTS), static.OnehotConfig(max_words=2)).words == ["the", "and"]


@pytest.mark.parametrize("logarithmic", [False, True])
def test_tf_idf_is_that_of_scikit_learn(logarithmic: bool) -> None:
    config = static.TfidfConfig(min_count=1, logarithmic=logarithmic)
    fitted = static.SparseVectors.fit(TEXTS, config)
    judge = TfidfVectorizer(analyzer=config.words.split, sublinear_tf=logarithmic, vocabulary=fitted.words).fit(TEXTS)
    asked = [*TEXTS, "moon moon moon sun", "zzz"]
    np.testing.assert_allclose(fitted.encode(asked), judge.transform(asked).toarray(), atol=1e-6)


def test_words_without_a_column_are_counted() -> None:
    seen = static.SparseVectors.fit(TEXTS, static.OnehotConfig()).coverage(["the storm", "storm", ""])
    assert (seen.texts, seen.words, seen.known, seen.unknown, seen.empty) == (3, 3, 1, 2, 2)
    assert seen.missing == {"storm": 2}
