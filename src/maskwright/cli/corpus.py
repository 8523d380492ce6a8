"""``maskwright corpus build`` and ``maskwright corpus show``."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any, Literal

from cyclopts import App

from maskwright.report.terminal import Live, bar, key_values, show, table

__all__ = ["app", "show_accounts", "show_ledger", "show_summary"]

app = App(name="corpus", help="Turn files into a corpus, and look at it.")


@app.command
def build(
    *files: Path,
    tokenizer: Path,
    out: Path,
    language: str = "en",
    sentences: Literal["auto", "lines"] = "auto",
    text_field: str = "text",
) -> None:
    """Read text files into a memory-mapped corpus of documents, sentences and tokens.

    Parameters
    ----------
    files
        Text files (.txt with a blank line between documents, .jsonl; also .gz and .xz), folders or patterns.
    tokenizer
        Folder of the vocabulary.
    out
        Folder for the corpus.
    language
        ISO 639-1 code, for the ends of sentences.
    sentences
        "lines" when the files hold one sentence a line.
    text_field
        Field of a .jsonl object that holds the text.
    """
    from maskwright.corpus.build import Progress
    from maskwright.corpus.build import build as build_corpus
    from maskwright.text.tokenizer import Tokenizer

    with Live(100, "building") as live:

        def tell(progress: Progress) -> None:
            live.update(round(100 * (progress.fraction or 0)))

        corpus = build_corpus(
            list(files),
            out,
            Tokenizer.load(tokenizer),
            language=language,
            sentences=sentences,
            text_field=text_field,
            progress=tell,
        )
    show_ledger(corpus.ledger)
    show(key_values({"documents": corpus.documents, "sentences": corpus.sentences, "tokens": corpus.tokens().tokens}))


@app.command
def add_tokens(folder: Path, *, tokenizer: Path) -> None:
    """Add the tokens of another vocabulary to a corpus, without its source files.

    Parameters
    ----------
    folder
        The corpus.
    tokenizer
        Folder of the other vocabulary; a model folder has one.
    """
    from maskwright.corpus.build import add_tokens as add
    from maskwright.text.tokenizer import Tokenizer

    other = Tokenizer.load(tokenizer)
    column = add(folder, other).tokens(other)
    show(key_values({"tokens": column.tokens, "[UNK]": column.unknown, "fingerprint": other.fingerprint[:16]}))


@app.command(name="show")
def show_corpus(folder: Path) -> None:
    """Describe a corpus: sizes, lengths, frequent pieces, and where everything that was read went.

    Parameters
    ----------
    folder
        The corpus.
    """
    from maskwright.corpus.show import summary
    from maskwright.corpus.store import Corpus

    corpus = Corpus.open(folder)
    show_summary(summary(corpus))
    show_ledger(corpus.ledger)


def show_summary(facts: dict[str, Any]) -> None:
    """Print what ``corpus.show.summary`` found."""
    show(
        key_values(
            {
                "documents": facts["documents"],
                "sentences": facts["sentences"],
                "tokens": facts["tokens"],
                "tokens a sentence": f"{facts['tokens_a_sentence']:.1f}",
                "[UNK]": f"{100 * facts['unknown_share']:.3f} %",
                "vocabulary used": f"{facts['pieces_used']:,} of {facts['vocab_size']:,}",
                "unigram entropy": f"{facts['unigram_entropy']:.3f} nats",
                "most frequent token": f"{100 * facts['top_piece_share']:.1f} %",
                "fingerprint": facts["fingerprint"][:16],
            },
            "Corpus",
        )
    )
    most = max(row["sentences"] for row in facts["sentence_lengths"])
    lengths = [
        (
            f"up to {row['up_to']}" if row["up_to"] else "longer",
            f"{row['sentences']:,}",
            bar(row["sentences"] / most, 30),
        )
        for row in facts["sentence_lengths"]
    ]
    show(table("Sentence lengths", ["tokens", "sentences", ""], lengths))
    pieces = facts["frequent_pieces"][:10]
    show(table("Most frequent pieces", ["piece", "share"], [(p["piece"], f"{100 * p['share']:.2f} %") for p in pieces]))


def show_ledger(ledger: Any) -> None:
    """Print where everything that was read went."""
    show_accounts(ledger.accounts())


def show_accounts(accounts: Mapping[str, Mapping[str, Any]]) -> None:
    """Print accounts, a unit each: in = kept + dropped, by reason."""
    rows: list[tuple[str, str, str]] = []
    for unit, account in accounts.items():
        rows.append((unit, "read", f"{account['read']:,}"))
        rows.append(("", "kept", f"{account['kept']:,}"))
        rows += [("", reason, f"{count:,}") for reason, count in account["dropped"].items()]
    show(table("Ledger", ["", "", "count"], rows))
