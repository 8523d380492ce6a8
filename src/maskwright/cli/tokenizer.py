"""``maskwright tokenizer train``."""

from __future__ import annotations

from pathlib import Path

from cyclopts import App

from maskwright.report.terminal import key_values, show

__all__ = ["app"]

app = App(name="tokenizer", help="Train a vocabulary.")


@app.command
def train(
    *files: Path,
    out: Path,
    vocab_size: int = 8192,
    cased: bool = False,
    min_frequency: int = 2,
    text_field: str = "text",
) -> None:
    """Train a WordPiece vocabulary on text files.

    Parameters
    ----------
    files
        Text files (.txt, .jsonl, also .gz and .xz), folders or patterns.
    out
        Folder for tokenizer.json, tokenizer_config.json and vocab.txt.
    vocab_size
        Pieces, special ones included.
    cased
        Keep upper case and accents.
    min_frequency
        A piece must occur so often.
    text_field
        Field of a .jsonl object that holds the text.
    """
    from maskwright.corpus.ledger import Ledger
    from maskwright.corpus.read import Reader
    from maskwright.corpus.sources import find_sources
    from maskwright.errors import InputError
    from maskwright.text.tokenizer import Tokenizer

    ledger = Ledger()
    reader = Reader(find_sources(list(files), ledger), ledger, text_field)
    if out.exists() and any(out.iterdir()):
        raise InputError(f"{out} is not empty; choose another --out")
    tokenizer = Tokenizer.train(
        (document.text for document in reader), vocab_size=vocab_size, lowercase=not cased, min_frequency=min_frequency
    )
    tokenizer.save(out)
    show(
        key_values(
            {
                "pieces": f"{tokenizer.vocab_size:,}",
                "read": f"{ledger.bytes_read / 1e6:,.1f} MB",
                "fingerprint": tokenizer.fingerprint[:16],
                "written to": str(out),
            }
        )
    )
