"""Texts in, texts out: prompts that a language model continues, or sources that an encoder-decoder turns into targets."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

import torch
from pydantic import Field

from maskwright.config import Config
from maskwright.errors import ConfigError, InputError
from maskwright.families.seq2seq import Seq2SeqNet
from maskwright.keys import Key
from maskwright.model import Model
from maskwright.writing.beam import search
from maskwright.writing.decoder import Decoder
from maskwright.writing.draw import Line, drawn, follow, likeliest

__all__ = ["BeamConfig", "DrawConfig", "GreedyConfig", "WritingConfig", "Written", "generate"]


@dataclass(frozen=True)
class Written:
    """One output."""

    text: str
    ids: tuple[int, ...]
    """Its tokens, without the one that ends it."""
    log_probability: float
    """Sum over its tokens, in nats, under the model as it is: no temperature, nothing left out."""
    ended: bool
    """Whether the model ended it, or the limit did."""


class WritingConfig(Config):
    """What all ways of writing share."""

    most: int = Field(64, ge=1)
    """Tokens to write at most."""


class GreedyConfig(WritingConfig):
    """The likeliest token every time."""

    method: Literal["greedy"] = "greedy"


class DrawConfig(WritingConfig):
    """Tokens drawn by their probabilities."""

    method: Literal["draw"] = "draw"
    outputs: int = Field(1, ge=1)
    """Outputs of each text."""
    temperature: float = Field(1.0, gt=0)
    """What scores are divided by first: below 1 bolder, above 1 more varied."""
    top_k: int | None = Field(None, ge=1)
    """Draw from so many of the likeliest tokens."""
    top_p: float = Field(1.0, gt=0, le=1)
    """Draw from the fewest likeliest tokens whose probabilities make this much."""
    seed: int = Field(0, ge=0)
    """The same seed draws the same, whatever else is in the batch."""


class BeamConfig(WritingConfig):
    """The best of several continuations followed side by side."""

    method: Literal["beam"] = "beam"
    beams: int = Field(4, ge=1)
    """Continuations that are followed."""
    outputs: int = Field(1, ge=1)
    """Outputs of each text, the best first; at most as many as beams."""
    length_penalty: float = 1.0
    """Log-probabilities are divided by length to this power: 0 favours short outputs, above 1 long ones."""


@torch.no_grad()
def generate(
    model: Model,
    texts: Sequence[str],
    config: GreedyConfig | DrawConfig | BeamConfig | None = None,
    *,
    together: int = 32,
) -> list[list[Written]]:
    """Return the outputs of each text, the best first; greedily unless ``config`` says otherwise.

    A language model continues the text; an encoder-decoder reads it and writes another.  together: texts in a batch, those of
    like lengths; it changes no output beyond rounding.

    Raises ConfigError for a model without an ``lm`` head, InputError for an empty text or one that leaves no room.
    """
    config = config or GreedyConfig()
    if isinstance(config, BeamConfig) and config.outputs > config.beams:
        raise ConfigError(f"outputs: {config.outputs} of {config.beams} beams; follow at least as many beams")
    prompts = [_prompt(model, text, number) for number, text in enumerate(texts, 1)]
    was_training = model.training
    model.eval()
    try:
        lines: dict[int, list[Line]] = {}
        order = sorted(range(len(prompts)), key=lambda number: len(prompts[number]))
        for first in range(0, len(order), together):
            numbers = order[first : first + together]
            lines |= dict(zip(numbers, _lines(model, prompts, numbers, config), strict=True))
    finally:
        model.train(was_training)
    decode = model.tokenizer.decode
    return [
        [Written(decode(ids), tuple(ids), total, ended) for ids, total, ended in lines[number]]
        for number in range(len(prompts))
    ]


def _lines(
    model: Model, prompts: list[list[int]], numbers: list[int], config: GreedyConfig | DrawConfig | BeamConfig
) -> list[list[Line]]:
    """The outputs of the prompts of these numbers."""
    decoder = Decoder(model, [prompts[number] for number in numbers])
    ends = _ends(model)
    # The last token that is written need not be read again, so one more than there is room for fits.
    most = min(config.most, decoder.room + 1)
    if isinstance(config, BeamConfig):
        return search(
            decoder, beams=config.beams, best=config.outputs, penalty=config.length_penalty, most=most, ends=ends
        )
    if isinstance(config, GreedyConfig):
        return [[line] for line in follow(decoder, likeliest, most=most, ends=ends)]
    count = config.outputs
    decoder.choose(torch.arange(len(numbers), device=model.device).repeat_interleave(count))
    keys = [Key(config.seed, output).at(number) for number in numbers for output in range(count)]
    pick = drawn(keys, temperature=config.temperature, top_k=config.top_k, top_p=config.top_p)
    lines = follow(decoder, pick, most=most, ends=ends)
    return [lines[first : first + count] for first in range(0, len(lines), count)]


def _prompt(model: Model, text: str, number: int) -> list[int]:
    """A text's ids with the special pieces that the tokenizer lays around it; an open end for a language model."""
    tokenizer = model.tokenizer
    ids = tokenizer.encode(text)
    frame = tokenizer.frame.single
    if not isinstance(model.net, Seq2SeqNet):  # what stands behind the text would end it
        frame = frame[: next(place for place, at in enumerate(frame) if at.id is None) + 1]
    prompt = [token for at in frame for token in (ids if at.id is None else [at.id])]
    if not prompt and "bos" in tokenizer.roles:
        prompt = [tokenizer.bos_id]
    if not prompt:
        raise InputError(f"text {number} is empty, and this tokenizer has no piece that texts begin with")
    room = model.longest - (0 if isinstance(model.net, Seq2SeqNet) else 1)
    if len(prompt) > room:
        raise InputError(
            f"text {number} has {len(prompt):,} tokens; this model reads {room:,}"
            f"{'' if isinstance(model.net, Seq2SeqNet) else ' and must have room to write'}: shorten it"
        )
    return prompt


def _ends(model: Model) -> tuple[int, ...]:
    """The pieces that end an output."""
    tokenizer = model.tokenizer
    return tuple({getattr(tokenizer, f"{role}_id") for role in ("eos", "sep") if role in tokenizer.roles})
