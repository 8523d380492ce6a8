"""What is known of a run's masking before its first step: what it really hides, and whether the corpus has the words for it."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

from maskwright.corpus.health import Finding
from maskwright.corpus.script import foreign_letters
from maskwright.data.batch import Sample, Stage
from maskwright.data.loader import Loader
from maskwright.keys import Key
from maskwright.objectives.gazetteer import Gazetteer
from maskwright.objectives.measure import measure
from maskwright.objectives.mlm import HideTokens
from maskwright.train.setup import Pretraining

__all__ = ["gazetteers_of", "masking_findings", "masking_of"]

_MEASURED = 100_000
"""Tokens on which a masking is measured."""
_WITHOUT_SPACES = ("CJK", "HIRAGANA", "KATAKANA")
"""Scripts, by the first words of Unicode's names, that do not part their words."""


def masking_of(parts: Pretraining, loader: Loader) -> dict[str, Any]:
    """Return what the masking of a run hides, measured on its first examples; empty for objectives that hide no tokens."""
    samples = list(_first_samples(loader))
    found = measure(samples, parts.model.tokenizer.roles.get("mask", -1))
    for gazetteer in gazetteers_of(loader.collator.stages)[:1] if found else ():
        places = sum(len(gazetteer.find(one.ids, one.starts_word, one.special)) for one, _ in samples)
        found["gazetteer"] = {**gazetteer.counts, "found": places}
    return found


def gazetteers_of(stages: Sequence[Stage]) -> list[Gazetteer]:
    """Return the lists of entities that a chain of collation goes by."""
    return [stage.gazetteer for stage in _hiding(stages) if stage.gazetteer is not None]


def masking_findings(parts: Pretraining) -> list[Finding]:
    """Say where whole words are asked for and the corpus knows none: Chinese built without its words."""
    units = [stage.config.unit for stage in _hiding(parts.collator().stages) if stage.config.unit != "token"]
    if not units or parts.corpus.manifest.word_rule == "rjieba":
        return []
    _, script = foreign_letters(parts.corpus) or (0.0, "")
    if script not in _WITHOUT_SPACES:
        return []
    return [
        Finding(
            "words of one character",
            "warning",
            f"unit {units[0]}, on text mostly in {script} letters, in a corpus that stores no words of it",
            "every Chinese character counts as a word, so that units of words hide single characters",
            "build the corpus with --language zh, which finds the words of Chinese",
        )
    ]


def _hiding(stages: Sequence[Stage]) -> list[HideTokens]:
    """The stages that hide tokens; some objectives hold one inside their own."""
    inner = [getattr(stage, "hide", stage) for stage in stages]
    return [stage for stage in inner if isinstance(stage, HideTokens)]


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
