"""Shards: Arrow IPC files of one record batch, a row a document, written whole and read through a memory map.

One record batch a file, so that the ids of a shard are one array without a seam.  Text is compressed, tokens are not:
they are used where they lie on the disk.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as compute
from numpy.typing import NDArray

from maskwright.corpus.manifest import TextShard, TokenShard, file_sha256, new_file
from maskwright.errors import DataError

__all__ = ["TEXT_COLUMNS", "TOKEN_COLUMNS", "Text", "Tokens", "read_batch", "write_text", "write_tokens"]


TEXT_COLUMNS = ("id", "text", "sentence_ends")
TOKEN_COLUMNS = ("ids", "starts_word", "sentence_ends")


@dataclass(frozen=True, slots=True)
class Text:
    """One document: its text and the position after each sentence, in characters."""

    id: str
    text: str
    ends: list[int]


@dataclass(frozen=True, slots=True)
class Tokens:
    """The ids of one document and the position after each sentence that has any, in tokens."""

    ids: NDArray[np.unsignedinteger[Any]]
    ends: NDArray[np.int64]


def write_text(path: Path, texts: Sequence[Text]) -> TextShard:
    """Write the texts of a shard; its numbers are counted from what was written."""
    text = pa.array([document.text for document in texts], type=pa.string())
    ends = pa.array([document.ends for document in texts], type=pa.list_(pa.int32()))
    names = pa.array([document.id for document in texts], type=pa.string())
    _write(path, dict(zip(TEXT_COLUMNS, (names, text, ends), strict=True)), compression="zstd")
    return TextShard(
        **_measure(path),
        documents=len(text),
        sentences=len(ends.values),
        text_bytes=compute.sum(compute.binary_length(text)).as_py(),
        chars=compute.sum(compute.utf8_length(text)).as_py(),
    )


def write_tokens(path: Path, documents: Sequence[Tokens], starts_word_V: NDArray[np.bool_]) -> TokenShard:
    """Write the tokens of a shard; its numbers are counted from what was written."""
    ids_T = np.concatenate([document.ids for document in documents])
    ends = np.concatenate([document.ends for document in documents]).astype(np.int32)
    by_document = _offsets([len(document.ids) for document in documents])
    columns = (
        pa.ListArray.from_arrays(by_document, pa.array(ids_T)),
        pa.ListArray.from_arrays(by_document, pa.array(starts_word_V[ids_T])),
        pa.ListArray.from_arrays(_offsets([len(document.ends) for document in documents]), pa.array(ends)),
    )
    _write(path, dict(zip(TOKEN_COLUMNS, columns, strict=True)), compression=None)
    return TokenShard(**_measure(path), documents=len(documents), sentences=len(ends), tokens=len(ids_T))


def _offsets(lengths: list[int]) -> pa.Array:
    return pa.array(np.concatenate([[0], np.cumsum(lengths)]).astype(np.int32))


def _write(path: Path, columns: dict[str, pa.Array], *, compression: str | None) -> None:
    batch = pa.record_batch(columns)
    options = pa.ipc.IpcWriteOptions(compression=compression)
    with new_file(path) as stream, pa.ipc.new_file(stream, batch.schema, options=options) as writer:
        writer.write_batch(batch)


def _measure(path: Path) -> dict[str, Any]:
    return {"name": path.name, "bytes": path.stat().st_size, "sha256": file_sha256(path)}


def read_batch(path: Path, columns: tuple[str, ...], documents: int) -> pa.RecordBatch:
    """Map a shard; raises DataError naming the file where it is missing, damaged or another one.

    The map outlives its file handle, so a corpus of many shards keeps no file open.
    """
    try:
        with pa.memory_map(str(path)) as source:
            reader = pa.ipc.open_file(source)
            if reader.num_record_batches != 1 or tuple(reader.schema.names) != columns:
                raise DataError(
                    f"not a shard with the columns {', '.join(columns)}. Build the corpus again.", file=path
                )
            batch = reader.get_batch(0)
    except (OSError, pa.ArrowInvalid) as error:
        raise DataError(f"missing or damaged ({error}). Build the corpus again.", file=path) from error
    if batch.num_rows != documents:
        raise DataError(
            f"holds {batch.num_rows:,} documents, the manifest says {documents:,}. Build the corpus again.", file=path
        )
    return batch
