"""Where samples come from: a corpus with a pairing rule, or labelled rows."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Protocol

import numpy as np
from numpy.typing import NDArray

from maskwright.data.batch import Sample
from maskwright.data.pairs import Pairing, check_room
from maskwright.data.plan import Budget, Plan
from maskwright.errors import ConfigError
from maskwright.keys import Key
from maskwright.text.special import Frame
from maskwright.text.tokenizer import Tokenizer

if TYPE_CHECKING:
    from maskwright.corpus.store import TokenColumn

__all__ = ["CorpusSource", "RowsSource", "Sizes", "Source", "cut_pair", "tokenise_rows"]


class Sizes(Protocol):
    """How many tokens examples take.  Small and picklable; its repr says what it depends on."""

    def __call__(self, lengths: NDArray[np.int64]) -> NDArray[np.int64]:
        """(E,) tokens of texts in their frames -> (E,) tokens of all that is computed for them, or the most."""
        ...


class Source(Protocol):
    """Gives an epoch's plan, and the examples that the plan names.  Picklable: loader workers hold one."""

    @property
    def fingerprint(self) -> str:
        """Of the content; a run refuses to resume on another one."""
        ...

    def plan(self, budget: Budget, key: Key, shuffle: bool = True) -> Plan:
        """Return the plan of the epoch that the key names."""
        ...

    def identity(self) -> str:
        """Return everything that a plan depends on beside the budget and the key."""
        ...

    def sample(self, plan: Plan, number: int) -> Sample:
        """Return one example of a plan."""
        ...


@dataclass(frozen=True)
class CorpusSource:
    """Examples from a tokenised corpus."""

    column: TokenColumn
    documents: NDArray[np.int64]
    """Numbers of the documents to use: the rest is held out."""
    pairing: Pairing
    frame: Frame
    fingerprint: str
    sizes: Sizes | None = None
    """From the tokens of texts in their frames to those of examples, where a decoder is given some too."""

    def plan(self, budget: Budget, key: Key, shuffle: bool = True) -> Plan:
        """Walk the documents; see ``Pairing``."""
        columns = self.pairing(self.column, self.documents, key)
        lengths = columns[:, 1] - columns[:, 0] + columns[:, 3] - columns[:, 2] + self.pairing.special
        if self.sizes is not None:
            lengths = self.sizes(lengths)
        return Plan.make(columns, lengths, budget, key if shuffle else None)

    def identity(self) -> str:
        """Return the content, the rule and the documents."""
        documents = hashlib.sha256(np.ascontiguousarray(self.documents).data).hexdigest()
        return f"{self.fingerprint} {self.pairing} {documents}" + (f" {self.sizes}" if self.sizes else "")

    def sample(self, plan: Plan, number: int) -> Sample:
        """Read the spans of one example."""
        a, a_end, b, b_end, label = plan.columns[number].tolist()
        spans = ((a, a_end), (b, b_end))[: self.pairing.texts]
        texts = [(self.column.ids(*span), self.column.starts_word(*span)) for span in spans]
        sample = Sample.of(texts, self.frame, number, label)
        starts = np.zeros(len(sample.ids), dtype=np.bool_)
        starts[~sample.special] = np.concatenate([self.column.starts_sentence(*span) for span in spans])
        return replace(sample, starts_sentence=starts)


@dataclass(frozen=True)
class RowsSource:
    """Labelled rows, already tokenised.  Example numbers are row numbers."""

    rows: Sequence[tuple[Sequence[int], ...]]
    """One or two lists of ids a row, cut to length."""
    labels: NDArray[np.float64]
    """(rows,): class numbers or values; (rows, C) where a row has several labels."""
    frame: Frame
    fingerprint: str

    def plan(self, budget: Budget, key: Key, shuffle: bool = True) -> Plan:
        """Each row once."""
        columns = np.arange(len(self.rows)).reshape(-1, 1)
        return Plan.make(columns, self.lengths(), budget, key if shuffle else None)

    def lengths(self) -> NDArray[np.int64]:
        """Return (rows,): the tokens of each, special ones included."""
        special = {texts: self.frame.special(texts) for texts in (1, 2)}
        return np.array([special[len(row)] + sum(map(len, row)) for row in self.rows], dtype=np.int64)

    def identity(self) -> str:
        """Return the content."""
        return self.fingerprint

    def sample(self, plan: Plan, number: int) -> Sample:
        """Join one row's parts."""
        parts = [np.asarray(part, dtype=np.int64) for part in self.rows[number]]
        texts = [(ids, np.ones(len(ids), dtype=np.bool_)) for ids in parts]
        label = self.labels[number]
        return Sample.of(texts, self.frame, number, label if self.labels.ndim > 1 else float(label))


def cut_pair(first: list[int], second: list[int] | None, room: int) -> tuple[list[int], ...]:
    """Cut a text or a pair to ``room`` tokens, special ones not counted, from the end of the longer part.

    What is left is as even as the parts allow, which is what Hugging Face calls longest-first: an odd token goes to the
    longer part, and of two equal ones to the second.
    """
    if second is None:
        return (first[:room],)
    excess = len(first) + len(second) - room
    if excess <= 0:
        return first, second
    shorter = min(len(first), len(second))
    if 2 * shorter <= room:
        keep_first = len(first) if len(first) <= len(second) else room - shorter
    else:
        keep_first = room - room // 2 if len(first) > len(second) else room // 2
    return first[:keep_first], second[: room - keep_first]


def tokenise_rows(tokenizer: Tokenizer, rows: Sequence[tuple[str, ...]], length: int) -> list[tuple[list[int], ...]]:
    """Tokenise texts or pairs of texts, each cut so that it has ``length`` tokens within the tokenizer's frame.

    No more of a text is read than ``length`` tokens need, so of two texts that are both longer, neither counts as the longer.
    ConfigError for a length that the frame's special pieces fill alone, and for pairs where there is no frame of them.
    """
    texts = max(map(len, rows), default=1)
    if not tokenizer.frame.around(texts):
        raise ConfigError(
            "a pair of texts cannot be laid out for this tokenizer: it has no frame for two texts, only for one"
        )
    check_room(length, tokenizer.frame.special(texts), texts)
    firsts = tokenizer.encode_batch_truncated([row[0] for row in rows], length)
    pairs = [row[1] for row in rows if len(row) > 1]
    seconds = iter(tokenizer.encode_batch_truncated(pairs, length) if pairs else [])
    return [
        cut_pair(first, next(seconds) if len(row) > 1 else None, length - tokenizer.frame.special(len(row)))
        for first, row in zip(firsts, rows, strict=True)
    ]
