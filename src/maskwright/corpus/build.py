"""Files to a corpus on disk, one way through: read, clean, split into sentences, tokenise, write a shard.

Memory holds one shard and one batch of documents, whatever the input.  The same input gives the same bytes.  The
manifest is written last and only after the ledger balances; a build that fails takes its files away again.
"""

from __future__ import annotations

import hashlib
import shutil
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import get_args

import numpy as np

from maskwright.corpus.columns import ColumnWriter
from maskwright.corpus.ledger import REPLACEMENT_BYTES, Ledger
from maskwright.corpus.manifest import MANIFEST, Manifest, SentenceRule, TextShard
from maskwright.corpus.read import Document, Reader
from maskwright.corpus.shards import Text, Tokens, write_text
from maskwright.corpus.sources import find_sources
from maskwright.corpus.store import Corpus
from maskwright.errors import InputError, explain_os_error
from maskwright.text.sentences import line_ends, sentence_ends
from maskwright.text.sound import sound
from maskwright.text.tokenizer import Tokenizer

__all__ = ["Progress", "add_tokens", "build", "build_from"]

SHARD_BYTES = 32 << 20
MAX_SHARD_BYTES = 1 << 30
"""Positions within a shard are int32."""
BATCH_CHARS = 1 << 20
"""Characters handed to the tokenizer at once."""


@dataclass(frozen=True)
class Progress:
    """How far a build is."""

    documents: int
    tokens: int
    fraction: float | None
    """Share of the files read, 0 to 1; None where the documents came from elsewhere."""


def build(
    files: str | Path | Iterable[str | Path],
    out: str | Path,
    tokenizer: Tokenizer,
    *,
    language: str = "en",
    sentences: SentenceRule = "auto",
    text_field: str = "text",
    shard_bytes: int = SHARD_BYTES,
    progress: Callable[[Progress], None] | None = None,
) -> Corpus:
    """Build a corpus from files, folders and patterns (see corpus/read.py for the formats).

    ``sentences`` "auto" finds them by the rules of ``language`` (ISO 639-1), "lines" takes one a line.  A shard is
    closed at ``shard_bytes`` of text.  ``progress`` is called after each batch.  Raises InputError where a file
    cannot be used, where nothing usable is in them, and where ``out`` is not empty.
    """
    ledger = Ledger()
    reader = Reader(find_sources(files, ledger), ledger, text_field)
    builder = _Builder(Path(out), tokenizer, language, sentences, shard_bytes, ledger)
    return builder.run(reader, progress, lambda: reader.fraction)


def build_from(
    documents: Iterable[Document],
    out: str | Path,
    tokenizer: Tokenizer,
    *,
    language: str = "en",
    sentences: SentenceRule = "auto",
    shard_bytes: int = SHARD_BYTES,
    progress: Callable[[Progress], None] | None = None,
) -> Corpus:
    """Build a corpus from documents in memory or from a stream of the caller's; otherwise as ``build``."""
    ledger = Ledger()
    builder = _Builder(Path(out), tokenizer, language, sentences, shard_bytes, ledger)
    return builder.run(_counted(documents, ledger), progress, lambda: None)


def add_tokens(corpus: str | Path, tokenizer: Tokenizer) -> Corpus:
    """Add the tokens of another tokenizer to a corpus, from its own text; nothing happens where they are there already.

    Documents and their order stay.  A document that gives this tokenizer no token stays too, with no sentence.
    """
    folder = Path(corpus)
    present = Corpus.open(folder)
    if tokenizer.fingerprint in present.fingerprints:
        return present
    manifest = present.manifest
    writer = ColumnWriter(folder, tokenizer)
    try:
        for shard in manifest.shards:
            texts = present.texts(shard)
            writer.write(texts, writer.tokenise(texts))
        column = writer.finish(manifest.ledger)
        manifest.model_copy(update={"columns": [*manifest.columns, column]}).write(folder)
    except OSError as error:
        raise explain_os_error(error, "corpus/add_tokens: writing") from error
    return Corpus.open(folder)


def _counted(documents: Iterable[Document], ledger: Ledger) -> Iterator[Document]:
    for document in documents:
        size = len(document.text.encode("utf-8", "surrogatepass"))
        ledger.bytes_read += size + document.bad_bytes - REPLACEMENT_BYTES * document.replacements
        yield document


class _Builder:
    """Turns documents into shards, in the order in which they come."""

    def __init__(
        self, out: Path, tokenizer: Tokenizer, language: str, sentences: SentenceRule, shard_bytes: int, ledger: Ledger
    ) -> None:
        if not 0 < shard_bytes <= MAX_SHARD_BYTES:
            raise InputError(f"corpus/build: shard_bytes is {shard_bytes:,}; 1 to {MAX_SHARD_BYTES:,} can be used.")
        if sentences not in get_args(SentenceRule):
            raise InputError(
                f"corpus/build: sentences is {sentences!r}; {' or '.join(get_args(SentenceRule))} is expected."
            )
        self._out, self._language, self._rule, self._shard_bytes = out, language, sentences, shard_bytes
        self._ledger = ledger
        self._column = ColumnWriter(out, tokenizer)
        self._shards: list[TextShard] = []
        self._texts: list[Text] = []
        self._tokens: list[Tokens] = []
        self._held_bytes = 0
        self._content = hashlib.sha256()

    def run(
        self,
        documents: Iterable[Document],
        progress: Callable[[Progress], None] | None,
        fraction: Callable[[], float | None],
    ) -> Corpus:
        """Build all of it; on any failure the folder is as empty as before."""
        try:
            _claim(self._out)
            try:
                for batch in _batches(self._usable(documents)):
                    self._add(batch)
                    if progress:
                        progress(Progress(self._ledger.documents_kept, self._column.ledger.tokens_made, fraction()))
                self._write_shard()
                self._finish()
            except BaseException:
                _clear(self._out)
                raise
        except OSError as error:
            raise explain_os_error(error, "corpus/build: writing") from error
        return Corpus.open(self._out)

    def _usable(self, documents: Iterable[Document]) -> Iterator[Text]:
        """Clean the documents and drop the empty ones."""
        ledger = self._ledger
        for document in documents:
            ledger.documents_read += 1
            ledger.documents_with_bad_bytes += document.bad_bytes > 0
            ledger.bytes_bad += document.bad_bytes
            ledger.replacements += document.replacements
            nuls = document.text.count("\0")
            ledger.bytes_nul += nuls
            text = sound(document.text.replace("\0", "") if nuls else document.text)
            if not text or text.isspace():
                self._drop("empty", text)
                continue
            ends = line_ends(text) if self._rule == "lines" else sentence_ends(text, self._language)
            yield Text(sound(document.id), text, ends)

    def _drop(self, reason: str, text: str) -> None:
        self._ledger.documents_dropped[reason] += 1
        self._ledger.bytes_dropped[reason] += len(text.encode())

    def _add(self, batch: list[Text]) -> None:
        for text, tokens in zip(batch, self._column.tokenise(batch), strict=True):
            if len(tokens.ids) == 0:
                self._drop("no token", text.text)
                continue
            content = text.text.encode()
            ends = np.array(text.ends, dtype="<i4").tobytes()
            for part in (content, ends):
                self._content.update(len(part).to_bytes(8, "little"))
                self._content.update(part)
            self._ledger.documents_kept += 1
            self._texts.append(text)
            self._tokens.append(tokens)
            self._held_bytes += len(content)
            if self._held_bytes >= self._shard_bytes:
                self._write_shard()

    def _write_shard(self) -> None:
        if not self._texts:
            return
        shard = write_text(self._out / f"text-{len(self._shards):05d}.arrow", self._texts)
        self._column.write(self._texts, self._tokens)
        self._shards.append(shard)
        self._texts, self._tokens, self._held_bytes = [], [], 0

    def _finish(self) -> None:
        ledger = self._ledger
        if not self._shards:
            dropped = ", ".join(f"{count:,} {reason}" for reason, count in ledger.documents_dropped.items()) or "none"
            raise InputError(
                f"corpus/build: nothing usable: {ledger.bytes_read:,} bytes hold {ledger.documents_read:,} documents "
                f"(dropped: {dropped}). Is this the right input?"
            )
        # Counted from the shards, not from what went towards them: this is what the ledger is compared with.
        ledger.documents_kept = sum(shard.documents for shard in self._shards)
        ledger.bytes_kept = sum(shard.text_bytes for shard in self._shards)
        ledger.chars = sum(shard.chars for shard in self._shards)
        ledger.sentences = sum(shard.sentences for shard in self._shards)
        ledger.check()
        Manifest(
            language=self._language,
            sentence_rule=self._rule,
            fingerprint=self._content.hexdigest(),
            shards=self._shards,
            columns=[self._column.finish(ledger)],
            ledger=ledger,
        ).write(self._out)


def _batches(texts: Iterable[Text]) -> Iterator[list[Text]]:
    held: list[Text] = []
    chars = 0
    for text in texts:
        held.append(text)
        chars += len(text.text)
        if chars >= BATCH_CHARS:
            yield held
            held, chars = [], 0
    if held:
        yield held


def _claim(out: Path) -> None:
    if (out / MANIFEST).exists():
        raise InputError(
            f"corpus/build: {out} already holds a corpus, which is never written over. "
            "Choose another folder, or remove that one first; add_tokens adds another tokenizer's tokens to it."
        )
    out.mkdir(parents=True, exist_ok=True)
    if any(out.iterdir()):
        what = "an interrupted build" if any(out.glob("text-*.arrow*")) else "other files"
        raise InputError(f"corpus/build: {out} holds {what}. Choose another folder, or remove that one first.")


def _clear(out: Path) -> None:
    """Take away what an unfinished build has written into a folder that was empty."""
    for pattern in ("text-*.arrow*", "tokens-*.arrow*", f"{MANIFEST}*"):
        for file in out.glob(pattern):
            file.unlink()
    for folder in out.glob("tokenizer-*"):
        shutil.rmtree(folder)
