"""Vector files of other programs: what is wrong with one is told with its place, before memory is taken; sound ones agree with gensim."""

import gzip
import struct
import tracemalloc
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from made_static import MATRIX, WORDS, binary, fasttext, text, write

from maskwright import static
from maskwright.errors import DataError, InputError, MaskwrightError
from maskwright.static.read import format_of
from maskwright.static.subwords import Subwords

LINES = text()


def refused(path: Path, *told: str) -> None:
    """Both ways to open the file refuse it, say so in one sentence that names it, and leave nothing."""
    out = path.parent / "out"
    for open_it in (lambda: static.load(path), lambda: static.convert(path, out)):
        with pytest.raises(InputError) as caught:
            open_it()
        message = str(caught.value)
        assert path.name in message
        assert "\n" not in message
        for part in told:
            assert part in message
    assert [each.name for each in path.parent.iterdir()] == [path.name]


@pytest.mark.parametrize(
    ("at", "line", "told"),
    [
        (3, "wind 0.0 1.0", ["line 4", "2 numbers after the word, and 3 are expected"]),
        (3, "wind 0.5 0.0 0.0 1.0", ["line 4", "4 numbers after the word, and 3 are expected"]),
        (3, "wind 0.0 0.0 nan", ["line 4", "'nan' is not a finite float32"]),
        (3, "wind 0.0 -inf 1", ["line 4", "'-inf' is not a finite float32"]),
        (3, "wind 0.0 1e39 1", ["line 4", "'1e39' is not a finite float32"]),
        (3, "wind 0.0 O.5 1", ["line 4", "'O.5' is not a number"]),
        (3, "wind 0.0 1_0 1", ["line 4", "'1_0' is not a number"]),
        (3, "north 0.0 0.0 1.0", ["line 4", "'north' is there already, in line 3"]),
        (3, " 0.0 0.0 1.0", ["line 4", "no word before the vector"]),
        (3, "", ["line 4", "0 numbers"]),
        (0, "6 3", ["line 6", "the file ends after 5 words; 6 words"]),
        (0, "4 3", ["line 6", "says 4 words, and here is one more"]),
        (0, "5 4", ["line 2", "3 numbers after the word, and 4 are expected"]),
        (0, "5 2", ["line 2", "3 numbers after the word, and 2 are expected"]),
        (0, "0 3", ["line 1", "says 0 words"]),
        (0, "5 0", ["line 1", "a width of 0"]),
        (0, "5 999999", ["line 1", "a width of 999,999"]),
        (0, "99999999999 300", ["line 1", "at least 60,099,999,999,399 bytes"]),
    ],
)
def test_a_line_of_a_text_that_is_wrong_is_named(tmp_path: Path, at: int, line: str, told: list[str]) -> None:
    lines = [*LINES[:at], line, *LINES[at + 1 :]]
    refused(write(tmp_path / "vectors.vec", lines), *told)


def test_a_bad_word_in_a_text_is_named_or_left_out_and_counted(tmp_path: Path) -> None:
    path = tmp_path / "vectors.vec"
    path.write_bytes(write(path, LINES).read_bytes().replace(b"wind", b"w\xffnd").replace(b"and", b"sun"))
    refused(path, "line 4", "is not UTF-8", "skip_bad_words")
    read = static.load(path, skip_bad_words=True)
    assert list(read.words) == ["the", "north", "sun"]
    assert read.facts["skipped"] == {"not UTF-8": 1, "twice": 1}
    np.testing.assert_array_equal(read.matrix_VD, MATRIX[[0, 1, 3]])


def test_a_file_of_bad_words_alone_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "vectors.txt"
    path.write_bytes(b"\xff 1 2 3\n\xfe 1 2 3\n")
    with pytest.raises(DataError, match="every word had to be left out"):
        static.load(path, skip_bad_words=True)


@pytest.mark.parametrize("packed", [False, True])
@pytest.mark.parametrize("make", ["text", "binary"])
def test_a_header_that_lies_about_its_size_takes_no_memory(tmp_path: Path, make: str, packed: bool) -> None:
    data = b"3000000 300\n" + (b"the 0.5 0.25\n" if make == "text" else b"the \0\1\2\3\4\5\6\7")
    path = tmp_path / "vectors"
    path.write_bytes(gzip.compress(data) if packed else data)
    tracemalloc.start()
    refused(path, "line 1", "3,000,000 words of width 300", "can unpack to" if packed else "has")
    assert tracemalloc.get_traced_memory()[1] < 4 << 20
    tracemalloc.stop()


@pytest.mark.parametrize(
    ("data", "told"),
    [
        (binary()[:-8], ["byte 84", "ends within word 5 of 5"]),
        (binary()[:30], ["line 1", "says 5 words of width 3, at least 70 bytes, and the file has 30"]),
        (binary(rows=4), ["byte 74", "goes on behind the 4 words"]),
        (binary() + b"x", ["byte 91", "goes on behind the 5 words"]),
        (binary(rows=6), ["byte 92", "ends within word 6 of 6"]),
        (binary(rows=7), ["line 1", "says 7 words"]),
        (binary([b"the", b"wind", b"the"]), ["byte 39", "'the' is there already, in byte 4"]),
        (binary([b"the", b"w\xff"]), ["byte 21", "not UTF-8"]),
        (binary([b"the", b""]), ["byte 21", "no word"]),
        (binary([b"the", b"x" * 5000]), ["byte 21", "does not end within 4,096 bytes"]),
        (binary().replace(struct.pack("<f", 2.5), struct.pack("<f", np.nan)), ["byte 31", "nan in the vector of word 2"]),
    ],
)  # fmt: skip
def test_a_byte_of_a_binary_that_is_wrong_is_named(tmp_path: Path, data: bytes, told: list[str]) -> None:
    path = tmp_path / "vectors.bin"
    path.write_bytes(data)
    assert format_of(path) == "binary"
    refused(path, *told)


@pytest.mark.parametrize(
    ("changes", "told"),
    [
        ({"version": 13}, "version 11 or 12 (version 13)"),
        ({"width": 0}, "width 0"),
        ({"width": 1 << 30}, "width 1073741824"),
        ({"buckets": -1}, "-1 buckets"),
        ({"max_n": 1000}, "n-grams of 3 to 1000"),
        ({"model": 3}, "a fastText classifier"),
        ({"labels": 1}, "1 labels among 3 words"),
        ({"pruned": 2}, "pruned"),
        ({"size": 2_000_000_000, "known": 2_000_000_000}, "2,000,000,000 words take at least"),
        ({"size": -1, "known": -1}, "-1 words take at least"),
        ({"type": 1}, "has the type 1"),
        ({"count": -1}, "the count -1"),
        ({"nul": b" " * 5000}, "word 1 of 3 does not end within 4,096 bytes"),
        ({"known": 2}, "0 labels among 3 words"),
        ({"quantised": True}, "quantised"),
        ({"rows": 1 << 60}, "1,152,921,504,606,846,976 rows of 3, and 7 rows of 3"),
        ({"columns": 4}, "7 rows of 4, and 7 rows of 3"),
        ({"buckets": 1 << 30}, "and 1,073,741,827 rows of 3"),
        ({"out_rows": 1 << 50}, "the output layer: 13,510,798,882,111,488 bytes are needed"),
        ({"end": b"\0"}, "goes on for 1 bytes behind its end"),
        ({"input": np.full((7, 3), np.nan, "<f4")}, "row 0 of the vectors holds a number that is not finite"),
    ],
)
def test_a_fasttext_model_that_contradicts_itself_is_refused(
    tmp_path: Path, changes: dict[str, object], told: str
) -> None:
    path = tmp_path / "model.bin"
    path.write_bytes(fasttext(**changes))
    refused(path, told)


def test_a_fasttext_model_with_a_word_twice_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "model.bin"
    path.write_bytes(fasttext(["wind", "wind"]))
    refused(path, "'wind' is there already")


@given(cut=st.integers(0, len(fasttext()) - 1))
def test_a_fasttext_model_cut_anywhere_is_refused(cut: int, tmp_path_factory: pytest.TempPathFactory) -> None:
    path = tmp_path_factory.mktemp("cut") / "model.bin"
    path.write_bytes(fasttext()[:cut])
    with pytest.raises(InputError):
        static.load(path)


@given(data=st.data())
def test_no_flipped_byte_of_any_format_gives_a_fault_of_ours(
    data: st.DataObject, tmp_path_factory: pytest.TempPathFactory
) -> None:
    """A flip may go unnoticed (a digit is a digit); whatever is read is then whole and finite."""
    made = data.draw(
        st.sampled_from([fasttext(), binary(), "\n".join(LINES).encode(), gzip.compress(binary(), mtime=0)])
    )
    at, bit = data.draw(st.integers(0, len(made) - 1)), data.draw(st.integers(0, 7))
    path = tmp_path_factory.mktemp("flip") / "vectors"
    path.write_bytes(made[:at] + bytes([made[at] ^ (1 << bit)]) + made[at + 1 :])
    try:
        read = static.load(path)
    except MaskwrightError as error:
        assert "\n" not in str(error)
    else:
        assert np.isfinite(read.matrix_VD).all()


@pytest.mark.parametrize(
    ("data", "told"),
    [
        (b"", "not a vector file"),
        (b"\n\n", "not a vector file"),
        (b"hello world\n", "not a vector file"),
        (b"\0\1\2\3 1 2\n", "not a vector file"),
        (b"PK\x03\x04....", "a .zip; unpack it"),
        (b"\xfd7zXZ\0", "an .xz; unpack it"),
        (b"\x80\x04\x95....", "a Python pickle, which is never opened here"),
        (b"\x93NUMPY\1\0", "a numpy array"),
        (gzip.compress(fasttext()), "unpack it first"),
        (gzip.compress(binary())[:-9], "the .gz is damaged"),
    ],
)
def test_what_is_no_vector_file_is_refused_by_name(tmp_path: Path, data: bytes, told: str) -> None:
    path = tmp_path / "vectors"
    path.write_bytes(data)
    refused(path, told)


def test_a_file_that_is_not_there_is_named(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="nowhere"):
        static.load(tmp_path / "nowhere.vec")


@pytest.mark.parametrize("packed", [False, True])
@pytest.mark.parametrize("kind", ["text", "glove", "binary", "binary of gensim"])
def test_every_format_is_told_and_read_whole(tmp_path: Path, kind: str, packed: bool) -> None:
    lines = "\n".join(text(kind == "text")).encode()
    data = {"binary": binary(), "binary of gensim": binary(line_ends=False)}.get(kind, lines)
    path = tmp_path / "vectors"
    path.write_bytes(gzip.compress(data) if packed else data)
    assert format_of(path) == kind.split()[0]
    for read in (static.load(path), static.convert(path, tmp_path / "out")):
        assert list(read.words) == WORDS
        np.testing.assert_array_equal(read.matrix_VD, MATRIX)
        assert read.kind == ("glove" if kind == "glove" else "word2vec")


def test_words_may_hold_spaces_where_no_number_stands_before_the_vector(tmp_path: Path) -> None:
    # As in the largest of the GloVe files.
    read = static.load(write(tmp_path / "glove.txt", ["the 1 2 3", ". . . 4 5 6", "at name@domain.com 7 8 9"]))
    assert list(read.words) == ["the", ". . .", "at name@domain.com"]
    np.testing.assert_array_equal(read.matrix_VD, np.arange(1, 10).reshape(3, 3))


def test_windows_line_ends_and_odd_white_space_change_nothing(tmp_path: Path) -> None:
    path = tmp_path / "vectors"
    path.write_bytes("2 2\r\na\u00a0b 1 2 \r\n\u0085 3 4\r\n".encode())
    read = static.load(path)
    assert list(read.words) == ["a\u00a0b", "\u0085"]
    assert list(static.convert(path, tmp_path / "out").words) == ["a\u00a0b", "\u0085"]


def test_how_texts_were_split_is_guessed_from_the_vocabulary(tmp_path: Path) -> None:
    def split(*words: str) -> dict[str, object]:
        return static.load(write(tmp_path / "v", [f"{word} 1 2" for word in words])).split.model_dump()

    assert split("the", "wind") == {"language": "en", "lowercase": True, "clitics": "join", "version": 1}
    assert split("The", "wind")["lowercase"] is False
    assert split("do", "n't")["clitics"] == "split"
    assert split("do", "n't", "don't")["clitics"] == "join"
    assert split("北京", "的", "the")["language"] == "zh"
    path = write(tmp_path / "v", ["The 1 2"])
    assert static.load(path, words={"lowercase": True}).split.lowercase is True
    with pytest.raises(InputError, match=r"no field 'words\.lower'"):
        static.load(path, words={"lower": True})


@pytest.mark.parametrize("binary_file", [False, True])
def test_gensim_and_maskwright_read_each_others_files(tmp_path: Path, binary_file: bool) -> None:
    gensim = pytest.importorskip("gensim.models")
    theirs = gensim.KeyedVectors(vector_size=50)
    words = [f"wört{n}" for n in range(300)]
    theirs.add_vectors(words, np.random.default_rng(0).normal(size=(300, 50)).astype(np.float32))
    path = tmp_path / "vectors"
    theirs.save_word2vec_format(str(path), binary=binary_file)
    read = static.convert(path, tmp_path / "out")
    again = gensim.KeyedVectors.load_word2vec_format(str(path), binary=binary_file)
    assert list(read.words) == again.index_to_key
    np.testing.assert_array_equal(read.matrix_VD, again.vectors)
    np.testing.assert_allclose(
        [cosine for _, cosine in read.nearest("wört7", 5)], [c for _, c in again.similar_by_word("wört7", 5)], atol=1e-6
    )
    assert [word for word, _ in read.nearest("wört7", 5)] == [word for word, _ in again.similar_by_word("wört7", 5)]


@pytest.mark.parametrize("name", ["crime-and-punishment", "toy-model"])
def test_the_program_fasttexts_own_models_give_the_vectors_that_it_printed(tmp_path: Path, name: str) -> None:
    """gensim brings .bin and .vec files of the C++ program along; a .vec has five significant digits."""
    paths = pytest.importorskip("gensim.test.utils")
    model = Path(paths.datapath(f"{name}.bin"))
    printed = Path(paths.datapath(f"{name}.vec"))
    if not model.exists() or not printed.exists():
        pytest.skip("this gensim comes without its test data")
    ours, vec = static.convert(model, tmp_path / "out"), static.load(printed)
    assert list(ours.words) == list(vec.words)
    np.testing.assert_allclose(ours.matrix_VD, vec.matrix_VD, rtol=2e-4, atol=2e-5)
    theirs = pytest.importorskip("gensim.models.fasttext").load_facebook_vectors(str(model))
    for word in ("raskolnikov", "unseenwordhere", "日本語", "é"):
        expected = theirs[word] if word in theirs.key_to_index or theirs.min_n <= len(word) + 2 else None
        if expected is not None and np.abs(expected).max() > 0:
            np.testing.assert_allclose(ours.vector(word), expected, rtol=1e-4, atol=1e-6)


@pytest.mark.parametrize(
    ("name", "told"), [("pang_lee_polarity_fasttext", "a fastText classifier"), ("lee_fasttext", "not a vector file")]
)
def test_a_real_classifier_and_a_model_of_the_format_before_are_refused(name: str, told: str) -> None:
    path = Path(pytest.importorskip("gensim.test.utils").datapath(f"{name}.bin"))
    if not path.exists():
        pytest.skip("this gensim comes without its test data")
    with pytest.raises(InputError, match=told):
        static.load(path)


def test_a_fasttext_word_is_the_mean_of_its_row_and_its_ngrams(tmp_path: Path) -> None:
    path = tmp_path / "model.bin"
    path.write_bytes(fasttext())
    read = static.load(path)
    rows = np.arange(21, dtype=np.float32).reshape(-1, 3) / 8
    buckets = Subwords(rows[3:], 3, 4).buckets("the")
    assert len(buckets) == 5  # <th the he> <the the>
    np.testing.assert_allclose(read.vector("the"), np.vstack([rows[:1], rows[3:][buckets]]).mean(axis=0), rtol=1e-6)
    np.testing.assert_array_equal(read.vector("</s>"), rows[2])
    assert read.counts_V.tolist() == [7, 7, 7]


def test_a_fasttext_model_without_ngrams_knows_its_words_only(tmp_path: Path) -> None:
    path = tmp_path / "model.bin"
    path.write_bytes(fasttext(max_n=0, buckets=0, rows=3, input=np.arange(9, dtype="<f4")))
    read = static.load(path)
    assert read.subwords is None
    np.testing.assert_array_equal(read.vector("north"), [3, 4, 5])
    with pytest.raises(InputError, match=r"no vector for 'nort' among 3 words\. Did you mean 'north'"):
        read.vector("nort")
