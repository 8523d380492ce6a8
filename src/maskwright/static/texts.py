"""The texts that static vectors learn from: of a corpus, where they lie memory-mapped, or of files; one at a time.

A text is a sentence or a whole document.  Sentences are what word2vec and fastText read: neighbours across a sentence's end
mean little.  For TF-IDF the unit decides what "few texts have this word" means, so take the one that will be encoded.
"""

from __future__ import annotations

import itertools
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

from maskwright.corpus.ledger import Ledger
from maskwright.corpus.lists import running_sums
from maskwright.corpus.manifest import MANIFEST
from maskwright.corpus.read import Reader
from maskwright.corpus.sources import find_sources
from maskwright.corpus.store import Corpus
from maskwright.text.sentences import sentence_ends

__all__ = ["Texts", "Unit"]

Unit = Literal["sentence", "document"]


@dataclass
class Texts:
    """The texts of a corpus or of files, in order; can be read again.

    Attributes:
        sources: one corpus folder, or files, folders and patterns of any kind that ``corpus build`` reads.
        unit: what a text is.
        language: ISO 639-1, for the ends of sentences; a corpus knows its own.
    """

    sources: Sequence[str | Path]
    unit: Unit = "sentence"
    language: str = "en"
    text_field: str = "text"

    def __post_init__(self) -> None:
        first = Path(self.sources[0]) if len(self.sources) == 1 else None
        self.corpus = Corpus.open(first) if first is not None and (first / MANIFEST).is_file() else None
        if self.corpus is not None:
            self.corpus.verify()  # a flipped byte would be learnt from in silence
            self.language = self.corpus.language
        else:
            find_sources(list(self.sources), Ledger())  # says at once what cannot be read

    @property
    def facts(self) -> dict[str, Any]:
        """What a folder of vectors tells about where it was learnt."""
        if self.corpus is not None:
            return {"corpus": self.corpus.fingerprint, "unit": self.unit}
        return {"files": [Path(source).name for source in self.sources], "unit": self.unit}

    def __iter__(self) -> Iterator[str]:
        for text, ends in self._of_corpus(self.corpus) if self.corpus is not None else self._of_files():
            if self.unit == "document":
                yield text
                continue
            for begin, end in itertools.pairwise([0, *(sentence_ends(text, self.language) if ends is None else ends)]):
                yield text[begin:end]

    def _of_corpus(self, corpus: Corpus) -> Iterator[tuple[str, list[int] | None]]:
        for shard in corpus.manifest.shards:
            for rows in corpus.texts(shard):
                for text, lengths in zip(rows["text"], rows["sentence_lengths"], strict=True):
                    yield text.tobytes().decode("utf-8"), running_sums(lengths).tolist()

    def _of_files(self) -> Iterator[tuple[str, list[int] | None]]:
        ledger = Ledger()
        for document in Reader(find_sources(list(self.sources), ledger), ledger, self.text_field):
            yield document.text, None
