"""What the quickstart reads: the user's own files, or the documentation of the running Python installation.

Either way: documents to pre-train on, an account of what was read, and a labelled task made from the same text.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from maskwright.corpus.docstrings import harvest
from maskwright.corpus.ledger import Ledger
from maskwright.corpus.passages import NoTask, Passage, Split, labelled_task, passages_of_documents
from maskwright.corpus.read import Document, Reader
from maskwright.corpus.sources import find_sources
from maskwright.tasks.rows import Rows

__all__ = ["Material", "read_material", "rows_of"]


@dataclass(frozen=True)
class Material:
    """Text, where it came from, and what can be asked about it."""

    what: str
    """In words, for the reader."""
    documents: list[Document]
    account: Mapping[str, Mapping[str, Any]]
    """Unit -> read, kept, dropped by reason: what the collector did, before the corpus's own ledger."""
    task: Split | NoTask
    question: str
    """What the labelled task asks."""
    remark: str = ""


def read_material(text: Path | None, limit_bytes: int, seed: int) -> Material:
    """Read the user's files, or without any the installed documentation up to ``limit_bytes`` of text."""
    if text is not None:
        ledger = Ledger()
        documents = list(Reader(find_sources(text, ledger), ledger))
        passages = passages_of_documents((document.id, document.text) for document in documents)
        return Material(
            f"your files in {text}",
            documents,
            {},
            labelled_task(passages, seed=seed),
            "Which document does a passage come from?",
        )
    found = harvest(limit_bytes)
    return Material(
        "the documentation of this Python installation (docstrings, read and never imported; one document a module)",
        [Document(name, text) for name, text in found.documents],
        {
            "files": {"read": found.files_seen, "kept": found.files_parsed, "dropped": dict(found.files_skipped)},
            "bytes of docstrings": {
                "read": found.bytes_in,
                "kept": found.bytes_kept,
                "dropped": dict(found.bytes_dropped),
            },
        },
        labelled_task(found.functions, seed=seed),
        "Which package does a function's docstring belong to?",
        "Reading was cut short by its time limit; another run may read more." if found.out_of_time else "",
    )


def rows_of(passages: tuple[Passage, ...], name: str) -> Rows:
    """Return passages as labelled rows."""
    return Rows(
        tuple((passage.text,) for passage in passages),
        tuple(passage.label for passage in passages),
        tuple(range(1, len(passages) + 1)),
        name,
    )
