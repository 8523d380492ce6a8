"""The words of a text as 64-bit hashes, and runs of successive words: what copies of a text have in common.

Case and punctuation do not count.  Hashes come from BLAKE2b, so they are the same in every process.
"""

from __future__ import annotations

import hashlib
import re

import numpy as np
from numpy.typing import NDArray

from maskwright.text.table import scramble

__all__ = ["WORD", "WordHashes", "lowered", "runs"]

# A run of letters and digits is a word; scripts written without spaces have one word a character.
_UNSPACED = r"\u3040-\u30ff\u3400-\u9fff\uf900-\ufaff"
WORD = re.compile(rf"[{_UNSPACED}]|[^\W{_UNSPACED}]+")

MAX_WORDS = 1 << 18
"""Words remembered."""


def lowered(text: str) -> str:
    """Return the text in lower case, as long as it was: the one letter that becomes two does not here."""
    return text.replace("\u0130", "i").lower()


class WordHashes:
    """Hashes words, and remembers those it has met."""

    def __init__(self) -> None:
        self._known: dict[str, int] = {}

    def __call__(self, text: str) -> NDArray[np.uint64]:
        """Return the hash of each word of ``text``, in order."""
        words, known = WORD.findall(lowered(text)), self._known
        for word in set(words).difference(known):
            known[word] = int.from_bytes(hashlib.blake2b(word.encode("utf-8", "replace"), digest_size=8).digest())
        hashes = np.fromiter(map(known.__getitem__, words), np.uint64, len(words))
        if len(known) > MAX_WORDS:
            known.clear()
        return hashes


def runs(hashes: NDArray[np.uint64], size: int) -> NDArray[np.uint64]:
    """Return one hash for each ``size`` successive words; none where there are fewer."""
    count = max(0, len(hashes) - size + 1)
    mixed = np.zeros(count, np.uint64)
    for place in range(size):
        mixed = scramble(mixed + hashes[place : place + count])
    return mixed
