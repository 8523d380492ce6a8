"""``maskwright corpus build`` and ``maskwright corpus show``."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any, Literal

from cyclopts import App

from maskwright.cli.common import note, show_findings
from maskwright.errors import UsageError
from maskwright.report.terminal import Live, bar, key_values, show, table

__all__ = ["app", "show_accounts", "show_ledger", "show_summary"]

app = App(name="corpus", help="Turn files into a corpus, and look at it.")


@app.command
def build(
    *files: str,
    tokenizer: Path,
    out: str,
    language: str = "en",
    sentences: Literal["auto", "lines"] = "auto",
    text_field: str = "text",
    strict: bool = False,
    keep_duplicates: bool = False,
    near_duplicates: float | None = None,
    without: list[Path] | None = None,
    text: bool = True,
    processes: int | None = None,
    memory: str | None = None,
    engine: Literal["local", "ray"] = "local",
) -> None:
    """Read text files into a memory-mapped corpus of documents, sentences and tokens.

    A build that was interrupted goes on when the same command is given again. Documents equal to an earlier one are dropped.

    Parameters
    ----------
    files
        Text files, folders or patterns; also URLs that fsspec knows.
    tokenizer
        Folder of the vocabulary.
    out
        Folder for the corpus; a URL gets a copy of what is built here.
    language
        ISO 639-1 code, for the ends of sentences; zh finds words too.
    sentences
        "lines" when the files hold one sentence a line.
    text_field
        Field or column that holds the text.
    strict
        Refuse bad bytes, empty and duplicate documents instead of counting them.
    keep_duplicates
        Keep documents equal to an earlier one.
    near_duplicates
        Drop documents this similar to an earlier one, 0.5 to 1; try 0.8.
    without
        Task files (.csv .tsv .json .jsonl .txt): sentences that share 13 successive words with them are cut out.
    text
        Keep the texts. Without them the corpus takes a little more than half the disk, and no other vocabulary can be added.
    processes
        Processes that work; by default one a core.
    memory
        What the build may take, like 512MB: smaller shards and fewer processes.
    engine
        Where the work is done: on this machine, or on Ray.
    """
    import os

    from maskwright.corpus.build import Progress
    from maskwright.corpus.build import build as build_corpus
    from maskwright.corpus.without import SIZE, Without
    from maskwright.text.tokenizer import Tokenizer

    tasks = Without(without) if without else None
    if tasks is not None and tasks.short:
        note(
            f"Note: {tasks.short:,} of {tasks.rows:,} task texts have fewer than {SIZE} words and cannot be looked for."
        )
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
            strict=strict,
            keep_duplicates=keep_duplicates,
            near_duplicates=near_duplicates,
            without=tasks,
            keep_text=text,
            processes=len(os.sched_getaffinity(0)) if processes is None else processes,
            memory=memory,
            engine=engine,
            progress=tell,
        )
    show_ledger(corpus.ledger)
    facts = {"documents": corpus.documents, "sentences": corpus.sentences, "tokens": corpus.tokens().tokens}
    show(key_values(facts | ({"local copy": corpus.folder} if str(corpus.folder) != str(Path(out)) else {})))


@app.command
def add_tokens(folder: Path, *, tokenizer: Path, processes: int | None = None) -> None:
    """Add the tokens of another vocabulary to a corpus, without its source files.

    Parameters
    ----------
    folder
        The corpus.
    tokenizer
        Folder of the other vocabulary; a model folder has one.
    processes
        Processes that work; by default one a core.
    """
    import os

    from maskwright.corpus.build import add_tokens as add
    from maskwright.text.tokenizer import Tokenizer

    other = Tokenizer.load(tokenizer)
    processes = len(os.sched_getaffinity(0)) if processes is None else processes
    column = add(folder, other, processes=processes).tokens(other)
    show(key_values({"tokens": column.tokens, "[UNK]": column.unknown, "fingerprint": other.fingerprint[:16]}))


@app.command(name="show")
def show_corpus(
    folder: Path,
    *,
    length: int = 128,
    pairs: bool = True,
    objective: str | None = None,
    examples: int | None = None,
    seed: int | None = None,
    **options: str,
) -> None:
    """Describe a corpus: sizes, lengths, frequent pieces, where everything that was read went, and what is wrong with it.

    With --objective: some of its examples instead, as that objective would show them to a model.

    Parameters
    ----------
    folder
        The corpus.
    length
        Tokens in an example, for what of the corpus a pre-training will see.
    pairs
        Whether examples are pairs of segments (next-sentence prediction) or single ones.
    objective
        Names of objectives, with commas, to show examples of.
    examples
        How many; 3 unless given.
    seed
        Of documents and masks; another one shows others.
    options
        With --objective: its options, such as --unit span --rate 0.3.
    """
    if objective is not None:
        show_examples(folder, objective, options, length, 3 if examples is None else examples, seed or 0)
        return
    if given := [*options, *(name for name, value in (("examples", examples), ("seed", seed)) if value is not None)]:
        raise UsageError(f"--{given[0]} is an option of examples: give --objective too, or see corpus show --help")
    from maskwright.corpus.health import findings
    from maskwright.corpus.show import summary
    from maskwright.corpus.store import Corpus
    from maskwright.data.coverage import seen_share
    from maskwright.data.pairs import NextPairs, Runs

    corpus = Corpus.open(folder)
    column = corpus.tokens()
    pairs = pairs and corpus.documents > 1
    frame = corpus.tokenizer().frame
    pairing = NextPairs(length, special=frame.special(2)) if pairs else Runs(length, special=frame.special(1))
    share = seen_share(column, pairing)
    kind = "in pairs" if pairs else "in single segments"
    show_summary(summary(corpus), {f"seen at length {length} {kind}": f"{100 * share:.1f} % of the tokens"})
    show_ledger(corpus.ledger)
    found = findings(corpus, column, length=length, pairs=pairs)
    show_findings(found)
    if not found:
        show(key_values({"warnings": "none"}))


def show_examples(folder: Path, objective: str, options: Mapping[str, str], length: int, count: int, seed: int) -> None:
    """Print examples of objectives, and what they hide on the whole."""
    if count < 1:
        raise UsageError(f"--examples {count}: at least one is needed")
    from maskwright.report.example import draw_examples
    from maskwright.report.masking import masking_rows
    from maskwright.train.examples import deal_options, examples_of

    found = examples_of(folder, objective, deal_options(objective, options), length=length, count=count, seed=seed)
    show(draw_examples(found.examples, found.mask))
    if found.masking:
        show("", key_values(masking_rows(found.masking), "What is hidden"))


def show_summary(facts: dict[str, Any], more: Mapping[str, object] | None = None) -> None:
    """Print what ``corpus.show.summary`` found."""
    show(
        key_values(
            {
                "documents": facts["documents"],
                "sentences": facts["sentences"],
                "tokens": facts["tokens"],
                "tokens a sentence": f"{facts['tokens_a_sentence']:.1f}",
                "[UNK]": f"{100 * facts['unknown_share']:.3f} %",
                **(more or {}),
                "vocabulary used": f"{facts['pieces_used']:,} of {facts['vocab_size']:,}",
                "unigram entropy": f"{facts['unigram_entropy']:.3f} nats",
                "most frequent token": f"{100 * facts['top_piece_share']:.1f} %",
                "encodings": ", ".join(f"{name} {count:,}" for name, count in facts["ledger"]["encodings"].items())
                or "-",
                "fingerprint": facts["fingerprint"][:16],
            },
            "Corpus",
        )
    )
    for unit in ("sentence", "document"):
        rows = facts[f"{unit}_lengths"]
        most = max(row[f"{unit}s"] for row in rows)
        lengths = [
            (
                f"up to {row['up_to']:,}" if row["up_to"] else "longer",
                f"{row[f'{unit}s']:,}",
                bar(row[f"{unit}s"] / most, 30),
            )
            for row in rows
        ]
        show(table(f"{unit.capitalize()} lengths", ["tokens", f"{unit}s", ""], lengths))
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
