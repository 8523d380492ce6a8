"""Denoising: what was the text before it was damaged?

BART's objective: the input is damaged by noises, the output is the whole text.  Lewis et al. 2020, section 2.2,
https://arxiv.org/abs/1910.13461
Needs: text in sentences for their permutation; an encoder-decoder with an ``lm`` head; a [MASK] for masking and infilling.
Relatives: spans, mlm.

    infilling   spans of Poisson-drawn length, each replaced by one [MASK]; a span of no token puts a [MASK] in
    sentences   the sentences in random order
    masking     tokens replaced by [MASK]
    deletion    tokens left out
    rotation    the text begins at a random token and its beginning follows its end

The last three are the paper's other noises; noises act in the order sentences, rotation, deletion, masking, infilling.  The
paper's models are trained with infilling and sentences, which is the default.  Of n tokens round(n x rate) are hidden or left
out by each noise that has a rate; the last span of an infilling is cut to that number.  Deliberate differences from the
published code: two spans never touch, and no more [MASK]s are put in than make the input as long as the text.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from pydantic import Field, field_validator

from maskwright.config import Config
from maskwright.data.batch import Sample
from maskwright.errors import did_you_mean
from maskwright.keys import Key, Stream
from maskwright.model import Model
from maskwright.objective import Loss, Objective, Pass
from maskwright.objectives.output import Rewriting, next_pieces
from maskwright.text.special import Frame

__all__ = ["NOISES", "Damage", "Denoise", "DenoiseConfig", "DoubleSizes", "cut", "lay", "poisson"]

Ids = NDArray[np.int64]


class DenoiseConfig(Config):
    """How the text is damaged."""

    noises: str = "sentences,infilling"
    """Names of the noises, with commas: infilling, sentences, masking, deletion, rotation."""
    rate: float = Field(0.3, gt=0, lt=1)
    """Share of the tokens that infilling, masking and deletion each hide or leave out."""
    mean_length: float = Field(3.0, ge=1, le=50)
    """λ, the mean of the Poisson distribution that lengths of infilled spans are drawn from."""

    @field_validator("noises")
    @classmethod
    def _known(cls, noises: str) -> str:
        names = [name.strip() for name in noises.split(",")]
        for name in names:
            if name not in NOISES:
                raise ValueError(f"there is no noise {name!r}.{did_you_mean(name, NOISES)} Known: {', '.join(NOISES)}")
        if len(set(names)) < len(names):
            raise ValueError("each noise is named once")
        return noises


def poisson(mean: float, count: int, draw: Stream, least: int = 0) -> Ids:
    """Draw ``count`` numbers from a Poisson distribution, by the inverse of its cumulative shares.

    least: 1 leaves out the zeros, so that the mean is mean / (1 - exp(-mean)).
    """
    terms = np.arange(1, 64 + int(8 * mean))
    shares = np.exp(-mean + np.append(0.0, np.cumsum(np.log(mean / terms)))).cumsum()
    below = shares[least - 1] if least else 0.0
    return np.searchsorted(shares, below + (1 - below) * draw.uniforms(count), side="right").astype(np.int64)


def cut(lengths: Ids, wanted: int) -> Ids:
    """Return the first lengths that add up to ``wanted``, the last of them cut, or all where they do not reach it."""
    ends = np.cumsum(lengths)
    used = int(np.searchsorted(ends, wanted)) + 1
    lengths = lengths[:used].copy()
    if ends[-1] >= wanted:
        lengths[-1] -= ends[used - 1] - wanted
    return lengths


def lay(lengths: Ids, count: int, draw: Stream) -> tuple[Ids, Ids]:
    """Lay spans of these lengths among ``count`` tokens, none touching another; every way is equally likely.

    Returns (S,) kept tokens before each span, and its length: where there are more spans than places, the last ones are one.
    """
    kept = count - int(lengths.sum())
    if len(lengths) > kept + 1:
        lengths = np.append(lengths[:kept], lengths[kept:].sum())
    places = np.sort(draw.order(kept + 1)[: len(lengths)])
    return np.diff(places, prepend=0), lengths


@dataclass(frozen=True)
class _Text:
    """A text on its way through the noises."""

    ids: Ids
    starts: NDArray[np.bool_]
    """Which tokens begin a sentence."""


def _wanted(config: DenoiseConfig, count: int) -> int:
    return min(count, max(1, round(count * config.rate)))


def _sentences(text: _Text, config: DenoiseConfig, mask_id: int, draw: Stream) -> _Text:
    begins = np.unique(np.append(0, np.flatnonzero(text.starts)))
    parts = np.split(np.arange(len(text.ids)), begins[1:])
    at = np.concatenate([parts[number] for number in draw.order(len(parts))])
    return _Text(text.ids[at], text.starts[at])


def _rotation(text: _Text, config: DenoiseConfig, mask_id: int, draw: Stream) -> _Text:
    at = np.roll(np.arange(len(text.ids)), -draw.below(len(text.ids)))
    return _Text(text.ids[at], text.starts[at])


def _deletion(text: _Text, config: DenoiseConfig, mask_id: int, draw: Stream) -> _Text:
    count = len(text.ids)
    kept = np.sort(draw.order(count)[min(_wanted(config, count), count - 1) :])  # an input of nothing has no places
    return _Text(text.ids[kept], text.starts[kept])


def _masking(text: _Text, config: DenoiseConfig, mask_id: int, draw: Stream) -> _Text:
    ids = text.ids.copy()
    ids[draw.order(len(ids))[: _wanted(config, len(ids))]] = mask_id
    return _Text(ids, text.starts)


def _infilling(text: _Text, config: DenoiseConfig, mask_id: int, draw: Stream) -> _Text:
    count = len(text.ids)
    wanted = _wanted(config, count)
    lengths = cut(poisson(config.mean_length, wanted, draw), wanted)
    # What is put in must not make the input longer than the text: its places may all be taken.
    put_in, room = np.flatnonzero(lengths == 0), int((lengths - 1).clip(0).sum())
    lengths = np.delete(lengths, put_in[room:])
    if not len(lengths):
        lengths = np.ones(1, dtype=np.int64)
    before, lengths = lay(lengths, count, draw)
    ids: list[Ids] = []
    at = 0
    for length, gap in zip(lengths.tolist(), before.tolist(), strict=True):
        ids += [text.ids[at : at + gap], np.array([mask_id])]
        at += gap + length
    joined = np.concatenate([*ids, text.ids[at:]])
    return _Text(joined, np.zeros(len(joined), dtype=np.bool_))


NOISES: Mapping[str, Callable[[_Text, DenoiseConfig, int, Stream], _Text]] = {
    "sentences": _sentences,
    "rotation": _rotation,
    "deletion": _deletion,
    "masking": _masking,
    "infilling": _infilling,
}
"""In the order in which they act."""
_WITH_MASK = ("masking", "infilling")


@dataclass(frozen=True)
class DoubleSizes:
    """Tokens of an example: its output has as many as the text, its input at most."""

    def __call__(self, lengths: Ids) -> Ids:
        """(E,) tokens of the texts within their frames -> (E,) the most that inputs and outputs have."""
        return 2 * lengths


@dataclass(frozen=True)
class Damage:
    """Damages a sample's text and makes the whole one the decoder's."""

    config: DenoiseConfig
    mask_id: int
    rewrite: Rewriting

    def __call__(self, sample: Sample, key: Key) -> Sample:
        """Return the sample with its decoder part."""
        inside = ~sample.special
        whole = sample.ids[inside]
        starts = (
            np.zeros(len(whole), dtype=np.bool_) if sample.starts_sentence is None else sample.starts_sentence[inside]
        )
        text = _Text(whole, starts)
        chosen = {name.strip() for name in self.config.noises.split(",")}
        for name, noise in NOISES.items():
            if name in chosen:
                text = noise(text, self.config, self.mask_id, key.stream(f"denoise.{name}"))
        return self.rewrite(sample, text.ids, whole)


class Denoise(Objective):
    """Cross-entropy over the vocabulary at every place of the whole text.

    forward: hidden_TD (T, D) of the decoder and its M targets ``denoise`` -> one part, summed over them.
    """

    name = "denoise"
    heads = ("lm",)
    decoder = True
    share = 0.6
    Config = DenoiseConfig

    def __init__(self, config: DenoiseConfig) -> None:
        super().__init__()
        self.config = config

    def sizes(self, frame: Frame) -> DoubleSizes:
        """Return the rule of sizes."""
        return DoubleSizes()

    def stage(self, model: Model) -> Damage:
        """Return the damaging step."""
        needs_mask = any(name in self.config.noises for name in _WITH_MASK)
        mask_id = model.tokenizer.mask_id if needs_mask else -1
        return Damage(self.config, mask_id, Rewriting.of(self.name, model))

    def forward(self, run: Pass) -> Loss:
        """Return the part ``denoise``."""
        assert run.batch.decoder is not None
        return next_pieces(run, self.name, run.batch.decoder)
