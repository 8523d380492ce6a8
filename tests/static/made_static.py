"""Vectors and vector files made by hand, byte by byte, as their formats say."""

import struct
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from maskwright.static.subwords import Subwords
from maskwright.static.vectors import WordVectors
from maskwright.static.words import Words

WORDS = ["the", "north", "wind", "and", "sun"]
MATRIX = np.array(
    [[0.5, -1.25, 3.0], [1e-7, 2.5, -0.125], [0.0, 0.0, 1.0], [-2.0, 0.75, 0.1], [1 / 3, -1 / 7, 1e5]], np.float32
)


def vectors(**changes: Any) -> WordVectors:
    """Five words of width 3."""
    given: dict[str, Any] = {"split": Words(), "kind": "word2vec", **changes}
    return WordVectors(given.pop("words", WORDS), given.pop("matrix_VD", MATRIX), **given)


def text(header: bool = True, words: Sequence[str] = WORDS, matrix: NDArray[np.float32] = MATRIX) -> list[str]:
    """The lines of a text file."""
    first = [f"{len(words)} {matrix.shape[1]}"] if header else []
    return first + [f"{word} {' '.join(map(str, row.tolist()))}" for word, row in zip(words, matrix, strict=True)]


def binary(words: Sequence[bytes] = (), *, line_ends: bool = True, rows: int | None = None) -> bytes:
    """A word2vec binary."""
    names = list(words) or [word.encode() for word in WORDS]
    end = b"\n" if line_ends else b""
    body = b"".join(name + b" " + MATRIX[at].astype("<f4").tobytes() + end for at, name in enumerate(names))
    return f"{len(names) if rows is None else rows} 3\n".encode() + body


def fasttext(words: Sequence[str] = (*WORDS[:2], "</s>"), **changes: Any) -> bytes:
    """A fastText .bin with three words, four buckets, width 3; every value that it states can be changed."""
    say: dict[str, Any] = {
        "magic": 793712314,
        "version": 12,
        "width": 3,
        "model": 2,
        "buckets": 4,
        "min_n": 3,
        "max_n": 4,
    }
    say |= {
        "size": len(words),
        "known": len(words),
        "labels": 0,
        "pruned": -1,
        "type": 0,
        "count": 7,
        "quantised": False,
    }
    say |= {"rows": len(words) + 4, "columns": 3, "out_rows": len(words), "end": b"", "nul": b"\0"}
    say["input"] = np.arange(3 * (len(words) + 4), dtype="<f4").reshape(-1, 3) / 8
    assert not changes.keys() - say.keys()
    say |= changes
    out = struct.pack("<2i", say["magic"], say["version"])
    out += struct.pack(
        "<12id", say["width"], 5, 1, 1, 5, 1, 2, say["model"], say["buckets"], say["min_n"], say["max_n"], 100, 1e-4
    )
    out += struct.pack("<3i2q", say["size"], say["known"], say["labels"], 99, say["pruned"])
    for word in words:
        out += word.encode() + say["nul"] + struct.pack("<qb", say["count"], say["type"])
    out += struct.pack("<?2q", say["quantised"], say["rows"], say["columns"]) + say["input"].tobytes()
    out += struct.pack("<?2q", False, say["out_rows"], 3) + np.zeros((len(words), 3), "<f4").tobytes()
    return out + bytes(say["end"])


def ngrams(seed: int = 0) -> Subwords:
    """Sixteen buckets of width 3."""
    return Subwords(np.random.default_rng(seed).normal(size=(16, 3)).astype(np.float32), 3, 4)


def write(path: Path, lines: Sequence[str]) -> Path:
    """Write lines."""
    path.write_text("".join(f"{line}\n" for line in lines), "utf-8")
    return path
