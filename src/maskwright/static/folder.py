"""Static vectors on disk: a sealed folder whose matrix is mapped, not read.

    static.json            what this is, how texts are split, where it comes from; the seal with the hashes of the rest
    words.txt              a word a line, UTF-8, row by row
    vectors.safetensors    (V, D) float32               not of one-hot and TF-IDF
    ngrams.safetensors     (buckets, D) float32         only of fastText
    counts.safetensors     (V,) int64                   where it is known how often each word came
    idf.safetensors        (V,) float32                 only of TF-IDF

``open_folder`` checks the seal, the words and every file's shape and size; hashing gigabytes at each start would undo the
mapping, so that is left to ``verify``.
"""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from pathlib import Path
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray
from pydantic import Field

from maskwright.checkpoint.seal import read_seal, sealed_folder
from maskwright.checkpoint.seal import verify as verify_seal
from maskwright.config import Config
from maskwright.errors import CheckpointError, ConfigError
from maskwright.static.matrix import MatrixWriter, map_tensor, write_tensor
from maskwright.static.sparse import SparseVectors
from maskwright.static.subwords import Subwords
from maskwright.static.vectors import WordVectors
from maskwright.static.words import Words

__all__ = [
    "COUNTS",
    "NGRAMS",
    "SEAL",
    "VECTORS",
    "is_static",
    "ngrams_of",
    "open_folder",
    "save",
    "verify",
    "write_matrix",
    "write_words",
]

SEAL = "static.json"
_WORDS, VECTORS, NGRAMS, COUNTS, _IDF = (
    "words.txt", "vectors.safetensors", "ngrams.safetensors", "counts.safetensors", "idf.safetensors",
)  # fmt: skip
_ROWS = 4_096


class _Ngrams(Config):
    min_n: int = Field(ge=1)
    max_n: int = Field(ge=1)
    buckets: int = Field(ge=1)


class _Card(Config):
    """What static.json says."""

    schema_: Literal[1] = Field(1, alias="schema")
    kind: Literal["onehot", "tfidf", "word2vec", "fasttext", "glove"]
    rows: int = Field(ge=1)
    width: int = Field(ge=1)
    words: Words
    counts: bool = False
    logarithmic: bool = False
    ngrams: _Ngrams | None = None
    facts: dict[str, Any] = Field(default_factory=dict)


def is_static(path: str | Path) -> bool:
    """Whether a path is a folder of static vectors."""
    return (Path(path) / SEAL).is_file()


def save(vectors: WordVectors | SparseVectors, folder: str | Path) -> None:
    """Write the folder, whole or not at all.  InputError where another thing is there, or the disk is full."""
    card: dict[str, Any] = {"schema": 1, "kind": vectors.kind, "rows": len(vectors), "width": vectors.width}
    card |= {"words": vectors.split.model_dump(), "counts": vectors.counts_V is not None, "facts": vectors.facts}
    if isinstance(vectors, SparseVectors):
        card["logarithmic"] = vectors.logarithmic
    elif vectors.subwords is not None:
        card["ngrams"] = ngrams_of(vectors.subwords)
    with sealed_folder(Path(folder), SEAL, card) as staging:
        write_words(staging, vectors.words)
        if vectors.counts_V is not None:
            write_tensor(staging / COUNTS, np.asarray(vectors.counts_V, "<i8"))
        if isinstance(vectors, SparseVectors):
            if vectors.idf_V is not None:
                write_tensor(staging / _IDF, vectors.idf_V)
            return
        write_matrix(staging / VECTORS, vectors.matrix_VD)
        if vectors.subwords is not None:
            write_matrix(staging / NGRAMS, vectors.subwords.matrix_BD)


def verify(folder: str | Path) -> None:
    """Compare every file of a folder with its hash; CheckpointError names the first that is damaged."""
    verify_seal(Path(folder), SEAL)


def open_folder(folder: Path) -> WordVectors | SparseVectors:
    """Open a folder; CheckpointError where it is not whole, damaged, or not ours."""
    if not is_static(folder):
        raise CheckpointError(f"{folder}: no {SEAL} in it; this is no folder of static vectors")
    content = read_seal(folder, SEAL)
    hashes = content.pop("sha256")
    try:
        card = _Card.of(content)
    except ConfigError as error:
        raise CheckpointError(f"{folder / SEAL}: {error}; was it written by a newer Maskwright?") from None
    names = _read_words(folder / _WORDS, str(hashes.get(_WORDS)))
    if len(names) != card.rows:
        raise CheckpointError(f"{folder / _WORDS}: {len(names):,} words, and {SEAL} says {card.rows:,}")
    counts_V = map_tensor(folder / COUNTS, "I64", (card.rows,)) if card.counts else None
    if card.kind in ("onehot", "tfidf"):
        idf = np.array(map_tensor(folder / _IDF, "F32", (card.rows,))) if card.kind == "tfidf" else None
        return SparseVectors(
            names, split=card.words, idf_V=idf, logarithmic=card.logarithmic, counts_V=counts_V, facts=card.facts
        )
    subwords = None
    if card.ngrams is not None:
        ngrams = map_tensor(folder / NGRAMS, "F32", (card.ngrams.buckets, card.width))
        subwords = Subwords(ngrams, card.ngrams.min_n, card.ngrams.max_n)
    matrix_VD = map_tensor(folder / VECTORS, "F32", (card.rows, card.width))
    return WordVectors(
        names, matrix_VD, split=card.words, kind=card.kind, counts_V=counts_V, subwords=subwords, facts=card.facts
    )


def write_matrix(path: Path, rows_ND: NDArray[np.float32]) -> None:
    """Write rows that may be mapped, a few at a time."""
    with MatrixWriter(path, rows_ND.shape[1]) as matrix:
        for begin in range(0, len(rows_ND), _ROWS):
            matrix.append(rows_ND[begin : begin + _ROWS])


def ngrams_of(subwords: Subwords) -> dict[str, int]:
    """Return what static.json says of n-grams."""
    return {"min_n": subwords.min_n, "max_n": subwords.max_n, "buckets": len(subwords.matrix_BD)}


def write_words(folder: Path, names: Sequence[str]) -> None:
    """Write the vocabulary."""
    with (folder / _WORDS).open("w", encoding="utf-8", newline="\n") as file:
        file.writelines(f"{name}\n" for name in names)


def _read_words(path: Path, expected: str) -> list[str]:
    try:
        data = path.read_bytes()
    except FileNotFoundError:
        raise CheckpointError(f"{path}: missing; the folder is not whole") from None
    if hashlib.sha256(data).hexdigest() != expected:
        raise CheckpointError(f"{path}: damaged (its bytes are not those that were written)")
    return data.decode("utf-8").split("\n")[:-1]
