"""One small file a format: each turns an opened file into documents and accounts for its bytes."""

from __future__ import annotations

from collections.abc import Callable, Iterator

from maskwright.corpus.document import Document
from maskwright.corpus.readers.arrow import arrow, parquet
from maskwright.corpus.readers.jsonl import jsonl
from maskwright.corpus.readers.opened import Opened
from maskwright.corpus.readers.page import html, markdown
from maskwright.corpus.readers.table import csv, tsv
from maskwright.corpus.readers.txt import txt
from maskwright.corpus.readers.wikipedia import wikipedia

__all__ = ["PARSERS", "Parser"]

Parser = Callable[[Opened], Iterator[tuple[int, Document]]]
"""Gives each document with the line it begins on, counted from 1 (the row, in a table that is not text)."""

PARSERS: dict[str, Parser] = {
    ".txt": txt,
    ".jsonl": jsonl,
    ".csv": csv,
    ".tsv": tsv,
    ".parquet": parquet,
    ".arrow": arrow,
    ".md": markdown,
    ".html": html,
    ".htm": html,
    ".xml": wikipedia,
}
