"""Vectors of words and of texts: unknown words are counted, never hidden; neighbours and analogies are what the formulas say."""

import numpy as np
import pytest
from made_static import MATRIX, WORDS, ngrams, vectors

from maskwright.errors import ConfigError, InputError
from maskwright.static.common import Common
from maskwright.static.words import Words


@pytest.mark.parametrize("texts", ["one text", ["a", 3], [None]])
def test_what_is_no_list_of_texts_is_refused(texts: object) -> None:
    with pytest.raises(InputError, match="encode: texts"):
        vectors().encode(texts)


def test_words_and_matrix_must_belong_together() -> None:
    for changes in ({"words": WORDS[:3]}, {"words": []}, {"words": [*WORDS[:4], "the"]}, {"matrix_VD": MATRIX[0]}):
        with pytest.raises(InputError):
            vectors(**changes)


def test_a_text_is_the_mean_of_its_words_as_often_as_they_come() -> None:
    encoded = vectors().encode(["The north, the WIND!", "", "sun"])
    assert encoded.dtype == np.float32
    assert encoded.shape == (3, 3)
    np.testing.assert_allclose(encoded[0], (2 * MATRIX[0] + MATRIX[1] + MATRIX[2]) / 4, rtol=1e-6)
    np.testing.assert_array_equal(encoded[1], 0)
    np.testing.assert_array_equal(encoded[2], MATRIX[4])
    assert vectors().encode([]).shape == (0, 3)


def test_unknown_words_are_left_out_or_count_as_zeros_or_are_refused_and_are_always_counted() -> None:
    texts = ["the storm and the storm", "gale"]
    encoded, seen = vectors().encode_counted(texts)
    np.testing.assert_allclose(encoded[0], (2 * MATRIX[0] + MATRIX[3]) / 3, rtol=1e-6)
    assert (seen.texts, seen.words, seen.known, seen.composed, seen.unknown, seen.empty) == (2, 6, 3, 0, 3, 1)
    assert seen.missing == {"storm": 2, "gale": 1}
    zeros = vectors().encode(texts, unknown="zero")
    np.testing.assert_allclose(zeros[0], (2 * MATRIX[0] + MATRIX[3]) / 5, rtol=1e-6)
    with pytest.raises(InputError, match=r"texts\[0\] has the word 'storm'"):
        vectors().encode(texts, unknown="refuse")
    with pytest.raises(ConfigError, match="unknown 'drop'"):
        vectors().encode(texts, unknown="drop")


def test_fasttext_composes_words_that_it_has_not_seen() -> None:
    subwords = ngrams()
    fast = vectors(subwords=subwords, kind="fasttext")
    rows = subwords.buckets("storm")
    assert len(rows) == 9  # <st sto tor orm rm> <sto stor torm orm>
    expected = subwords.matrix_BD[rows].mean(axis=0)
    np.testing.assert_allclose(fast.vector("storm"), expected, rtol=1e-6)
    encoded, seen = fast.encode_counted(["the storm", ""])
    np.testing.assert_allclose(encoded[0], (MATRIX[0] + expected) / 2, rtol=1e-5)
    assert (seen.known, seen.composed, seen.unknown, seen.empty) == (1, 1, 0, 1)
    np.testing.assert_array_equal(fast.vector("the"), MATRIX[0])


def test_buckets_are_those_of_the_program_fasttext() -> None:
    hashing = pytest.importorskip("gensim.models.fasttext")
    for word in ("wind", "a", "", "straße", "日本語", "\U0001f600x"):
        for shortest, longest in ((3, 6), (1, 2), (2, 2), (5, 5)):
            ours = ngrams()
            ours = type(ours)(np.zeros((1009, 1), np.float32), shortest, longest)
            assert sorted(ours.buckets(word)) == sorted(hashing.ft_ngram_hashes(word, shortest, longest, 1009))


def test_neighbours_and_similarity_are_cosines_and_leave_the_word_itself_out() -> None:
    unit = MATRIX / np.linalg.norm(MATRIX, axis=1, keepdims=True)
    cosines = unit @ unit.T
    found = vectors().nearest("north", 3)
    order = [at for at in np.argsort(-cosines[1], kind="stable") if at != 1][:3]
    assert [word for word, _ in found] == [WORDS[at] for at in order]
    np.testing.assert_allclose([cosine for _, cosine in found], cosines[1][order], atol=1e-6)
    assert vectors().similarity("north", "sun") == pytest.approx(cosines[1, 4], abs=1e-6)
    assert len(vectors().nearest("north", 99)) == 4


def test_an_analogy_is_the_nearest_to_the_sum_of_unit_vectors() -> None:
    unit = MATRIX / np.linalg.norm(MATRIX, axis=1, keepdims=True)
    query = unit[1] - unit[0] + unit[2]
    left = unit[[3, 4]] @ query / np.linalg.norm(query)
    (first, cosine), (second, _) = vectors().analogy("the", "north", "wind")
    assert [first, second] == [["and", "sun"][at] for at in np.argsort(-left)]
    assert cosine == pytest.approx(left.max(), abs=1e-6)


def test_a_vector_of_zeros_is_nobodys_neighbour() -> None:
    zeroed = MATRIX.copy()
    zeroed[2] = 0
    some = vectors(matrix_VD=zeroed)
    assert "wind" not in [word for word, _ in some.nearest("the", 9)]
    assert some.similarity("the", "wind") == 0.0


def test_an_unknown_word_is_refused_with_the_nearest_spelling() -> None:
    with pytest.raises(InputError, match=r"no vector for 'nroth' among 5 words\. Did you mean 'north'"):
        vectors().vector("nroth")
    with pytest.raises(InputError, match="no vector for 'zzz'"):
        vectors().nearest("zzz")


def test_sif_weighs_words_by_rarity_and_needs_counts() -> None:
    with pytest.raises(ConfigError, match="how often each word occurred"):
        vectors().encode(["the"], pooling="sif")
    with pytest.raises(ConfigError, match="pooling 'max'"):
        vectors().encode(["the"], pooling="max")
    counts = np.array([900, 50, 30, 15, 5])
    weights = 1e-3 / (1e-3 + counts / 1000)
    encoded = vectors(counts_V=counts).encode(["the sun the"], pooling="sif")
    np.testing.assert_allclose(encoded[0], (2 * weights[0] * MATRIX[0] + weights[4] * MATRIX[4]) / 3, rtol=1e-5)


def test_the_common_direction_is_taken_away_whatever_texts_stand_beside() -> None:
    rng = np.random.default_rng(0)
    shared = rng.normal(size=8)
    made = (rng.normal(size=(50, 8)) + 5 * shared).astype(np.float32)
    common = Common(made)
    assert abs(common.direction_D @ shared) / np.linalg.norm(shared) > 0.99
    removed = common.remove(made)
    np.testing.assert_allclose(removed @ common.direction_D, 0, atol=1e-4)
    np.testing.assert_allclose(common.remove(made[:1]), removed[:1], atol=1e-6)
    for bad in (made[0], made[:0], np.full((2, 2), np.nan)):
        with pytest.raises(InputError):
            Common(bad)


def test_chinese_texts_are_encoded_by_their_words() -> None:
    pytest.importorskip("rjieba")
    some = vectors(words=["北京大学", "学生", "的", "北", "京"], split=Words(language="zh"))
    encoded, seen = some.encode_counted(["北京大学的学生。"])
    np.testing.assert_allclose(encoded[0], MATRIX[:3].mean(axis=0), rtol=1e-6)
    assert (seen.words, seen.known) == (3, 3)
    characters = vectors(words=["北京大学", "学生", "的", "北", "京"])
    assert characters.coverage(["北京大学的学生。"]).known == 3  # 北 京 的
