"""Masked language model: which tokens were hidden?

Of the tokens of a sequence a share is chosen; of these 80 % become [MASK], 10 % a random token, 10 % stay, and all of them are
predicted.  Fresh choices every epoch.  Devlin et al. 2019, section 3.1 and appendix A.1, https://arxiv.org/abs/1810.04805
Whole words: all pieces of a word are chosen or none, as in the 2019 update of BERT's own code.
Needs: any family with a masked LM head.   Relatives: nsp.

As in BERT's published code, the number chosen is round(rate x length), special tokens counted, at least one.  Deliberate
difference: a random token is never a special one (there, [MASK] or [PAD] may come up).
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

import numpy as np
import torch.nn.functional as F
from numpy.typing import NDArray
from pydantic import Field

from maskwright.config import Config
from maskwright.data.batch import IGNORED, Sample
from maskwright.errors import ConfigError
from maskwright.keys import Key
from maskwright.model import Model
from maskwright.objective import Loss, Objective, Part, Pass

__all__ = ["HideTokens", "Mlm", "MlmConfig"]


class MlmConfig(Config):
    """What is hidden, and how."""

    rate: float = Field(0.15, gt=0, lt=1)
    """Share of the tokens that are predicted."""
    mask_share: float = Field(0.8, ge=0, le=1)
    """Of these, the share replaced by [MASK]."""
    random_share: float = Field(0.1, ge=0, le=1)
    """Of these, the share replaced by a random token; the rest stays."""
    unit: Literal["token", "word"] = "token"
    """What is chosen: single tokens, or whole words."""


@dataclass(frozen=True)
class HideTokens:
    """Hides tokens of a sample and adds the target ``mlm``: their places and what they were."""

    config: MlmConfig
    mask_id: int
    ordinary: NDArray[np.int64]
    """Ids that a random replacement is drawn from: all but the special ones."""

    def __call__(self, sample: Sample, key: Key) -> Sample:
        """Return the sample with some ids changed; ids that are not chosen never change, nor do special tokens."""
        draw = key.stream("mlm.hide")
        candidates = np.flatnonzero(~sample.special)
        wanted = max(1, round(len(sample.ids) * self.config.rate))
        if self.config.unit == "token":
            chosen = np.sort(candidates[draw.order(len(candidates))[:wanted]])
        else:
            chosen = _whole_words(candidates, sample.starts_word[candidates], wanted, draw.order)
        labels = sample.ids[chosen]
        kind, other = draw.uniforms(len(chosen)), self.ordinary[draw.integers(len(self.ordinary), len(chosen))]
        masked, mixed = kind < self.config.mask_share, kind < self.config.mask_share + self.config.random_share
        ids = sample.ids.copy()
        ids[chosen] = np.where(masked, self.mask_id, np.where(mixed, other, labels))
        changed = Sample(
            ids, sample.segments, sample.special, sample.starts_word, sample.number, sample.label, sample.targets
        )
        return changed.with_target("mlm", chosen, labels)


def _whole_words(candidates: NDArray[np.int64], starts: NDArray[np.bool_], wanted: int, order) -> NDArray[np.int64]:  # type: ignore[no-untyped-def]
    """Take words in random order while they fit; a word that would go over the number is passed over."""
    begins = np.flatnonzero(starts | (np.arange(len(candidates)) == 0) | (np.diff(candidates, prepend=-9) > 1))
    sizes = np.diff(begins, append=len(candidates))
    chosen: list[NDArray[np.int64]] = []
    left = wanted
    for word in order(len(begins)):
        if sizes[word] <= left:
            chosen.append(candidates[begins[word] : begins[word] + sizes[word]])
            left -= sizes[word]
            if not left:
                break
    if not chosen and len(begins):  # one word longer than the number: better that word than no target
        chosen.append(candidates[:wanted])
    return np.sort(np.concatenate(chosen)) if chosen else candidates[:0]


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
        self.config = config

    def stage(self, model: Model) -> HideTokens:
        """Return the masking step for this model's vocabulary."""
        tokenizer = model.tokenizer
        ordinary = np.setdiff1d(np.arange(tokenizer.vocab_size), sorted(tokenizer.special_ids))
        return HideTokens(self.config, tokenizer.mask_id, ordinary)

    def forward(self, run: Pass) -> Loss:
        """Return the part ``mlm``."""
        target = run.batch.targets["mlm"]
        logits_MV = run.model.head("mlm")(run.hidden_TD[target.rows]).float()
        loss = F.cross_entropy(logits_MV, target.labels, reduction="sum", ignore_index=IGNORED)
        # max, not argmax: on the CPU it is several times faster over a whole vocabulary.
        hits = (logits_MV.detach().max(-1).indices == target.labels).sum()
        return {"mlm": Part(loss, target.count, hits=hits)}
