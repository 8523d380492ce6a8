"""Opening static vectors: a folder of ours, mapped, or a file of another program, read into memory or written as a folder."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from maskwright.checkpoint.seal import sealed_folder
from maskwright.errors import InputError
from maskwright.static.folder import COUNTS, NGRAMS, SEAL, VECTORS, ngrams_of, open_folder, write_matrix, write_words
from maskwright.static.matrix import MatrixWriter, write_tensor
from maskwright.static.read import VectorFile, format_of, words_of
from maskwright.static.read_fasttext import read_fasttext
from maskwright.static.sparse import SparseVectors
from maskwright.static.vectors import WordVectors

__all__ = ["convert", "load"]

_ROWS = 4_096
_KINDS = {"text": "word2vec", "binary": "word2vec", "glove": "glove", "fasttext": "fasttext"}


def load(
    path: str | Path, *, words: Mapping[str, Any] | None = None, skip_bad_words: bool = False
) -> WordVectors | SparseVectors:
    """Open a folder that ``save`` or ``convert`` wrote, or read a vector file of another program into memory.

    words: fields of ``Words``, for a file, which does not say how texts are split; the others are guessed (``words_of``).
    skip_bad_words: leave out words that are empty, not UTF-8 or there twice, and count them in ``facts``.

    Raises CheckpointError for a folder that is not whole or not ours, DataError for a file with a fault, with its place.
    """
    path = Path(path)
    if path.is_dir():
        if words is not None or skip_bad_words:
            raise InputError(f"{path}: a folder keeps its own words; give words and skip_bad_words with a file only")
        return open_folder(path)
    format = format_of(path)
    if format == "fasttext":
        file = read_fasttext(path)
        return WordVectors(
            file.words,
            np.concatenate(list(file.rows())),
            split=words_of(file.words, words or {}),
            kind="fasttext",
            counts_V=file.counts_V,
            subwords=file.subwords,
            facts={"from": path.name, **file.facts},
        )
    skipped: dict[str, int] = {}
    names: list[str] = []
    matrix_VD = np.concatenate(list(_batches(VectorFile(path, format, skip_bad_words), names, skipped)))
    facts = {"from": path.name, "format": format, **({"skipped": skipped} if skipped else {})}
    return WordVectors(names, matrix_VD, split=words_of(names, words or {}), kind=_KINDS[format], facts=facts)


def convert(
    path: str | Path, out: str | Path, *, words: Mapping[str, Any] | None = None, skip_bad_words: bool = False
) -> WordVectors | SparseVectors:
    """Write a vector file of another program as a folder, and open that; the arguments are those of ``load``.

    Rows go from file to file: memory holds the words and a few thousand vectors.  Raises what ``load`` raises; nothing is left
    at ``out`` then.
    """
    path = Path(path)
    if path.is_dir():
        raise InputError(f"{path}: a folder; give a vector file of word2vec, fastText or GloVe")
    format = format_of(path)
    facts: dict[str, Any] = {"from": path.name, "format": format}
    card: dict[str, Any] = {"schema": 1, "kind": _KINDS[format], "facts": facts}
    with sealed_folder(Path(out), SEAL, card) as staging:
        names: list[str] = []
        if format == "fasttext":
            file = read_fasttext(path)
            names, chunks = file.words, file.rows()
            card["counts"] = True
            facts |= file.facts
            write_tensor(staging / COUNTS, file.counts_V)
            if file.subwords is not None:
                card["ngrams"] = ngrams_of(file.subwords)
                write_matrix(staging / NGRAMS, file.subwords.matrix_BD)
        else:
            skipped: dict[str, int] = {}
            chunks = _batches(VectorFile(path, format, skip_bad_words), names, skipped)
        first = next(chunks)
        with MatrixWriter(staging / VECTORS, first.shape[1]) as matrix:
            matrix.append(first)
            for chunk in chunks:
                matrix.append(chunk)
        if format != "fasttext" and skipped:
            facts["skipped"] = skipped
        write_words(staging, names)
        card |= {"rows": len(names), "width": matrix.width, "words": words_of(names, words or {}).model_dump()}
    return open_folder(Path(out))


def _batches(file: VectorFile, names: list[str], skipped: dict[str, int]) -> Iterator[NDArray[np.float32]]:
    """Yield the vectors in chunks, and append their words to ``names``."""
    chunk: list[NDArray[np.float32]] = []
    for word, vector in file.rows(skipped):
        names.append(word)
        chunk.append(vector)
        if len(chunk) == _ROWS:
            yield np.stack(chunk)
            chunk = []
    if chunk:
        yield np.stack(chunk)
