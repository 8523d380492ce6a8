"""Folders of static vectors: damage is noticed, nothing is read that need not be, and what was saved comes back bit by bit."""

import json
import shutil
from collections.abc import Callable
from pathlib import Path

import numpy as np
import psutil
import pytest
from made_static import MATRIX, WORDS, fasttext, ngrams, vectors
from safetensors.numpy import load_file, save_file

import maskwright
from maskwright import static
from maskwright.errors import CheckpointError, InputError
from maskwright.static.folder import SEAL
from maskwright.static.matrix import MatrixWriter, map_tensor
from maskwright.verify import examine

COUNTS = np.array([50, 20, 10, 9, 5])
TEXTS = ["the north wind and the storm", "", "sun"]


def tfidf() -> static.SparseVectors:
    return static.SparseVectors.fit(["the sun", "the wind"], static.TfidfConfig(min_count=1, logarithmic=True))


MADE: dict[str, Callable[[], static.WordVectors | static.SparseVectors]] = {
    "word2vec": lambda: vectors(counts_V=COUNTS, facts={"from": "a test"}),
    "glove": lambda: vectors(kind="glove", split=static.Words(clitics="split", lowercase=False)),
    "fasttext": lambda: vectors(kind="fasttext", subwords=ngrams(), counts_V=COUNTS),
    "onehot": lambda: static.SparseVectors.fit(["the sun", "the wind"], static.OnehotConfig(min_count=1)),
    "tfidf": tfidf,
}


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    static.save(MADE["fasttext"](), tmp_path / "vectors")
    return tmp_path / "vectors"


@pytest.mark.parametrize("name", ["words.txt", "vectors.safetensors", "ngrams.safetensors", "counts.safetensors"])
def test_a_file_that_is_missing_or_cut_off_is_named(folder: Path, name: str) -> None:
    whole = (folder / name).read_bytes()
    for cut in (whole[:-1], whole[:4], b"", None):
        (folder / name).unlink()
        if cut is not None:
            (folder / name).write_bytes(cut)
        for look in (static.load, static.verify):
            with pytest.raises(CheckpointError, match=name):
                look(folder)
        (folder / name).write_bytes(whole)
    static.load(folder)


def test_a_flipped_byte_anywhere_is_found_by_verify(folder: Path) -> None:
    for path in folder.iterdir():
        whole = path.read_bytes()
        path.write_bytes(whole[:-5] + bytes([whole[-5] ^ 1]) + whole[-4:])
        assert [found.kind for found in examine(folder)] == ["vectors"]
        assert path.name in examine(folder)[0].damage
        with pytest.raises(CheckpointError, match=path.name):
            static.verify(folder)
        if path.name in ("words.txt", SEAL):  # small enough to be hashed at every start
            with pytest.raises(CheckpointError, match="damaged"):
                static.load(folder)
        path.write_bytes(whole)
    assert examine(folder)[0].damage == ""


@pytest.mark.parametrize(
    ("header", "told"),
    [
        (b"\xff" * 8, "not a .safetensors file of one tensor"),
        (b"\x02\0\0\0\0\0\0\0[]", "its header cannot be read"),
        (b"\x02\0\0\0\0\0\0\0{}", "its header cannot be read"),
        (b"\x04\0\0\0\0\0\0\0{[{[", "its header cannot be read"),
    ],
)
def test_a_damaged_matrix_is_refused(folder: Path, header: bytes, told: str) -> None:
    (folder / "vectors.safetensors").write_bytes(header)
    with pytest.raises(CheckpointError, match=told):
        static.load(folder)


def test_a_matrix_of_another_shape_or_type_is_refused(folder: Path) -> None:
    for matrix in (MATRIX[:4], MATRIX[:, :2], MATRIX.astype(np.float64), MATRIX.T):
        save_file({"rows": np.ascontiguousarray(matrix)}, folder / "vectors.safetensors")
        with pytest.raises(CheckpointError, match="does not belong here"):
            static.load(folder)


def test_a_seal_that_was_edited_or_is_of_a_newer_program_is_refused(folder: Path, tmp_path: Path) -> None:
    seal = folder / SEAL
    said = seal.read_text()
    seal.write_text(said.replace('"width": 3', '"width": 4'))
    with pytest.raises(CheckpointError, match="damaged"):
        static.load(folder)
    from maskwright.checkpoint.seal import sealed_folder

    for changes, told in (
        ({"schema": 2}, "schema"),
        ({"later": 1}, "'later'"),
        ({"rows": 4}, "5 words, and static.json says 4"),
    ):
        content = {name: value for name, value in json.loads(said).items() if name not in ("sha256", "seal")}
        other = tmp_path / "other"
        with sealed_folder(other, SEAL, {**content, **changes}) as staging:
            for path in folder.iterdir():
                if path.name != SEAL:
                    shutil.copy(path, staging / path.name)
        with pytest.raises(CheckpointError, match=told):
            static.load(other)


def test_a_folder_of_something_else_is_refused_and_never_written_over(tmp_path: Path) -> None:
    with pytest.raises(CheckpointError, match=r"no static\.json"):
        static.load(tmp_path)
    (tmp_path / "mine.txt").write_text("mine")
    with pytest.raises(InputError, match="was not written by Maskwright"):
        static.save(vectors(), tmp_path)
    assert (tmp_path / "mine.txt").read_text() == "mine"


def test_the_splitting_of_a_folder_is_its_own(folder: Path) -> None:
    with pytest.raises(InputError, match="keeps its own words"):
        static.load(folder, words={"lowercase": False})


@pytest.mark.parametrize("kind", MADE)
def test_what_was_saved_comes_back_bit_by_bit(tmp_path: Path, kind: str) -> None:
    made = MADE[kind]()
    static.save(made, tmp_path / "vectors")
    read = static.load(tmp_path / "vectors")
    assert (read.kind, list(read.words), read.split, read.facts) == (kind, list(made.words), made.split, made.facts)
    assert (read.counts_V is None) == (made.counts_V is None)
    if made.counts_V is not None:
        assert read.counts_V.tolist() == made.counts_V.tolist()
    assert read.encode(TEXTS).tobytes() == made.encode(TEXTS).tobytes()
    static.verify(tmp_path / "vectors")
    static.save(read, tmp_path / "again")
    for path in (tmp_path / "vectors").iterdir():
        assert path.read_bytes() == (tmp_path / "again" / path.name).read_bytes()


def test_a_mapped_folder_can_be_saved_over_itself(folder: Path) -> None:
    before = static.load(folder).encode(TEXTS)
    static.save(static.load(folder), folder)
    np.testing.assert_array_equal(static.load(folder).encode(TEXTS), before)


def test_maskwright_load_opens_static_folders_too(folder: Path) -> None:
    read = maskwright.load(folder)
    assert isinstance(read, static.WordVectors)
    with pytest.raises(CheckpointError):
        maskwright.load(folder.parent)


def test_matrices_are_ordinary_safetensors(folder: Path) -> None:
    np.testing.assert_array_equal(load_file(folder / "vectors.safetensors")["rows"], MATRIX)
    assert load_file(folder / "counts.safetensors")["rows"].tolist() == COUNTS.tolist()


def test_a_folder_is_mapped_and_not_read(tmp_path: Path) -> None:
    rows, width = 100_000, 256  # 102 MB
    with MatrixWriter(tmp_path / "m", width) as matrix:
        for at in range(100):
            matrix.append(np.full((rows // 100, width), at, np.float32))
    before = psutil.Process().memory_info().rss
    mapped = map_tensor(tmp_path / "m", "F32", (rows, width))
    assert isinstance(mapped, np.memmap)
    assert mapped[[0, 999, 1000, rows - 1], 7].tolist() == [0, 0, 1, 99]
    assert psutil.Process().memory_info().rss - before < 16 << 20
    with pytest.raises(ValueError, match="read-only"):
        mapped[0, 0] = 1


def test_vectors_of_a_folder_cannot_be_written_to(folder: Path) -> None:
    read = static.load(folder)
    assert isinstance(read, static.WordVectors)
    assert isinstance(read.matrix_VD, np.memmap)
    assert read.subwords is not None
    assert isinstance(read.subwords.matrix_BD, np.memmap)
    with pytest.raises(ValueError, match="read-only"):
        read.matrix_VD[0] = 0
    read.vector("the")[:] = 0  # a copy
    np.testing.assert_array_equal(read.vector("the"), MATRIX[0])


def test_a_converted_fasttext_model_composes_as_the_file_does(tmp_path: Path) -> None:
    path = tmp_path / "model.bin"
    path.write_bytes(fasttext())
    in_memory, mapped = static.load(path), static.convert(path, tmp_path / "out")
    for word in ("the", "</s>", "storm"):
        np.testing.assert_array_equal(in_memory.vector(word), mapped.vector(word))
    assert in_memory.facts["architecture"] == mapped.facts["architecture"] == "skipgram"


def test_a_conversion_that_fails_leaves_the_folder_that_was_there(folder: Path, tmp_path: Path) -> None:
    bad = tmp_path / "bad.vec"
    bad.write_text("2 2\nthe 1 2\nwind 1 nan\n")
    with pytest.raises(InputError, match="line 3"):
        static.convert(bad, folder)
    assert list(static.load(folder).words) == WORDS
