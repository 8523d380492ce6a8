"""Which words of some texts have a vector, and texts that are none."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field

from maskwright.errors import InputError

__all__ = ["Coverage", "checked"]


def checked(texts: Sequence[str]) -> Sequence[str]:
    """Return the texts; InputError where they are one string or hold anything but strings."""
    if isinstance(texts, str):
        raise InputError("encode: texts is one string; give a list of texts: encode([text])")
    for row, text in enumerate(texts):
        if not isinstance(text, str):
            raise InputError(f"encode: texts[{row}] is a {type(text).__name__}, not a string")
    return texts


@dataclass
class Coverage:
    """What became of the words of some texts: words = known + composed + unknown."""

    texts: int = 0
    words: int = 0
    known: int = 0
    """Found in the vocabulary."""
    composed: int = 0
    """Put together from n-grams."""
    empty: int = 0
    """Texts without any vector; theirs is zero."""
    missing: Counter[str] = field(default_factory=Counter)
    """The unknown words, with how often each came."""

    @property
    def unknown(self) -> int:
        """Words without a vector."""
        return self.words - self.known - self.composed
