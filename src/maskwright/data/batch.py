"""What a model and an objective receive: tokens laid end to end, and where the targets are.

Also ``Sample``, one sequence on its way there.  Collation is a chain of stages, each a small picklable object that turns a
sample into a sample (one hides tokens, one adds a label), ended by laying the samples end to end.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from itertools import pairwise
from typing import Protocol

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from maskwright.keys import Key
from maskwright.nn.layout import Layout, Ragged, Read, moved
from maskwright.nn.vocabulary import IGNORED
from maskwright.text.special import Frame
from maskwright.text.tokenizer import Tokenizer

__all__ = ["IGNORED", "Batch", "Collator", "Sample", "Stage", "Target", "lay_rows"]


@dataclass(frozen=True)
class Target:
    """What one objective has to predict in a batch."""

    rows: Tensor
    """(M,) int64: rows of hidden_TD to predict from."""
    labels: Tensor
    """(M,) int64 classes or float32 values; IGNORED where a row only fills up.  (M, C) where a row has several labels."""
    count: int
    """Valid targets: M less the rows that fill up."""


@dataclass(frozen=True)
class Batch:
    """Sequences laid end to end."""

    ids_T: Tensor
    """(T,) int64; (T, C) where tokens are words and ids the characters they are spelt with, here and in ``Sample``."""
    positions_T: Tensor
    """(T,) int64, from 0 in each sequence."""
    segments_T: Tensor
    """(T,) int64."""
    layout: Layout
    targets: Mapping[str, Target] = field(default_factory=dict)
    examples: tuple[int, ...] = ()
    """Numbers of the examples in their source, to name a batch that went wrong."""
    decoder: Batch | None = None
    """What a decoder is given beside: as many sequences, with targets of their own."""
    read: Read | None = None
    """The tokens whose last hidden state is read; None: all."""

    def asking(self, rows: Sequence[Tensor] | None) -> Batch:
        """Return the same batch of which only these rows of the last hidden state are read, (M,) int64 each; None: all."""
        if rows is None or not isinstance(self.layout, Ragged):
            return self if self.read is None else replace(self, read=None)
        return replace(self, read=Read.of(self.layout, rows))

    @property
    def tokens(self) -> int:
        """Tokens that belong to a sequence, the decoder's too."""
        own = self.layout.tokens if isinstance(self.layout, Ragged) else len(self.ids_T)
        return own + (self.decoder.tokens if self.decoder else 0)

    @property
    def counts(self) -> dict[str, int]:
        """Name -> valid targets, the decoder's too."""
        own = {name: target.count for name, target in self.targets.items()}
        return own | (self.decoder.counts if self.decoder else {})

    def to(self, device: torch.device | str) -> Batch:
        """Return the same batch on another device."""
        if torch.device(device).type == self.ids_T.device.type == "cpu":
            return self
        return replace(
            self,
            ids_T=moved(self.ids_T, device),
            positions_T=moved(self.positions_T, device),
            segments_T=moved(self.segments_T, device),
            layout=self.layout.to(device),
            targets={
                name: replace(target, rows=moved(target.rows, device), labels=moved(target.labels, device))
                for name, target in self.targets.items()
            },
            decoder=self.decoder and self.decoder.to(device),
            read=self.read and self.read.to(device),
        )


@dataclass(frozen=True)
class Sample:
    """One sequence with its special tokens."""

    ids: NDArray[np.int64]
    segments: NDArray[np.int64]
    special: NDArray[np.bool_]
    """True for the pieces that the frame put there: [CLS], [SEP] and the like."""
    starts_word: NDArray[np.bool_]
    number: int
    """Which example of its source this is."""
    label: float | NDArray[np.float64] = 0
    """Of the sequence: a class, a value, or for a pair 0 (the second segment follows) or 1 (it is from elsewhere); (C,) where
    it has several."""
    targets: Mapping[str, tuple[NDArray[np.int64], NDArray[np.generic]]] = field(default_factory=dict)
    """Objective -> (places in the sequence, labels)."""
    starts_sentence: NDArray[np.bool_] | None = None
    """Which tokens begin a sentence, where that is known."""
    decoder: Sample | None = None
    """What a decoder is given beside, with targets of its own."""

    @classmethod
    def of(
        cls,
        texts: Sequence[tuple[NDArray[np.generic], NDArray[np.bool_]]],
        frame: Frame,
        number: int,
        label: float | NDArray[np.float64] = 0,
    ) -> Sample:
        """Lay one or two texts, each (ids, starts_word), in the tokenizer's frame."""
        length = frame.special(len(texts)) + sum(len(ids) for ids, _ in texts)
        ids_all = np.empty((length, *texts[0][0].shape[1:]), dtype=np.int64)
        which = np.empty(length, dtype=np.int64)
        special, starts = np.ones(length, dtype=np.bool_), np.ones(length, dtype=np.bool_)
        at = 0
        for place in frame.around(len(texts)):
            end = at + (len(texts[place.text][0]) if place.id is None else 1)
            which[at:end] = place.segment
            if place.id is None:
                ids_all[at:end], starts[at:end] = texts[place.text]
                special[at:end] = False
            else:
                ids_all[at] = place.id
            at = end
        return cls(ids_all, which, special, starts, number, label)

    def with_target(self, name: str, places: NDArray[np.int64], labels: NDArray[np.generic]) -> Sample:
        """Return the sample with one more objective's targets."""
        return replace(self, targets={**self.targets, name: (places, labels)})


class Stage(Protocol):
    """One step of collation.  Runs in loader workers: small, picklable, no torch module; all randomness from the key."""

    def __call__(self, sample: Sample, key: Key) -> Sample:
        """Return the sample changed or labelled."""
        ...


@dataclass(frozen=True)
class Collator:
    """Samples through the stages, then end to end into a batch."""

    stages: tuple[Stage, ...]
    pad_id: int
    round_tokens: int = 64
    """T is rounded up to a multiple of this: matrix kernels are prepared once a shape, and new shapes cost milliseconds."""
    round_targets: int = 16
    """Likewise M, for objectives that predict from single tokens."""

    @classmethod
    def of(cls, stages: Sequence[Stage], tokenizer: Tokenizer) -> Collator:
        """Return the chain for a tokenizer; one without padding fills up with the id 0, which no sequence sees."""
        return cls(tuple(stages), tokenizer.roles.get("pad", 0))

    def __call__(self, samples: Sequence[Sample], key: Key) -> Batch:
        """Make one batch; ``key`` holds the seed and the epoch, each sample's number completes it."""
        for stage in self.stages:
            samples = [stage(sample, key.at(sample.number)) for sample in samples]
        batch = self._laid(samples)
        decoders = [sample.decoder for sample in samples if sample.decoder is not None]
        if not decoders:
            return batch
        assert len(decoders) == len(samples), "some samples have a decoder part and some have none"
        return replace(batch, decoder=self._laid(decoders))

    def _laid(self, samples: Sequence[Sample]) -> Batch:
        lengths = [len(sample.ids) for sample in samples]
        total = _round_up(sum(lengths), self.round_tokens)
        ids = np.full((total, *samples[0].ids.shape[1:]), self.pad_id, dtype=np.int64)
        segments = np.zeros(total, dtype=np.int64)
        begins = np.cumsum([0, *lengths])
        for sample, begin, end in zip(samples, begins, begins[1:], strict=False):
            ids[begin:end], segments[begin:end] = sample.ids, sample.segments
        targets = {name: self._join(name, samples, begins) for name in samples[0].targets}
        return _batch(ids, segments, lengths, tuple(sample.number for sample in samples), targets)

    def _join(self, name: str, samples: Sequence[Sample], begins: NDArray[np.int64]) -> Target:
        pairs = [sample.targets[name] for sample in samples]
        rows = np.concatenate([places + begin for (places, _), begin in zip(pairs, begins, strict=False)])
        labels = np.concatenate([labels for _, labels in pairs])
        count = len(rows)
        if labels.dtype == np.int64 and count > len(samples):
            extra = _round_up(count, self.round_targets) - count
            rows = np.concatenate([rows, np.zeros(extra, dtype=np.int64)])
            labels = np.concatenate([labels, np.full(extra, IGNORED)])
        return Target(torch.from_numpy(rows), torch.from_numpy(labels), count)


def lay_rows(
    rows: Sequence[tuple[Sequence[int], ...]], numbers: Sequence[int], frame: Frame, pad_id: int, total: int
) -> Batch:
    """Lay some of the rows, each one or two lists of ids, end to end in their frames: what is read and not learnt from.

    total: T, at least the tokens that there are; ``pad_id`` fills up.
    """
    ids: list[int] = []
    segments: list[int] = []
    ends = [0]
    for number in numbers:
        row = rows[number]
        for place in frame.around(len(row)):
            part = row[place.text] if place.id is None else (place.id,)
            ids.extend(part)
            segments.extend([place.segment] * len(part))
        ends.append(len(ids))
    first = np.array(ids, dtype=np.int64)  # (T, C) of words that are spelt out
    ids_T = np.full((total, *first.shape[1:]), pad_id, dtype=np.int64)
    ids_T[: len(first)] = first
    segments_T = np.zeros(total, dtype=np.int64)
    segments_T[: len(first)] = segments
    lengths = [end - begin for begin, end in pairwise(ends)]
    return _batch(ids_T, segments_T, lengths, tuple(numbers), {})


def _batch(
    ids_T: NDArray[np.int64],
    segments_T: NDArray[np.int64],
    lengths: list[int],
    examples: tuple[int, ...],
    targets: Mapping[str, Target],
) -> Batch:
    layout = Ragged.of(lengths, len(ids_T))
    ranks_T = np.arange(len(ids_T)) - layout.cu.numpy()[layout.row.numpy()]
    ranks_T[layout.tokens :] = 0
    tokens = torch.from_numpy(ids_T), torch.from_numpy(ranks_T), torch.from_numpy(segments_T)
    return Batch(*tokens, layout, targets, examples)


def _round_up(number: int, multiple: int) -> int:
    return -(-number // multiple) * multiple
