"""Bidirectional language model: which word comes next, and which came before?

One language model reads each sentence forward and another backward; they share how words are read and the softmax, and
nothing else.  Peters et al. 2018, sections 3.1 and 3.4, https://arxiv.org/abs/1802.05365; details as in bilm-tf.
Needs: a corpus of a vocabulary of words (``tokenizer train --kind words``); a family with a ``bilm`` head that reads characters
(elmo).   Relatives: causal.

    S = - Σ_t log p(w_t | w_1 … w_{t-1})   forward        - Σ_t log p(w_t | w_{t+1} … w_n)   backward

Read is the spelling of every word, as the text has it; predicted is its class in the vocabulary, where all words outside it are
one class.  ``<S>`` and ``</S>`` stand around a sentence and are the last thing that is predicted, backward and forward.
The loss is the mean of the two parts, as in bilm-tf (the paper has the sum).  Deliberate differences: each sentence begins
anew, as ``encode`` reads it, where bilm-tf carries the state over to whichever sentence comes next; sentences of any length
share a batch, where it unrolls 20 words of each of 128 streams; both directions share a draw of candidates.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import torch.nn.functional as F
from pydantic import Field

from maskwright.config import Config
from maskwright.data.batch import Sample
from maskwright.data.pairs import Sentences
from maskwright.errors import ConfigError
from maskwright.keys import Key
from maskwright.model import Model
from maskwright.nn.dropout import next_key
from maskwright.objective import Loss, Objective, Pass, picked
from maskwright.objectives.candidates import Candidates, sampled
from maskwright.text.special import Frame
from maskwright.text.vocabulary import Spellings

__all__ = ["Bilm", "BilmConfig", "SpellWords"]


class BilmConfig(Config):
    """How much of the vocabulary is scored."""

    samples: int = Field(8192, ge=0)
    """Words drawn for each batch of training, scored beside the right ones; 0, or a vocabulary of no more words: all are."""


@dataclass(frozen=True)
class SpellWords:
    """Turns pieces into the characters of their words, and adds the targets ``forward`` and ``backward``."""

    spellings: Spellings

    def __call__(self, sample: Sample, key: Key) -> Sample:
        """Return the sample, a word a place; nothing is drawn."""
        begins = self.spellings.begins(sample.ids)
        words, places = sample.ids[begins], np.arange(len(begins))
        spelt = replace(
            sample,
            ids=self.spellings.spell(sample.ids),
            segments=sample.segments[begins],
            special=sample.special[begins],
            starts_word=np.ones(len(begins), dtype=np.bool_),
            starts_sentence=None if sample.starts_sentence is None else sample.starts_sentence[begins],
        )
        return spelt.with_target("forward", places[:-1], words[1:]).with_target("backward", places[1:], words[:-1])


class Bilm(Objective):
    """Cross-entropy over the words at every place that has a next one, and at every place that has one before.

    forward: hidden_TD (T, D), one half for each direction, and the M targets of each -> the parts ``forward`` and ``backward``.
    """

    name = "bilm"
    heads = ("bilm",)
    decoder = False
    Config = BilmConfig

    def __init__(self, config: BilmConfig) -> None:
        super().__init__()
        self.config = config
        self._spellings: dict[str, Spellings] = {}

    @property
    def parts(self) -> tuple[str, ...]:
        """A direction each."""
        return ("forward", "backward")

    def prepare(self, model: Model) -> None:
        """Give the model a head of as many words as its vocabulary has; ConfigError for a model that cannot learn this."""
        if reason := self.misfit(model.family, model.spec):
            raise ConfigError(f"objective {self.name}: {reason}")
        words = model.stored.words
        model.add_head("bilm", words)
        # An estimate of memory counts rows of the spec's vocabulary, which are characters here.
        self.share = 2 * (self.config.samples if self._draws(words) else words) / model.spec.vocabulary

    def pairing(self, length: int, short_rate: float, frame: Frame) -> Sentences:
        """Return the rule of single sentences."""
        return Sentences(length, frame.special(1))

    def stage(self, model: Model) -> SpellWords:
        """Return the step that spells words out and sets the targets."""
        words = model.stored
        if words.fingerprint not in self._spellings:
            self._spellings[words.fingerprint] = Spellings.of(words)
        return SpellWords(self._spellings[words.fingerprint])

    def forward(self, run: Pass) -> Loss:
        """Return the parts ``forward`` and ``backward``, each of weight 1/2."""
        head: Any = run.model.head("bilm")
        drawn = None
        if self.training and self._draws(len(head.bias)):
            stream = Key(next_key()).stream("bilm.candidates")
            drawn = Candidates.of(stream, self.config.samples, len(head.bias), run.model.device)
        loss: Loss = {}
        for half, name in enumerate(self.parts):
            target = run.batch.targets[name]
            states_MP = head.dropout(run.hidden_TD[target.rows].chunk(2, -1)[half])
            if drawn is None:
                part = picked(F.linear(states_MP, head.weight, head.bias), target.labels, target.count)
            else:
                part = sampled(states_MP, head.weight, head.bias, target.labels, target.count, drawn)
            loss[name] = replace(part, weight=0.5)
        return loss

    def _draws(self, words: int) -> bool:
        return 0 < self.config.samples < words
