"""What can be known before the first step: faults of the corpus, what has to be beaten, and what the run will take."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np

from maskwright.corpus.health import Finding, findings
from maskwright.data.loader import Loader
from maskwright.evaluation.pretraining import PAIR_TITLES, TOKEN_TITLES, Reference
from maskwright.train.estimate import Estimate, estimate, remarks
from maskwright.train.masking import masking_findings, masking_of
from maskwright.train.setup import Pretraining
from maskwright.train.watch import Baselines, baselines

__all__ = ["Outlook", "estimate_of", "look_ahead"]


@dataclass(frozen=True)
class Outlook:
    """A run as it looks before its first step."""

    baselines: Baselines
    estimate: Estimate
    findings: list[Finding]
    masking: Mapping[str, Any] = field(default_factory=dict)
    """What ``masking_of`` found."""


def estimate_of(parts: Pretraining, loader: Loader, steps: int, times: Sequence[float] = ()) -> Estimate:
    """Estimate a run of ``steps`` steps; times: seconds of some timed steps."""
    config = parts.config
    return estimate(
        parts.model,
        parts.objective,
        config.train,
        loader.full_plan(),
        steps=steps,
        length=config.length,
        micro_tokens=loader.micro_tokens or config.length,
        folder=config.out,
        times=times,
        rate=max(member.share for member in parts.objective.members),
    )


def look_ahead(parts: Pretraining, loader: Loader, reference: Reference, taken: Estimate) -> Outlook:
    """Add to an estimate what has to be beaten, and what is odd about the corpus and the run."""
    pairs = parts.pairs
    held = parts.heldout_plan()[1].columns if len(parts.held_documents) else np.zeros((0, 5), dtype=np.int64)
    odd = findings(parts.corpus, parts.column, length=parts.config.length, pairs=pairs)
    found = baselines(reference, parts.model.tokenizer.vocab_size, loader.full_plan().columns, held, pairs=pairs)
    titles = [
        next((names[part] for part in parts.objective.parts if part in names), None)
        for names in (TOKEN_TITLES, PAIR_TITLES)
    ]
    return Outlook(
        replace(found, token_task=titles[0], pair_task=titles[1] or found.pair_task),
        taken,
        [*odd, *masking_findings(parts), *remarks(taken)],
        masking_of(parts, loader),
    )
