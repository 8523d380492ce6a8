"""What the tests of the readers share."""

from collections.abc import Iterable
from pathlib import Path

from maskwright.corpus.ledger import REPLACEMENT_BYTES, Ledger
from maskwright.corpus.read import Document, read
from maskwright.corpus.sources import find_sources


def read_all(
    files: str | Path | Iterable[str | Path],
    ledger: Ledger | None = None,
    *,
    text_field: str = "text",
    strict: bool = False,
) -> list[Document]:
    ledger = ledger or Ledger()
    sources = find_sources(files, ledger)
    found = [document for source in sources for document in read(source, ledger, text_field=text_field, strict=strict)]
    assert ledger.bytes_on_disk == sum(source.bytes for source in sources)
    return found


def texts(files: str | Path | Iterable[str | Path], **options: object) -> list[str]:
    return [document.text for document in read_all(files, **options)]  # type: ignore[arg-type]


def accounted(ledger: Ledger, documents: list[Document]) -> bool:
    """Do what the builder does with each document, then let the ledger check itself."""
    counted = ledger.model_copy(deep=True)
    for document in documents:
        counted.documents_read += 1
        counted.documents_kept += 1
        counted.bytes_kept += len(document.text.encode("utf-8", "surrogatepass"))
        counted.bytes_bad += document.bad_bytes
        counted.replacements += document.replacements
    counted.check()
    assert all(count >= 0 for count in counted.bytes_around.values())
    return counted.bytes_read + REPLACEMENT_BYTES * counted.replacements >= counted.bytes_kept
