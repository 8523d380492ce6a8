"""Span corruption: which tokens stood where the sentinels stand?

T5's objective: spans of a text are taken out, each leaves a sentinel, and the output is the sentinels with what each stands
for.  Raffel et al. 2020, section 3.1.4, https://arxiv.org/abs/1910.10683; the lengths and places are drawn as its published
code draws them (``random_spans_noise_mask``).
Needs: any text; an encoder-decoder with an ``lm`` head; a tokenizer with sentinels <extra_id_0>, <extra_id_1>, …
Relatives: denoise, mlm.

    text     Thank you for inviting me to your party last week
    input    Thank you <extra_id_0> me to your party last <extra_id_1> </s>
    output   <extra_id_0> for inviting <extra_id_1> week </s>

Of n tokens round(n x density) are taken out, at least 1 and at most n - 1, in round(that / mean length) spans, at least 1; how
they fall into spans, and the rest into what stands between, is drawn so that every way is equally likely.  A text begins with
a kept piece and ends with a span, as there.  Deliberate difference: the text of an example has the configured length before
spans are taken out of it, where they make it longer so that the input has that length afterwards.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
import torch
from numpy.typing import NDArray
from pydantic import Field
from torch import Tensor

from maskwright.config import Config
from maskwright.data.batch import Sample
from maskwright.data.pairs import Chunks
from maskwright.errors import ConfigError, InputError
from maskwright.keys import Key, Stream
from maskwright.model import Model
from maskwright.objective import Loss, Objective, Pass
from maskwright.objectives.output import Rewriting, next_pieces
from maskwright.text.special import Frame
from maskwright.text.tokenizer import Tokenizer

__all__ = ["SpanSizes", "Spans", "SpansConfig", "TakeOut", "amounts", "noise_of", "sentinels_of"]


class SpansConfig(Config):
    """What is taken out."""

    density: float = Field(0.15, gt=0, lt=1)
    """Share of the tokens that are taken out."""
    mean_length: float = Field(3.0, ge=1)
    """Mean tokens of a span."""
    sentinel: str = "<extra_id_{}>"
    """What sentinels are called, {} for their numbers from 0; BERT's vocabularies have [unused{}]."""


def amounts(config: SpansConfig, lengths: NDArray[np.int64]) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Texts of so many tokens -> how many tokens are taken out of each, in how many spans; a single token is taken out."""
    taken = np.clip(np.rint(lengths * config.density).astype(np.int64), 1, np.maximum(1, lengths - 1))
    spans = np.maximum(1, np.rint(taken / config.mean_length).astype(np.int64))
    # As many kept pieces as spans: none can be empty.
    return taken, np.maximum(1, np.minimum(spans, lengths - taken))


def _parts(total: int, count: int, draw: Stream) -> NDArray[np.int64]:
    """Cut ``total`` into ``count`` parts of at least 1, every way equally likely."""
    cuts = 1 + np.sort(draw.order(total - 1)[: count - 1])
    return np.diff(cuts, prepend=0, append=total)


def noise_of(config: SpansConfig, length: int, draw: Stream) -> NDArray[np.int64]:
    """Return the lengths of what is kept and what is taken out in turn, beginning with a kept piece: they add up to length."""
    (taken,), (spans,) = (each.tolist() for each in amounts(config, np.array([length])))
    if taken == length:
        return np.array([0, length])
    noise, kept = _parts(taken, spans, draw), _parts(length - taken, spans, draw)
    return np.stack([kept, noise], axis=1).ravel()


@dataclass(frozen=True)
class SpanSizes:
    """Tokens of an example, those of its output counted too."""

    config: SpansConfig
    special: int

    def __call__(self, lengths: NDArray[np.int64]) -> NDArray[np.int64]:
        """(E,) tokens of the texts within their frames -> (E,) tokens of inputs and outputs."""
        texts = lengths - self.special
        _, spans = amounts(self.config, texts)
        return texts + 2 * spans + 2 * self.special


@dataclass(frozen=True)
class TakeOut:
    """Takes spans out of a sample's text and makes them the decoder's."""

    config: SpansConfig
    sentinels: NDArray[np.int64]
    rewrite: Rewriting

    def __call__(self, sample: Sample, key: Key) -> Sample:
        """Return the sample with its decoder part.  InputError where there are more spans than sentinels."""
        text = sample.ids[~sample.special]
        turns = noise_of(self.config, len(text), key.stream("spans.noise"))
        spans = len(turns) // 2
        if spans > len(self.sentinels):
            raise InputError(
                f"objective spans: {spans} spans in a text of {len(text)} tokens, and the tokenizer has {len(self.sentinels)} "
                f"sentinels {self.config.sentinel.format('…')}; lower the length or the density, or raise mean_length"
            )
        pieces = np.split(text, np.cumsum(turns)[:-1])
        sentinels = np.split(self.sentinels[:spans], spans)
        read = [each for kept, sentinel in zip(pieces[::2], sentinels, strict=True) for each in (kept, sentinel)]
        written = [each for sentinel, taken in zip(sentinels, pieces[1::2], strict=True) for each in (sentinel, taken)]
        return self.rewrite(sample, np.concatenate(read), np.concatenate(written))


def sentinels_of(tokenizer: Tokenizer, name: str) -> NDArray[np.int64]:
    """Return the ids of a tokenizer's sentinels in the order of their numbers.  ConfigError where it has none."""
    if name.count("{}") != 1:
        raise ConfigError(
            f"objective.spans.sentinel: {name!r} has no place {{}} for the number; T5's is '<extra_id_{{}}>'"
        )
    pieces = {piece: number for number, piece in enumerate(tokenizer.pieces(range(tokenizer.vocab_size)))}
    found: list[int] = []
    while (number := pieces.get(name.format(len(found)))) is not None:
        found.append(number)
    if not found:
        raise ConfigError(
            f"objective spans: the tokenizer has no piece {name.format(0)!r}. T5's has 100 of them; BERT's vocabularies have "
            "[unused0], so --objective.spans.sentinel '[unused{}]'; a new one gets them by "
            "maskwright tokenizer train --sentinels 100"
        )
    return np.array(found, dtype=np.int64)


class Spans(Objective):
    """Cross-entropy over the vocabulary at every place of the output.

    forward: hidden_TD (T, D) of the decoder and its M targets ``spans`` -> one part, summed over them.
    """

    name = "spans"
    heads = ("lm",)
    decoder = True
    share = 0.2
    marks = True
    Config = SpansConfig

    def __init__(self, config: SpansConfig) -> None:
        super().__init__()
        self.config = config
        self._marks: Tensor | None = None

    def pairing(self, length: int, short_rate: float, frame: Frame) -> Chunks:
        """Return the rule of chunks."""
        return Chunks(length, frame.special(1))

    def sizes(self, frame: Frame) -> SpanSizes:
        """Return the rule of sizes."""
        return SpanSizes(self.config, frame.special(1))

    def stage(self, model: Model) -> TakeOut:
        """Return the step that takes spans out."""
        sentinels = sentinels_of(model.tokenizer, self.config.sentinel)
        return TakeOut(self.config, sentinels, Rewriting.of(self.name, model))

    def forward(self, run: Pass) -> Loss:
        """Return the part ``spans``; its usual answer is the next mark: a sentinel, or a piece of the frame."""
        assert run.batch.decoder is not None
        if self._marks is None:
            tokenizer = run.model.tokenizer
            marks = {*tokenizer.special_ids, *sentinels_of(tokenizer, self.config.sentinel).tolist()}
            self._marks = torch.tensor(sorted(marks), device=run.model.device)
        part = next_pieces(run, self.name, run.batch.decoder)[self.name]
        marked = torch.isin(run.batch.decoder.targets[self.name].labels, self._marks)
        return {self.name: replace(part, usual=marked.sum())}
