"""Shards: Arrow IPC files, a row a document, read through a memory map.

    text      id, text, sentence_lengths (characters), for Chinese word_lengths; a record batch a chunk, compressed: it is
              written as the chunks come, and to read a document only its batch is unpacked
    tokens    ids, sentence_lengths (tokens), where the vocabulary does not say it starts_word; one record batch, not
              compressed: the ids of a shard are one array without a seam, used where it lies on the disk

Lengths are bytes (``lists.in_bytes``): one a sentence, but for the few of 255 and more.  Where the pieces of a vocabulary say
whether they begin a word, a token shard holds that in its schema, a bit for each piece, and not again for each token.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from maskwright.corpus.lists import Lists, Rows, count_numbers
from maskwright.corpus.manifest import TextShard, TokenShard, file_sha256, new_file
from maskwright.errors import DataError

__all__ = ["IDS", "SENTENCES", "STARTS", "TEXT", "TextWriter", "TokenFile", "read_texts", "read_tokens", "write_tokens"]

ID, TEXT, SENTENCES, WORDS = "id", "text", "sentence_lengths", "word_lengths"
IDS, STARTS = "ids", "starts_word"
_STARTS_V = b"starts_word_V"
_LEVEL = 3
"""Of zstd: a tenth smaller than level 1, and still 150 MB a second."""


class TextWriter:
    """The text shard that is being written; its numbers are counted from what is written.

    keep: whether the texts themselves are written.
    """

    def __init__(self, path: Path, *, keep: bool = True) -> None:
        self._path, self._keep = path, keep
        self._file = new_file(path)
        self._stream = self._file.__enter__()
        self._writer: Any = None
        self._ends: list[int] = []
        self._sentences = self._bytes = self._chars = 0

    def add(self, rows: Rows) -> None:
        """Write some documents, as a batch of their own."""
        batch = pa.record_batch(
            {name: _column(name, lists) for name, lists in rows.items() if self._keep or name != TEXT}
        )
        if self._writer is None:
            options = pa.ipc.IpcWriteOptions(compression=pa.Codec("zstd", compression_level=_LEVEL), use_threads=False)
            self._writer = pa.ipc.new_file(self._stream, batch.schema, options=options)
        self._writer.write_batch(batch)
        self._ends.append(len(batch) + (self._ends[-1] if self._ends else 0))
        self._sentences += count_numbers(rows[SENTENCES].flat)
        text = rows[TEXT].flat
        self._bytes += len(text)
        self._chars += int(np.count_nonzero(text.view(np.int8) >= -64))  # a continuing byte is 0x80 … 0xBF

    def close(self) -> TextShard:
        """Put the file into its place."""
        self._writer.close()
        self._file.__exit__(None, None, None)
        return TextShard(
            **_measure(self._path),
            documents=self._ends[-1],
            sentences=self._sentences,
            text_bytes=self._bytes,
            chars=self._chars,
            batches=self._ends,
        )

    def abandon(self) -> None:
        """Leave nothing."""
        error = RuntimeError("abandoned")
        self._file.__exit__(type(error), error, None)


def write_tokens(path: Path, rows: Rows, starts_V: NDArray[np.bool_]) -> TokenShard:
    """Write the tokens of a shard; its numbers are counted from what was written.

    starts_V: (V,) whether each piece begins a word, for rows without ``starts_word``.
    """
    batch = pa.record_batch({name: _column(name, lists) for name, lists in rows.items()})
    if STARTS not in rows:
        packed = np.packbits(starts_V, bitorder="little").tobytes()
        batch = batch.replace_schema_metadata({_STARTS_V: packed})
    with new_file(path) as stream, pa.ipc.new_file(stream, batch.schema) as writer:
        writer.write_batch(batch)
    written = TokenFile(batch)
    sentences = count_numbers(written.lengths)
    return TokenShard(**_measure(path), documents=len(batch), sentences=sentences, tokens=len(written.ids))


def _column(name: str, lists: Lists) -> pa.Array:
    # From buffers: pa.array would look for pandas, and import 38 MB of it.
    offsets, flat = pa.py_buffer(np.append(0, lists.ends).astype(np.int32)), lists.flat
    if name in (ID, TEXT):
        return pa.StringArray.from_buffers(len(lists), offsets, pa.py_buffer(flat))
    kind = pa.from_numpy_dtype(flat.dtype)
    stored = np.packbits(flat, bitorder="little") if flat.dtype == np.bool_ else np.ascontiguousarray(flat)
    values = pa.Array.from_buffers(kind, len(flat), [None, pa.py_buffer(stored)])
    return pa.ListArray.from_buffers(pa.list_(kind), len(lists), [None, offsets], children=[values])


def _measure(path: Path) -> dict[str, Any]:
    return {"name": path.name, "bytes": path.stat().st_size, "sha256": file_sha256(path)}


class TokenFile:
    """The arrays of a token shard, where they lie: in the file, of which the map outlives the handle."""

    def __init__(self, batch: pa.RecordBatch) -> None:
        ids, sentences = (_lists(batch.column(name)) for name in (IDS, SENTENCES))
        self.ids: NDArray[np.unsignedinteger[Any]] = ids.flat
        """(tokens,)"""
        self.lengths: NDArray[np.uint8] = sentences.flat
        """Tokens of each sentence, see ``lists.in_bytes``."""
        self.length_ends = sentences.ends
        """(documents,) positions in ``lengths``."""
        self.word_bits: NDArray[np.uint8] | None = None
        """A bit a token; None where the pieces say it."""
        self.starts_V: NDArray[np.bool_] = np.empty(0, np.bool_)
        if STARTS in batch.schema.names:
            self.word_bits = np.frombuffer(batch.column(STARTS).values.buffers()[1], np.uint8)
        else:
            packed = np.frombuffer(batch.schema.metadata[_STARTS_V], np.uint8)
            self.starts_V = np.unpackbits(packed, bitorder="little").view(np.bool_)


def read_tokens(path: Path, documents: int) -> TokenFile:
    """Map a token shard; raises DataError naming the file where it is missing, damaged or another one."""
    with _reader(path, (IDS, SENTENCES)) as reader:
        metadata = reader.schema.metadata or {}
        if reader.num_record_batches != 1 or (STARTS not in reader.schema.names and _STARTS_V not in metadata):
            raise _foreign(path, (IDS, SENTENCES))
        batch = reader.get_batch(0)
        batch.validate()  # a damaged length would be followed out of the file
        _count(path, batch.num_rows, documents)
        return TokenFile(batch)


def read_texts(path: Path, ends: list[int], numbers: range) -> Iterator[Rows]:
    """Yield some batches of a text shard, unpacked; raises DataError as ``read_tokens`` does.

    ends: documents by the end of each batch.
    """
    with _reader(path, (ID, SENTENCES)) as reader:
        if reader.num_record_batches != len(ends):
            raise _foreign(path, (ID, SENTENCES))
        sizes = [end - begin for begin, end in pairwise([0, *ends])]
        for number in numbers:
            batch = reader.get_batch(number)
            batch.validate()
            _count(path, batch.num_rows, sizes[number])
            yield {name: _lists(batch.column(name)) for name in batch.schema.names}


def _lists(column: pa.Array) -> Lists:
    buffers = column.buffers()
    ends = np.frombuffer(buffers[1], np.int32, len(column) + 1)[1:]
    dtype = np.uint8 if pa.types.is_string(column.type) else column.type.value_type.to_pandas_dtype()
    count = int(ends[-1]) if len(ends) else 0
    return Lists(np.frombuffer(buffers[-1] or b"", dtype, count), ends.astype(np.int64))


@contextmanager
def _reader(path: Path, columns: tuple[str, ...]) -> Iterator[Any]:
    try:
        with pa.memory_map(str(path)) as source:
            reader = pa.ipc.open_file(source)
            if not set(columns) <= set(reader.schema.names):
                raise _foreign(path, columns)
            yield reader
    except (OSError, pa.ArrowInvalid) as error:
        raise DataError(f"missing or damaged ({error}). Build the corpus again.", file=path) from error


def _foreign(path: Path, columns: tuple[str, ...]) -> DataError:
    return DataError(f"not a shard with the columns {', '.join(columns)}. Build the corpus again.", file=path)


def _count(path: Path, found: int, expected: int) -> None:
    if found != expected:
        raise DataError(
            f"holds {found:,} documents, the manifest says {expected:,}. Build the corpus again.", file=path
        )
