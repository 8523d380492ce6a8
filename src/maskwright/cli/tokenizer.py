"""``maskwright tokenizer train`` and ``maskwright tokenizer extend``."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Literal

from cyclopts import App

from maskwright.cli.common import command_line
from maskwright.report.terminal import key_values, show, table

if TYPE_CHECKING:
    from maskwright.corpus.ledger import Ledger
    from maskwright.corpus.read import Reader

__all__ = ["app"]

app = App(name="tokenizer", help="Train a vocabulary, or extend one.")


@app.command
def train(
    *files: str,
    out: Path,
    vocab_size: int = 8192,
    kind: Literal["wordpiece", "bpe", "unigram", "words"] = "wordpiece",
    cased: bool | None = None,
    min_frequency: int = 2,
    sentinels: int = 0,
    text_field: str = "text",
) -> None:
    """Train a vocabulary on text files: WordPiece (BERT), byte BPE (RoBERTa), Unigram (ALBERT) or whole words (ELMo).

    Parameters
    ----------
    files
        Text files of any kind that ``corpus build`` reads, folders or patterns; also URLs that fsspec knows.
    out
        Folder for tokenizer.json and tokenizer_config.json, for WordPiece vocab.txt too.
    vocab_size
        Pieces, special ones included.
    kind
        wordpiece, bpe, unigram or words; with words, 256 pieces are bytes, which spell what is no word of the vocabulary.
    cased
        Keep upper case and accents; byte BPE keeps them unless told --no-cased, words always.
    min_frequency
        A piece must occur so often.
    sentinels
        Pieces <extra_id_0>, <extra_id_1>, … put behind the others, which T5's span corruption needs; T5 has 100.
    text_field
        Field of a .jsonl object that holds the text.
    """
    from maskwright.text.sentinels import with_sentinels
    from maskwright.text.tokenizer import Tokenizer

    _check_free(out)
    reader, ledger = _reader(files, text_field)
    tokenizer = Tokenizer.train(
        (document.text for document in reader),
        kind=kind,
        vocab_size=vocab_size,
        lowercase=None if cased is None else not cased,
        min_frequency=min_frequency,
    )
    if sentinels > 0:
        tokenizer = with_sentinels(tokenizer, sentinels)
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


@app.command
def extend(
    model: str, *files: str, out: Path, add: int = 2000, min_frequency: int = 5, text_field: str = "text"
) -> None:
    """Add the words of a domain to a vocabulary, and to the model that uses it: a start for pretrain --start.

    Old pieces keep their ids and old weights their values; each new piece begins as the mean of the pieces that spelt it.

    Parameters
    ----------
    model
        Model folder or org/name; or a vocabulary alone (its folder, tokenizer.json or vocab.txt), then only that is extended.
    files
        Text files of the domain, folders or patterns.
    out
        Folder for the extended model, or for the vocabulary.
    add
        Words to add at most: those that save most tokens.
    min_frequency
        A word must occur so often, outside the text that has it most.
    text_field
        Field of a .jsonl object that holds the text.
    """
    from maskwright.checkpoint.hub import resolve
    from maskwright.text.extend import extend as extend_vocabulary
    from maskwright.text.tokenizer import Tokenizer

    _check_free(out)
    source = Path(model) if Path(model).is_file() else resolve(model)
    reader, ledger = _reader(files, text_field)
    made = extend_vocabulary(
        Tokenizer.load(source), (document.text for document in reader), add=add, min_frequency=min_frequency
    )
    whole = (source / "config.json").is_file()
    if whole:
        from maskwright.grow import grow
        from maskwright.model import load

        provenance = {"command": command_line(), "from": model, "pieces": len(made.pieces)}
        grow(load(source), made.tokenizer).save(out, provenance={"extended": provenance})
    else:
        made.tokenizer.save(out)
    rows = [(piece.piece, " ".join(piece.was), f"{piece.saved:,}") for piece in made.pieces[:10]]
    show(table("Most useful new pieces", ["piece", "was", "tokens saved"], rows))
    before, after = made.tokens_before / made.words, made.tokens_after / made.words
    show(
        key_values(
            {
                "read": f"{ledger.bytes_read / 1e6:,.1f} MB, {made.words:,} words",
                "pieces": f"{made.tokenizer.vocab_size:,}, of them {len(made.pieces):,} new",
                "tokens a word": f"{before:.4f} before, {after:.4f} now",
                "tokens saved": f"{100 * (1 - made.tokens_after / made.tokens_before):.2f} %",
                "written to": f"{out} ({'model' if whole else 'vocabulary only'})",
            }
        )
    )


def _check_free(out: Path) -> None:
    from maskwright.errors import InputError

    if out.exists() and any(out.iterdir()):
        raise InputError(f"{out} is not empty; choose another --out")


def _reader(files: tuple[str, ...], text_field: str) -> tuple[Reader, Ledger]:
    """Return the documents of the files, and the ledger that counts them while they are read."""
    from maskwright.corpus.ledger import Ledger
    from maskwright.corpus.read import Reader
    from maskwright.corpus.sources import find_sources

    ledger = Ledger()
    return Reader(find_sources(list(files), ledger), ledger, text_field), ledger
