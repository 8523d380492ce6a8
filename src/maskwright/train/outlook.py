"""What can be known before the first step: faults of the corpus, what has to be beaten, and what the run will take."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from maskwright.corpus.health import Finding, findings
from maskwright.data.batch import Sample, Stage
from maskwright.data.loader import Loader
from maskwright.evaluation.pretraining import Reference
from maskwright.keys import Key
from maskwright.objectives.gazetteer import Gazetteer
from maskwright.objectives.measure import measure
from maskwright.objectives.mlm import HideTokens, Mlm
from maskwright.train.estimate import Estimate, estimate, remarks
from maskwright.train.setup import Pretraining
from maskwright.train.watch import Baselines, baselines

__all__ = ["Outlook", "estimate_of", "gazetteers_of", "look_ahead", "masking_of"]

_MEASURED = 100_000
"""Tokens on which a masking is measured."""


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
        rate=next((member.config.rate for member in parts.objective.members if isinstance(member, Mlm)), 0.0),
    )


def look_ahead(parts: Pretraining, loader: Loader, reference: Reference, taken: Estimate) -> Outlook:
    """Add to an estimate what has to be beaten, and what is odd about the corpus and the run."""
    pairs = parts.pairs
    held = parts.heldout_plan()[1].columns if len(parts.held_documents) else np.zeros((0, 5), dtype=np.int64)
    return Outlook(
        baselines(reference, parts.model.tokenizer.vocab_size, loader.full_plan().columns, held, pairs=pairs),
        taken,
        [*findings(parts.corpus, parts.column, length=parts.config.length, pairs=pairs), *remarks(taken)],
        masking_of(loader, parts.model.tokenizer.roles.get("mask", -1)),
    )


def masking_of(loader: Loader, mask_id: int) -> dict[str, Any]:
    """Return what the masking of a run hides, measured on its first examples; empty for objectives that hide no tokens."""
    samples = list(_first_samples(loader))
    found = measure(samples, mask_id)
    for gazetteer in gazetteers_of(loader.collator.stages)[:1] if found else ():
        places = sum(len(gazetteer.find(one.ids, one.starts_word, one.special)) for one, _ in samples)
        found["gazetteer"] = {**gazetteer.counts, "found": places}
    return found


def gazetteers_of(stages: Sequence[Stage]) -> list[Gazetteer]:
    """Return the lists of entities that a chain of collation goes by."""
    hiding = [getattr(stage, "hide", stage) for stage in stages]  # rtd and sbo hold one
    return [stage.gazetteer for stage in hiding if isinstance(stage, HideTokens) and stage.gazetteer is not None]


def _first_samples(loader: Loader) -> Iterator[tuple[Sample, Sample]]:
    """Yield examples before and after their collation, as the first epoch will see them."""
    plan, key, tokens = loader.full_plan(), Key(loader.seed), 0
    for number in plan.order:
        before = after = loader.source.sample(plan, int(number))
        for stage in loader.collator.stages:
            after = stage(after, key.at(before.number))
        yield before, after
        tokens += len(before.ids)
        if tokens >= _MEASURED:
            return
