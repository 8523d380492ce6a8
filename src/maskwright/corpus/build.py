"""Files to a corpus on disk: read, clean, split into sentences, tokenise, write a shard.

Memory holds the tokens of one shard and a few chunks of documents, whatever the input.  The same input gives the same bytes,
for any number of processes, on either engine, and after any interruption.  corpus/builder.py says how.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from functools import partial
from pathlib import Path
from typing import Any, Literal, get_args

from maskwright.corpus import engine as local
from maskwright.corpus import remote
from maskwright.corpus.builder import ENGINES, Builder, Input, Options, Progress
from maskwright.corpus.columns import ColumnWriter
from maskwright.corpus.document import Document
from maskwright.corpus.duplicates import LOWEST_THRESHOLD
from maskwright.corpus.ledger import REPLACEMENT_BYTES, Ledger
from maskwright.corpus.lists import Rows, count_numbers
from maskwright.corpus.manifest import SentenceRule
from maskwright.corpus.memory import share_out
from maskwright.corpus.prepare import Tokenisation
from maskwright.corpus.read import read
from maskwright.corpus.shards import SENTENCES
from maskwright.corpus.sources import find_sources
from maskwright.corpus.store import Corpus
from maskwright.corpus.without import Without
from maskwright.errors import InputError, explain_os_error
from maskwright.text.tokenizer import Tokenizer

__all__ = ["EngineName", "Progress", "add_tokens", "build", "build_from"]

MAX_SHARD_BYTES = 1 << 30
"""Positions within a shard are int32."""
EngineName = Literal["local", "ray"]


def build(
    files: str | Path | Iterable[str | Path],
    out: str | Path,
    tokenizer: Tokenizer,
    *,
    language: str = "en",
    sentences: SentenceRule = "auto",
    text_field: str = "text",
    strict: bool = False,
    keep_duplicates: bool = False,
    near_duplicates: float | None = None,
    without: Without | Iterable[str | Path] | None = None,
    keep_text: bool = True,
    processes: int = 1,
    memory: int | str | None = None,
    engine: EngineName = "local",
    shard_bytes: int | None = None,
    progress: Callable[[Progress], None] | None = None,
) -> Corpus:
    """Build a corpus from files, folders and patterns (see corpus/read.py for the formats).

    language: ISO 639-1 code; "zh" finds words too, and needs the extra of that name.
    sentences: "auto" finds them by the rules of the language, "lines" takes one a line.
    strict: refuse what would otherwise be mended or dropped and counted.
    keep_duplicates: keep documents equal to an earlier one, where equal rows are data (short utterances, logs).
    near_duplicates: drop documents this similar to an earlier one, 0.5 to 1: the Jaccard similarity of their sets of five
        successive words.
    without: task files; sentences that share 13 successive words with them are cut out.
    keep_text: without the texts a corpus takes a little more than half the disk; then no other tokenizer's tokens can be
        added to it.
    processes: 0 and 1 work in this process.  More of them import the main module: guard a script by ``__main__``.
    memory: bytes, or "512MB": bounds the build; decides how large shards are and how many processes fit.
    engine: "ray" works on Ray, see corpus/cluster.py.
    shard_bytes: bytes of text after which a shard is closed, instead of what ``memory`` decides.
    progress: called after each chunk.

    Started again after an interruption it goes on from the last whole shard.  ``out`` may be a URL (fsspec): then the corpus
    that is returned is the local copy.  Raises InputError where a file cannot be used, where nothing usable is in them, and
    where ``out`` is not empty.
    """
    ledger = Ledger()
    sources = find_sources(files, ledger)
    given = Input(
        [partial(read, source, text_field=text_field, strict=strict) for source in sources],
        [(source.name, source.bytes) for source in sources],
        ledger,
        text_field,
    )
    options = _options(locals())
    return _run(out, tokenizer, given, options, progress)


def build_from(
    documents: Iterable[Document],
    out: str | Path,
    tokenizer: Tokenizer,
    *,
    language: str = "en",
    sentences: SentenceRule = "auto",
    strict: bool = False,
    keep_duplicates: bool = False,
    near_duplicates: float | None = None,
    without: Without | Iterable[str | Path] | None = None,
    keep_text: bool = True,
    processes: int = 1,
    memory: int | str | None = None,
    engine: EngineName = "local",
    shard_bytes: int | None = None,
    progress: Callable[[Progress], None] | None = None,
) -> Corpus:
    """Build a corpus from documents in memory or from a stream of the caller's; otherwise as ``build``."""
    given = Input([partial(_counted, documents)], [("documents", 0)], Ledger())
    return _run(out, tokenizer, given, _options(locals()), progress)


def add_tokens(corpus: str | Path, tokenizer: Tokenizer, *, processes: int = 1) -> Corpus:
    """Add the tokens of another tokenizer to a corpus, from its own text; nothing happens where they are there already.

    Documents and their order stay.  A document that gives this tokenizer no token stays too, with no sentence.
    """
    folder = Path(corpus)
    present = Corpus.open(folder)
    if tokenizer.fingerprint in present.fingerprints:
        return present
    if not present.has_text:
        raise InputError(
            f"corpus/add_tokens: {folder} was built without its texts, so no other tokenizer's tokens can be made from it. "
            "Build it again from its sources, with that tokenizer or with the texts kept."
        )
    manifest = present.manifest
    writer = ColumnWriter(folder, tokenizer)
    try:
        work = Tokenisation(tokenizer)
        for (is_last, sentences), tokens in local.in_order(work, _stored(present), processes):
            writer.add(tokens, sentences)
            if is_last:
                writer.write()
        column = writer.finish(manifest.ledger)
        manifest.model_copy(update={"columns": [*manifest.columns, column]}).write(folder)
    except OSError as error:
        raise explain_os_error(error, "corpus/add_tokens: writing") from error
    return Corpus.open(folder)


def _stored(corpus: Corpus) -> Iterator[tuple[tuple[bool, int], Rows]]:
    """Yield the rows as they were written, with how many sentences they have and whether they are the last of a shard."""
    for shard in corpus.manifest.shards:
        for number, rows in enumerate(corpus.texts(shard), 1):
            yield (number == len(shard.batches), count_numbers(rows[SENTENCES].flat)), rows


def _run(
    out: str | Path,
    tokenizer: Tokenizer,
    given: Input,
    options: Options,
    progress: Callable[[Progress], None] | None,
) -> Corpus:
    if not remote.is_url(out):
        return Builder(Path(out), tokenizer, given, options).run(progress)
    target = remote.Target(str(out))
    corpus = Builder(target.local, tokenizer, given, options).run(progress)
    target.upload()
    return corpus


def _options(asked: dict[str, Any]) -> Options:
    """Check and complete what ``build`` was asked."""
    for name, known in (("sentences", get_args(SentenceRule)), ("engine", tuple(ENGINES))):
        if asked[name] not in known:
            raise InputError(f"corpus/build: {name} is {asked[name]!r}; {' or '.join(known)} is expected.")
    near = asked["near_duplicates"]
    if near is not None and not LOWEST_THRESHOLD <= near <= 1:
        raise InputError(f"--near-duplicates {near} is outside {LOWEST_THRESHOLD} to 1. 0.8 is a good start.")
    if near is not None and asked["keep_duplicates"]:
        raise InputError("--keep-duplicates and --near-duplicates contradict each other; give one of them.")
    shard_bytes, processes = share_out(asked["memory"], asked["processes"])
    if asked["shard_bytes"] is not None:
        shard_bytes = asked["shard_bytes"]
    if not 0 < shard_bytes <= MAX_SHARD_BYTES:
        raise InputError(f"corpus/build: shard_bytes is {shard_bytes:,}; 1 to {MAX_SHARD_BYTES:,} can be used.")
    without = asked["without"]
    if without is not None and not isinstance(without, Without):
        without = Without(without)
    plain = {
        name: asked[name]
        for name in ("language", "sentences", "strict", "keep_duplicates", "near_duplicates", "engine", "keep_text")
    }
    return Options(**plain, without=without, processes=processes, shard_bytes=shard_bytes)


def _counted(documents: Iterable[Document], ledger: Ledger) -> Iterator[Document]:
    for document in documents:
        size = len(document.text.encode("utf-8", "surrogatepass"))
        ledger.bytes_read += size + document.bad_bytes - REPLACEMENT_BYTES * document.replacements
        yield document
