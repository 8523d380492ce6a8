"""Chunks to shards: what comes back from the workers is decided about and written here, in the order of the input.

A shard is closed at the end of the chunk in which it became large enough, and then the journal: whatever ends a build, it
goes on from its last whole shard, and the corpus is the same to the byte.  Memory holds the tokens of one shard and the
chunks on their way; texts are written as they come.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from maskwright.corpus import cluster, engine
from maskwright.corpus.chunks import CHUNK_CHARS, Open, Reading
from maskwright.corpus.columns import ColumnWriter
from maskwright.corpus.journal import JOURNAL, Journal, claim, clear, seen_name
from maskwright.corpus.ledger import Ledger
from maskwright.corpus.lists import count_numbers, only
from maskwright.corpus.manifest import MANIFEST, Manifest, SentenceRule
from maskwright.corpus.prepare import Preparation, Prepared
from maskwright.corpus.seen import Seen
from maskwright.corpus.shards import SENTENCES, TEXT, TextWriter
from maskwright.corpus.store import Corpus
from maskwright.corpus.without import Without
from maskwright.errors import DataError, InputError, MaskwrightError, explain_os_error
from maskwright.text.tokenizer import Tokenizer
from maskwright.text.words import need_words

__all__ = ["Builder", "Input", "Options", "Progress"]

ENGINES = {"local": engine.in_order, "ray": cluster.in_order}


@dataclass(frozen=True)
class Progress:
    """How far a build is."""

    documents: int
    tokens: int
    fraction: float | None
    """Share of the files read, 0 to 1; None where the documents came from elsewhere."""


@dataclass(frozen=True)
class Options:
    """How a corpus is built; see ``build`` for what each one means."""

    language: str
    sentences: SentenceRule
    strict: bool
    keep_duplicates: bool
    near_duplicates: float | None
    without: Without | None
    engine: str
    processes: int
    shard_bytes: int
    keep_text: bool

    def settings(self, tokenizer: Tokenizer, text_field: str) -> dict[str, str]:
        """What decides the bytes of the corpus, for the journal."""
        runs = hashlib.sha256(self.without.runs.tobytes()).hexdigest()[:16] if self.without else "no files"
        return {
            "tokenizer": tokenizer.fingerprint[:16],
            "language": self.language,
            "sentences": self.sentences,
            "text-field": text_field,
            "strict": str(self.strict),
            "keep-duplicates": str(self.keep_duplicates),
            "near-duplicates": str(self.near_duplicates),
            "without": runs,
            "keep-text": str(self.keep_text),
            "memory for shards of (bytes)": str(self.shard_bytes),
        }


@dataclass(frozen=True)
class Input:
    """What is read: a function, a name and a size on disk for each source, and what was counted on the way to them."""

    sources: Sequence[Open]
    names: Sequence[tuple[str, int]]
    ledger: Ledger
    text_field: str = ""


class Builder:
    """One build."""

    def __init__(self, out: Path, tokenizer: Tokenizer, given: Input, options: Options) -> None:
        self._out, self._tokenizer, self._given, self._options = out, tokenizer, given, options
        self._texts: TextWriter | None = None
        self._held_bytes = 0

    def run(self, progress: Callable[[Progress], None] | None) -> Corpus:
        """Build, or go on building.  What ends it leaves whole shards and a journal, or without a whole shard nothing."""
        given, options = self._given, self._options
        try:
            if options.language == "zh":
                need_words()
            new = Journal(settings=options.settings(self._tokenizer, given.text_field), sources=list(given.names))
            self._journal = claim(self._out, new)
            try:
                if not (self._out / MANIFEST).exists():
                    self._build(progress)
                self._tidy()
            except BaseException as error:
                if self._texts is not None:
                    self._texts.abandon()
                self._give_up(error)
                raise
        except OSError as error:
            raise explain_os_error(error, "corpus/build: writing") from error
        return Corpus.open(self._out)

    def _build(self, progress: Callable[[Progress], None] | None) -> None:
        options, journal = self._options, self._journal
        self._seen = None if options.keep_duplicates else Seen(self._out, options.near_duplicates)
        for number in range(len(journal.shards) if self._seen else 0):
            assert self._seen is not None
            self._seen.load(self._out / seen_name(number))
        self._column = ColumnWriter(self._out, self._tokenizer, journal.token_shards, journal.tokens)
        work = Preparation(
            self._tokenizer,
            options.language,
            options.sentences,
            strict=options.strict,
            near=options.near_duplicates is not None,
            without=options.without,
        )
        reading = Reading(self._given.sources, journal.place, min(CHUNK_CHARS, options.shard_bytes))
        total = sum(size for _, size in self._given.names)
        items = (((chunk.place, chunk.bytes_on_disk), chunk.documents) for chunk in reading)
        for (place, done), prepared in ENGINES[options.engine](work, items, options.processes):
            self._take(prepared)
            if self._held_bytes >= options.shard_bytes:
                self._write_shard()
                journal.place = place
                journal.write(self._out)
            if progress:
                progress(self._progress(min(1.0, done / total) if total else None))
        self._write_shard()
        self._finish(reading.ledger)
        if progress:
            progress(self._progress(1.0 if total else None))

    def _progress(self, fraction: float | None) -> Progress:
        return Progress(self._journal.decided.documents_kept, self._column.ledger.tokens_made, fraction)

    def _take(self, prepared: Prepared) -> None:
        """Keep what did not come before."""
        ledger, texts, tokens, digests = self._journal.decided, prepared.texts, prepared.tokens, prepared.digests
        ledger.add(prepared.ledger)
        sizes = texts[TEXT].lengths
        kept = np.ones(len(sizes), np.bool_)
        for reason, found in (self._seen.decide(prepared) if self._seen and len(sizes) else {}).items():
            if found.any() and self._options.strict:
                name = texts["id"][int(np.flatnonzero(found)[0])].tobytes().decode()
                raise DataError(
                    f"document {name!r} is a {reason} of an earlier one. Remove it, or build without --strict."
                )
            if found.any():
                ledger.documents_dropped[reason] += int(found.sum())
                ledger.bytes_dropped[reason] += int(sizes[found].sum())
                kept &= ~found
        if not kept.all():
            texts, tokens, digests = only(texts, kept), only(tokens, kept), digests[kept]
        content = bytes.fromhex(self._journal.content)
        for digest in np.ascontiguousarray(digests).view("V32").ravel().tolist():
            content = hashlib.sha256(content + digest).digest()
        self._journal.content = content.hex()
        ledger.documents_kept += len(digests)
        if not len(digests):
            return
        if self._texts is None:
            name = f"text-{len(self._journal.shards):05d}.arrow"
            self._texts = TextWriter(self._out / name, keep=self._options.keep_text)
        self._texts.add(texts)
        self._column.add(tokens, count_numbers(texts[SENTENCES].flat))
        self._held_bytes += int(sizes[kept].sum())

    def _write_shard(self) -> None:
        if self._texts is None:
            return
        journal = self._journal
        journal.shards.append(self._texts.close())
        self._texts = None
        self._column.write()
        journal.tokens, journal.token_shards = self._column.ledger, self._column.shards
        if self._seen:
            self._seen.save(self._out / seen_name(len(journal.shards) - 1))
        self._held_bytes = 0

    def _finish(self, read: Ledger) -> None:
        shards = self._journal.shards
        ledger = self._given.ledger.model_copy(deep=True)
        ledger.add(read)
        ledger.add(self._journal.decided)
        if not shards:
            dropped = ", ".join(f"{count:,} {reason}" for reason, count in ledger.documents_dropped.items()) or "none"
            raise InputError(
                f"corpus/build: nothing usable: {ledger.bytes_read:,} bytes hold {ledger.documents_read:,} documents "
                f"(dropped: {dropped}). Is this the right input?"
            )
        # Counted from the shards, not from what went towards them: this is what the ledger is compared with.
        ledger.documents_kept = sum(shard.documents for shard in shards)
        ledger.bytes_kept = sum(shard.text_bytes for shard in shards)
        ledger.chars = sum(shard.chars for shard in shards)
        ledger.sentences = sum(shard.sentences for shard in shards)
        ledger.check()
        Manifest(
            language=self._options.language,
            sentence_rule=self._options.sentences,
            word_rule="rjieba" if self._options.language == "zh" else "vocabulary",
            has_text=self._options.keep_text,
            fingerprint=self._journal.content,
            shards=shards,
            columns=[self._column.finish(ledger)],
            ledger=ledger,
        ).write(self._out)

    def _tidy(self) -> None:
        for file in self._out.glob("seen-*.npz"):
            file.unlink()
        (self._out / JOURNAL).unlink()

    def _give_up(self, error: BaseException) -> None:
        if not (self._out / JOURNAL).exists():
            return
        written = Journal.model_validate_json((self._out / JOURNAL).read_bytes())
        if not written.shards:
            clear(self._out)
            return
        clear(self._out, keep=written.files())
        if isinstance(error, MaskwrightError):
            count = sum(shard.documents for shard in written.shards)
            error.args = (
                f"{error} {len(written.shards):,} finished shards ({count:,} documents) stay in {self._out}: once that is "
                "mended, the same command goes on from there; or remove the folder.",
            )
