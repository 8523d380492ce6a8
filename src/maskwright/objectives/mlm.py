"""Masked language model: which tokens were hidden?

Of the tokens of a sequence a share is chosen; of these 80 % become [MASK], 10 % a random token, 10 % stay, and all of them are
predicted.  Devlin et al. 2019, section 3.1 and appendix A.1, https://arxiv.org/abs/1810.04805
What is chosen together (tokens, words, spans, n-grams, entities) is in ``objectives.units``.
Needs: any family with a masked LM head; for words of Chinese a corpus built with --language zh.   Relatives: nsp, sbo.

As in BERT's published code, the number chosen is round(rate x length), special tokens counted, at least one.  Deliberate
difference: a random token is never a special one (there, [MASK] or [PAD] may come up).
"""

from __future__ import annotations

import hashlib
from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path
from typing import Literal

import numpy as np
from numpy.typing import NDArray
from pydantic import Field
from torch import Tensor

from maskwright.config import Config
from maskwright.data.batch import Batch, Sample
from maskwright.errors import ConfigError
from maskwright.keys import Key
from maskwright.model import Model
from maskwright.objective import Loss, Objective, Pass, picked
from maskwright.objectives.gazetteer import Gazetteer
from maskwright.objectives.units import Entities, Spans, Tokens, Unit, WholeWords, geometric, harmonic
from maskwright.text.tokenizer import Tokenizer

__all__ = ["HideTokens", "Mlm", "MlmConfig"]

_ONLY = {"p": ("span",), "longest": ("span", "ngram"), "gazetteer": ("entity",)}
"""Options that mean something for these units alone."""


class MlmConfig(Config):
    """What is hidden, and how."""

    rate: float = Field(0.15, gt=0, lt=1)
    """Share of the tokens that are predicted."""
    mask_share: float = Field(0.8, ge=0, le=1)
    """Of these, the share replaced by [MASK]."""
    random_share: float = Field(0.1, ge=0, le=1)
    """Of these, the share replaced by a random token; the rest stays."""
    unit: Literal["token", "word", "span", "ngram", "entity"] = "token"
    """What is chosen: single tokens, whole words, spans of words (SpanBERT), n-grams of words (ALBERT), entities (ERNIE)."""
    p: float | None = Field(None, gt=0, lt=1)
    """With unit span: of the geometric distribution of a span's words; default 0.2."""
    longest: int | None = Field(None, ge=1, le=100)
    """With unit span or ngram: most words in one; default 10 for spans, 3 for n-grams."""
    gazetteer: Path | None = None
    """With unit entity: a text file with one entity a line; what is no entity is hidden by words."""
    static: bool = False
    """Hide the same places of the same sequence in every epoch; default: fresh ones."""


@dataclass(frozen=True)
class HideTokens:
    """Hides tokens of a sample and adds the target ``mlm``: their places and what they were.

    Between [MASK], a random token and the token itself, one choice is made for each token; for spans, one for all of a span.
    """

    config: MlmConfig
    mask_id: int
    ordinary: NDArray[np.int64]
    """Ids that a random replacement is drawn from: all but the special ones."""
    gazetteer: Gazetteer | None = None
    """For unit entity."""

    @cached_property
    def _unit(self) -> Unit:
        config = self.config
        if config.unit == "entity":
            assert self.gazetteer is not None
            return Entities(self.gazetteer)
        if config.unit == "span":
            return Spans(geometric(config.p or 0.2, config.longest or 10))
        if config.unit == "ngram":
            return Spans(harmonic(config.longest or 3))
        return Tokens() if config.unit == "token" else WholeWords()

    def __call__(self, sample: Sample, key: Key) -> Sample:
        """Return the sample with some ids changed; ids that are not chosen never change, nor do special tokens."""
        config = self.config
        if config.static:  # by what stands there: an example's number may mean other text in the next epoch
            key = Key(key.seed, 0, _content(sample.ids))
        draw = key.stream("mlm.hide")
        places, unit = self._unit(sample, max(1, round(len(sample.ids) * config.rate)), draw)
        labels = sample.ids[places]
        kind = draw.uniforms(len(places))
        if config.unit == "span":
            kind = kind[unit]
        other = self.ordinary[draw.integers(len(self.ordinary), len(places))]
        masked, mixed = kind < config.mask_share, kind < config.mask_share + config.random_share
        ids = sample.ids.copy()
        ids[places] = np.where(masked, self.mask_id, np.where(mixed, other, labels))
        return replace(sample, ids=ids, targets={**sample.targets, "mlm": (places, labels)})


def _content(ids: NDArray[np.int64]) -> int:
    return int.from_bytes(hashlib.blake2b(np.ascontiguousarray(ids).data, digest_size=8).digest(), "little")


class Mlm(Objective):
    """Cross-entropy over the vocabulary at the chosen places only.

    forward: hidden_TD (T, D) and the M targets ``mlm`` -> one part, summed over them.
    """

    name = "mlm"
    heads = ("mlm",)
    Config = MlmConfig

    def __init__(self, config: MlmConfig) -> None:
        super().__init__()
        if config.mask_share + config.random_share > 1:
            raise ConfigError(
                f"objective.mlm: mask_share {config.mask_share} and random_share {config.random_share} make more than 1"
            )
        for name, units in _ONLY.items():
            if (value := getattr(config, name)) is not None and config.unit not in units:
                raise ConfigError(
                    f"objective.mlm.{name}: {value} means nothing for unit {config.unit}, only for {' and '.join(units)}: "
                    f"leave it out, or give --objective.mlm.unit {units[0]}"
                )
        if config.unit == "entity" and config.gazetteer is None:
            raise ConfigError(
                "objective.mlm.gazetteer: unit entity needs a list of entities, a text file with one a line: "
                "give --objective.mlm.gazetteer FILE"
            )
        self.config, self.share = config, config.rate
        self._gazetteers: dict[str, Gazetteer] = {}

    def stage(self, model: Model) -> HideTokens:
        """Return the masking step for this model's vocabulary; reads the gazetteer where there is one."""
        tokenizer = model.tokenizer
        ordinary = np.setdiff1d(np.arange(tokenizer.vocab_size), sorted(tokenizer.special_ids))
        return HideTokens(self.config, tokenizer.mask_id, ordinary, self._gazetteer(tokenizer))

    def _gazetteer(self, tokenizer: Tokenizer) -> Gazetteer | None:
        if self.config.gazetteer is None:
            return None
        known = self._gazetteers
        if tokenizer.fingerprint not in known:
            known[tokenizer.fingerprint] = Gazetteer.read(self.config.gazetteer, tokenizer)
        return known[tokenizer.fingerprint]

    def reads(self, model: Model, batch: Batch) -> list[Tensor] | None:
        """Return the chosen places."""
        return [batch.targets["mlm"].rows]

    def forward(self, run: Pass) -> Loss:
        """Return the part ``mlm``."""
        target = run.batch.targets["mlm"]
        return {"mlm": picked(run.model.head("mlm")(run.hidden_TD[target.rows]), target.labels, target.count)}
