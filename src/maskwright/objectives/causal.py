"""Causal language model: what is the next token?

Radford et al. 2018, section 3.1, https://cdn.openai.com/research-covers/language-unsupervised/language_understanding_paper.pdf
Needs: any text; a family with an ``lm`` head whose tokens look back only (gpt, gpt2).   Relatives: mlm, denoise.

A document is cut into chunks of the full length, wherever that falls; a chunk begins with the last token of the one before, so
that every token of a document but its first is predicted once.  Chunks of several documents share a batch and see nothing of
each other.  Where a document ends, its last token has to predict the end: the frame's own end piece, or the tokenizer's ``eos``
where the frame has none; where it goes on, an end piece of the frame is not predicted.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from maskwright.config import Config
from maskwright.data.batch import Sample
from maskwright.data.pairs import ENDS, Chunks
from maskwright.keys import Key
from maskwright.model import Model
from maskwright.objective import Loss, Objective, Pass
from maskwright.objectives.output import next_pieces
from maskwright.text.special import Frame

__all__ = ["Causal", "CausalConfig", "NextTokens"]


class CausalConfig(Config):
    """Nothing can be set."""


@dataclass(frozen=True)
class NextTokens:
    """Adds the target ``causal``: each place's next token."""

    eos_id: int | None
    """What follows the last token of a document, where the frame has no end piece; None where nothing is to follow."""

    def __call__(self, sample: Sample, key: Key) -> Sample:
        """Return the sample with its targets; nothing is drawn."""
        count = len(sample.ids)
        behind = count - 1 - int(np.flatnonzero(~sample.special)[-1])
        labels = sample.ids[1:]
        if sample.label != ENDS:
            labels = labels[: len(labels) - behind]
        elif not behind and self.eos_id is not None:
            labels = np.append(labels, self.eos_id)
        return sample.with_target("causal", np.arange(len(labels)), labels)


class Causal(Objective):
    """Cross-entropy over the vocabulary at every place that has a next token.

    forward: hidden_TD (T, D) and the M targets ``causal`` -> one part, summed over them.
    """

    name = "causal"
    heads = ("lm",)
    decoder = False
    share = 1.0
    Config = CausalConfig

    def __init__(self, config: CausalConfig) -> None:
        super().__init__()
        self.config = config

    def pairing(self, length: int, short_rate: float, frame: Frame) -> Chunks:
        """Return the rule of chunks that overlap by a token."""
        return Chunks(length, frame.special(1), overlap=1)

    def stage(self, model: Model) -> NextTokens:
        """Return the step that sets the targets."""
        return NextTokens(model.tokenizer.roles.get("eos"))

    def forward(self, run: Pass) -> Loss:
        """Return the part ``causal``."""
        return next_pieces(run, "causal", run.batch)
