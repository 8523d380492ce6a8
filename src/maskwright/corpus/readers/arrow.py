"""Tables of Arrow: Parquet files, and the Arrow streams of a folder that ``datasets`` has saved.

Only the text column (and "id", where there is one) is read, some rows at a time.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import Any

import pyarrow as pa

from maskwright.corpus.document import Document
from maskwright.corpus.encoding import decode
from maskwright.corpus.readers.opened import NO_TEXT, Opened
from maskwright.corpus.streams import damage

__all__ = ["arrow", "parquet"]

ROWS = 256
"""Rows held at a time."""
PAGE_BUFFER = 1 << 20
"""Bytes of a column read at a time, so that a row group of any size is read in little memory."""


def parquet(file: Opened) -> Iterator[tuple[int, Document]]:
    """Yield the text of each row."""
    with damage(file.name), file.stream.seekable_copy() as content:
        import pyarrow.parquet as pq  # some 5 MB, for these files alone

        table = pq.ParquetFile(content, buffer_size=PAGE_BUFFER, pre_buffer=False)
        columns = _columns(file, table.schema_arrow)
        yield from _rows(file, table.iter_batches(ROWS, columns=columns, use_threads=False))


def arrow(file: Opened) -> Iterator[tuple[int, Document]]:
    """Yield the text of each row of an Arrow stream."""
    with damage(file.name), pa.ipc.open_stream(pa.PythonFile(file.stream, "r")) as table:
        columns = _columns(file, table.schema)
        yield from _rows(file, (batch.select(columns) for batch in table))


def _columns(file: Opened, schema: Any) -> list[str]:
    texts = [column.name for column in schema if _is_text(column.type)]
    if file.text_field not in schema.names:
        raise file.without_field(schema.names, texts, None)
    if file.text_field not in texts:
        kind = schema.field(file.text_field).type
        raise file.fault(f'the column "{file.text_field}" holds {kind}, not text. Name another with --text-field.')
    return list(dict.fromkeys([file.text_field, *(name for name in schema.names if name == "id")]))


def _is_text(kind: Any) -> bool:
    kind = kind.value_type if pa.types.is_dictionary(kind) else kind
    return bool(pa.types.is_string(kind) or pa.types.is_large_string(kind) or pa.types.is_string_view(kind))


def _rows(file: Opened, batches: Iterable[Any]) -> Iterator[tuple[int, Document]]:
    number = 0
    for batch in batches:
        column = batch.column(file.text_field)
        if pa.types.is_dictionary(column.type):
            column = column.dictionary_decode()
        # As bytes: nothing else checks that they are UTF-8.
        contents = column.cast(pa.large_string(), safe=False).cast(pa.large_binary())
        names = batch.column("id") if "id" in batch.schema.names else None
        for place in range(len(contents)):
            number += 1
            content = contents[place].as_py()
            if content is None:
                file.drop(number, NO_TEXT, 0)
                continue
            file.ledger.bytes_read += len(content)
            name = None if names is None else names[place].as_py()
            yield number, file.row(number, name, *decode(content))
