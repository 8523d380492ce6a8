"""Shards: Arrow IPC files of one record batch, a row a document, written whole and read through a memory map.

One record batch a file, so that the ids of a shard are one array without a seam.  Text is compressed, tokens are not:
they are used where they lie on the disk.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as compute
from numpy.typing import NDArray

from maskwright.corpus.manifest import TextShard, TokenShard, file_sha256, new_file
from maskwright.errors import DataError

__all__ = [
    "TEXT_COLUMNS",
    "TOKEN_COLUMNS",
    "lists",
    "read_batch",
    "strings",
    "text_batch",
    "token_batch",
    "write_text",
    "write_tokens",
]


TEXT_COLUMNS = ("id", "text", "sentence_ends")
WORD_COLUMN = "word_ends"
"""A fourth column of texts, where the words are not for the vocabulary to say."""
TOKEN_COLUMNS = ("ids", "starts_word", "sentence_ends")


def strings(contents: Sequence[bytes]) -> pa.StringArray:
    """Return UTF-8 contents as a column."""
    return pa.StringArray.from_buffers(
        len(contents), _offsets([len(each) for each in contents]).buffers()[1], pa.py_buffer(b"".join(contents))
    )


def lists(rows: Sequence[NDArray[Any]]) -> pa.ListArray:
    """Return arrays of one dtype as a column of lists."""
    flat = np.concatenate(rows) if rows else np.empty(0, np.int32)
    return pa.ListArray.from_arrays(_offsets([len(row) for row in rows]), pa.array(flat))


def text_batch(
    names: pa.Array, texts: pa.Array, sentence_ends: pa.ListArray, word_ends: pa.ListArray | None = None
) -> pa.RecordBatch:
    """Return rows of a text shard: ends are positions in the document, in characters."""
    columns = dict(zip(TEXT_COLUMNS, (names, texts, sentence_ends), strict=True))
    return pa.record_batch(columns if word_ends is None else {**columns, WORD_COLUMN: word_ends})


def token_batch(
    ids_T: NDArray[np.unsignedinteger[Any]],
    starts_T: NDArray[np.bool_],
    sentence_ends: NDArray[np.int64],
    document_ends: NDArray[np.int64],
) -> pa.RecordBatch:
    """Return rows of a token shard; a sentence without a token is left out.

    sentence_ends: (S,) tokens by the end of each sentence; document_ends: (N,) sentences by the end of each document.
    """
    bounds = np.append(0, document_ends)
    tokens = np.append(0, sentence_ends)[bounds]
    kept = np.diff(sentence_ends, prepend=0) > 0
    within = (sentence_ends - np.repeat(tokens[:-1], np.diff(bounds))).astype(np.int32)
    by_document = pa.array(tokens.astype(np.int32))
    sentences = np.append(0, np.cumsum(kept))[bounds].astype(np.int32)
    columns = (
        pa.ListArray.from_arrays(by_document, pa.array(ids_T)),
        pa.ListArray.from_arrays(by_document, pa.array(starts_T)),
        pa.ListArray.from_arrays(pa.array(sentences), pa.array(within[kept])),
    )
    return pa.record_batch(dict(zip(TOKEN_COLUMNS, columns, strict=True)))


def write_text(path: Path, batches: Sequence[pa.RecordBatch]) -> TextShard:
    """Write the texts of a shard; its numbers are counted from what was written."""
    batch = _write(path, batches, compression="zstd")
    text, ends = batch.column("text"), batch.column("sentence_ends")
    return TextShard(
        **_measure(path),
        documents=len(text),
        sentences=len(ends.values),
        text_bytes=compute.sum(compute.binary_length(text)).as_py(),
        chars=compute.sum(compute.utf8_length(text)).as_py(),
    )


def write_tokens(path: Path, batches: Sequence[pa.RecordBatch]) -> TokenShard:
    """Write the tokens of a shard; its numbers are counted from what was written."""
    batch = _write(path, batches, compression=None)
    ids, ends = batch.column("ids"), batch.column("sentence_ends")
    return TokenShard(**_measure(path), documents=len(ids), sentences=len(ends.values), tokens=len(ids.values))


def _offsets(lengths: list[int]) -> pa.Array:
    return pa.array(np.concatenate([[0], np.cumsum(lengths)]).astype(np.int32))


def _write(path: Path, batches: Sequence[pa.RecordBatch], *, compression: str | None) -> pa.RecordBatch:
    (batch,) = pa.Table.from_batches(batches).combine_chunks().to_batches()
    options = pa.ipc.IpcWriteOptions(compression=compression)
    with new_file(path) as stream, pa.ipc.new_file(stream, batch.schema, options=options) as writer:
        writer.write_batch(batch)
    return batch


def _measure(path: Path) -> dict[str, Any]:
    return {"name": path.name, "bytes": path.stat().st_size, "sha256": file_sha256(path)}


def read_batch(path: Path, columns: tuple[str, ...], documents: int) -> pa.RecordBatch:
    """Map a shard; raises DataError naming the file where it is missing, damaged or another one.

    The map outlives its file handle, so a corpus of many shards keeps no file open.
    """
    try:
        with pa.memory_map(str(path)) as source:
            reader = pa.ipc.open_file(source)
            names = tuple(name for name in reader.schema.names if name != WORD_COLUMN)
            if reader.num_record_batches != 1 or names != columns:
                raise DataError(
                    f"not a shard with the columns {', '.join(columns)}. Build the corpus again.", file=path
                )
            batch = reader.get_batch(0)
        batch.validate()  # a damaged length would be followed out of the file
    except (OSError, pa.ArrowInvalid) as error:
        raise DataError(f"missing or damaged ({error}). Build the corpus again.", file=path) from error
    if batch.num_rows != documents:
        raise DataError(
            f"holds {batch.num_rows:,} documents, the manifest says {documents:,}. Build the corpus again.", file=path
        )
    return batch
