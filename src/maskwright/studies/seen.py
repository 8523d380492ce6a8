"""Which documents of a corpus a model may have seen in its pre-training, and which of them a probe learns from and scores.

The rule is that of pre-training itself: a seed and a share say which documents are held out.  A model that was pre-trained here
carries both in its folder, so that what is scored is what it never saw.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from maskwright.corpus.store import Corpus
from maskwright.errors import InputError
from maskwright.model import Model
from maskwright.train.setup import held_out

__all__ = ["Documents", "documents_of", "history_of"]


@dataclass(frozen=True)
class Documents:
    """Numbers of documents of a corpus, from 0, rising."""

    learn: NDArray[np.int64]
    """What fresh heads learn from."""
    scored: NDArray[np.int64]
    """What all heads are scored on: none of ``learn``."""
    seen: str
    """In a sentence, which of them the model may have seen."""


def history_of(model: Model, corpus: Corpus) -> Mapping[str, Any]:
    """Return what the model's folder says of its pre-training, where that was on this corpus; else nothing."""
    history: Mapping[str, Any] = model.card.provenance.get("pretrained", {})
    return history if history.get("corpus") == corpus.fingerprint else {}


def documents_of(model: Model, corpus: Corpus, share: float, seed: int) -> Documents:
    """Choose the documents: as the model's pre-training did where it was on this corpus, else by share and seed.

    InputError for a corpus of fewer than four documents.
    """
    here = history_of(model, corpus)
    if here.get("held_out"):
        share, seed = here["held_out"], here["seed"]
    learn, scored = held_out(corpus.tokens(model.tokenizer).documents, share, seed)
    if not len(scored):
        raise InputError(
            f"probe: {corpus.folder} has {corpus.documents:,} documents, and held out are {share:g} of them: at least two are "
            "needed to learn from and two to score. Take a corpus of more documents, or hold out more"
        )
    return Documents(
        learn, scored, _seen(model.card.provenance.get("pretrained", {}), bool(here), len(learn), len(scored))
    )


def _seen(history: Mapping[str, Any], here: bool, learn: int, scored: int) -> str:
    if not history:
        return (
            "The folder does not say what the model was pre-trained on: it may have seen any of the "
            f"{learn + scored:,} documents."
        )
    if not here:
        return (
            f"The model was pre-trained on another corpus ({str(history.get('corpus'))[:16]}): whether that holds any of these "
            f"{learn + scored:,} documents is not known."
        )
    if "held_out" not in history:
        return (
            f"The model was pre-trained on this corpus, and its folder does not say what was held out: it may have seen any of "
            f"the {learn + scored:,} documents."
        )
    if not history["held_out"]:
        return f"The model was pre-trained on all {learn + scored:,} documents, the scored ones too: scores flatter."
    start = history.get("start")
    before = f" It went on from {start}, whose text is not known." if start else ""
    return (
        f"The model was pre-trained on the {learn:,} documents that fresh heads learn from, and on none of the {scored:,} "
        f"scored.{before}"
    )
