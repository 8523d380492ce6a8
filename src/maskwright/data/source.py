"""Where samples come from: a corpus with a pairing rule, or labelled rows."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from maskwright.corpus.store import TokenColumn
from maskwright.data.batch import Sample
from maskwright.data.pairs import Pairing
from maskwright.data.plan import Budget, Plan
from maskwright.errors import ConfigError
from maskwright.keys import Key
from maskwright.text.tokenizer import Tokenizer

__all__ = ["CorpusSource", "RowsSource", "Source", "cut_pair", "tokenise_rows"]


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
    cls_id: int
    sep_id: int
    fingerprint: str

    def plan(self, budget: Budget, key: Key, shuffle: bool = True) -> Plan:
        """Walk the documents; see ``Pairing``."""
        columns = self.pairing(self.column, self.documents, key)
        lengths = columns[:, 1] - columns[:, 0] + columns[:, 3] - columns[:, 2] + self.pairing.special
        return Plan.make(columns, lengths, budget, key if shuffle else None)

    def identity(self) -> str:
        """Return the content, the rule and the documents."""
        documents = hashlib.sha256(np.ascontiguousarray(self.documents).data).hexdigest()
        return f"{self.fingerprint} {self.pairing} {documents}"

    def sample(self, plan: Plan, number: int) -> Sample:
        """Read the spans of one example."""
        a, a_end, b, b_end, label = plan.columns[number].tolist()
        segments = [(self.column.ids(a, a_end), self.column.starts_word(a, a_end))]
        if self.pairing.special == 3:
            segments.append((self.column.ids(b, b_end), self.column.starts_word(b, b_end)))
        return Sample.of(segments, self.cls_id, self.sep_id, number, label)


@dataclass(frozen=True)
class RowsSource:
    """Labelled rows, already tokenised.  Example numbers are row numbers."""

    rows: Sequence[tuple[Sequence[int], ...]]
    """One or two lists of ids a row, cut to length."""
    labels: NDArray[np.float64]
    """(rows,): class numbers or values; (rows, C) where a row has several labels."""
    cls_id: int
    sep_id: int
    fingerprint: str

    def plan(self, budget: Budget, key: Key, shuffle: bool = True) -> Plan:
        """Each row once."""
        lengths = np.array([1 + sum(len(part) + 1 for part in row) for row in self.rows], dtype=np.int64)
        return Plan.make(np.arange(len(self.rows)).reshape(-1, 1), lengths, budget, key if shuffle else None)

    def identity(self) -> str:
        """Return the content."""
        return self.fingerprint

    def sample(self, plan: Plan, number: int) -> Sample:
        """Join one row's parts."""
        parts = [np.asarray(part, dtype=np.int64) for part in self.rows[number]]
        segments = [(ids, np.ones(len(ids), dtype=np.bool_)) for ids in parts]
        return Sample.of(segments, self.cls_id, self.sep_id, number, self.labels[number])


def cut_pair(first: list[int], second: list[int] | None, length: int) -> tuple[list[int], ...]:
    """Cut a text or a pair to ``length`` tokens with its special ones, from the end of the longer part.

    What is left is as even as the parts allow, which is what Hugging Face calls longest-first: an odd token goes to the
    longer part, and of two equal ones to the second.
    """
    if second is None:
        return (first[: length - 2],)
    room = length - 3
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
    """Tokenise texts or pairs of texts, each cut to ``length`` tokens with its special ones.

    ConfigError for a tokenizer whose special pieces stand elsewhere than BERT's: its model never saw texts joined that way.
    No more of a text is read than ``length`` tokens need, so of two texts that are both longer, neither counts as the longer.
    """
    texts = max((len(row) for row in rows), default=1)
    frame = tokenizer.frame.single if texts == 1 else tokenizer.frame.pair
    if [place.id for place in frame] != [tokenizer.cls_id, *[None, tokenizer.sep_id] * texts]:
        raise ConfigError(
            f"{'a pair of texts' if texts == 2 else 'a text'} cannot be laid out for this tokenizer yet: its special pieces "
            "stand elsewhere than BERT's ([CLS] text [SEP], with [CLS] text [SEP] text [SEP] for pairs)"
        )
    firsts = tokenizer.encode_batch_truncated([row[0] for row in rows], length)
    seconds = iter(tokenizer.encode_batch_truncated([row[1] for row in rows if len(row) > 1], length))
    return [
        cut_pair(first, next(seconds) if len(row) > 1 else None, length)
        for first, row in zip(firsts, rows, strict=True)
    ]
