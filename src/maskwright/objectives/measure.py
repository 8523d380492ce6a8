"""What a masking really hides, measured on samples before and after it."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

import numpy as np

from maskwright.data.batch import Sample
from maskwright.objectives.units import Words

__all__ = ["Hidden", "measure"]


@dataclass
class Hidden:
    """Counts over samples.  A span is a stretch of hidden tokens side by side, whichever units they were chosen in."""

    examples: int = 0
    tokens: int = 0
    """Special ones included, as in the rate."""
    hidden: int = 0
    masked: int = 0
    """Shown as [MASK]."""
    kept: int = 0
    """Shown as they are; a random token that happens to be the right one among them."""
    spans: int = 0
    words: int = 0
    """With a hidden token."""
    partly: int = 0
    """Of these, words with a token that is not hidden."""

    def add(self, before: Sample, after: Sample, mask_id: int) -> None:
        """Count one sample, by its target ``mlm``."""
        places, _ = after.targets["mlm"]
        self.examples += 1
        self.tokens += len(before.ids)
        self.hidden += len(places)
        self.masked += int((after.ids[places] == mask_id).sum())
        self.kept += int((after.ids[places] == before.ids[places]).sum())
        words = Words.of(before.special, before.starts_word)
        chosen = np.zeros(len(before.ids) + 1, dtype=np.int64)
        chosen[places] = 1
        self.spans += int((np.diff(chosen, prepend=0) > 0).sum())
        before_T = np.append(0, chosen.cumsum())
        here = before_T[words.begins_W + words.sizes_W] - before_T[words.begins_W]
        self.words += int((here > 0).sum())
        self.partly += int(((here > 0) & (here < words.sizes_W)).sum())

    def facts(self) -> dict[str, Any]:
        """Return examples, tokens, and what follows from the counts: shares from 0 to 1, mean lengths; JSON-ready."""
        hidden, spans = max(1, self.hidden), max(1, self.spans)
        return {
            "examples": self.examples,
            "tokens": self.tokens,
            "hidden": self.hidden / max(1, self.tokens),
            "masked": self.masked / hidden,
            "random": (self.hidden - self.masked - self.kept) / hidden,
            "kept": self.kept / hidden,
            "span_tokens": self.hidden / spans,
            "span_words": self.words / spans,
            "words_partly": self.partly / max(1, self.words),
        }


def measure(samples: Iterable[tuple[Sample, Sample]], mask_id: int) -> dict[str, Any]:
    """Return ``Hidden.facts`` of (before, after) pairs; those without the target ``mlm`` do not count, {} without any."""
    found = Hidden()
    for before, after in samples:
        if "mlm" in after.targets:
            found.add(before, after, mask_id)
    return found.facts() if found.examples else {}
