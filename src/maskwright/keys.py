"""Stateless randomness: every random choice is a pure function of what it is for.

A ``Key`` names a choice by (seed, epoch, sample); ``key.stream("mlm.mask")`` is an endless stream of 64-bit words for one
purpose of that choice.  Nothing is shared and nothing advances, so the data of step 9,000 does not depend on who drew what
before it: not on the number of loader workers, of ranks, or on where a run was resumed.

The encoding, frozen as version 1 (a change to it changes every run, so it would be version 2):

    generator   Philox4x64-10 (Salmon et al. 2011, https://doi.org/10.1145/2063384.2063405)
    key         word 0: seed              word 1: first 8 bytes, little-endian, of BLAKE2b(purpose as UTF-8)
    counter     word 0: block, from 1     word 1: sample     word 2: epoch     word 3: version (1)

Uniform numbers are the top 53 bits times 2^-53, integers below n are floor(uniform * n), orders are the stable argsort of
raw words.  These are spelled out here because a library may change how it draws them; the raw words it may not.
"""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from functools import lru_cache

import numpy as np
from numpy.typing import NDArray

__all__ = ["Key", "Stream", "mix"]

VERSION = 1
_MASK = (1 << 64) - 1


@lru_cache(maxsize=1024)
def _purpose_word(purpose: str) -> int:
    return int.from_bytes(hashlib.blake2b(purpose.encode("utf-8"), digest_size=8).digest(), "little")


class Stream:
    """The random words of one key and one purpose; calls on the same stream continue it."""

    def __init__(self, seed: int, purpose: str, sample: int, epoch: int) -> None:
        counter = np.array([0, sample & _MASK, epoch & _MASK, VERSION], dtype=np.uint64)
        key = np.array([seed & _MASK, _purpose_word(purpose)], dtype=np.uint64)
        self._bits = np.random.Philox(counter=counter, key=key)

    def words(self, count: int) -> NDArray[np.uint64]:
        """Return the next ``count`` raw 64-bit words."""
        return self._bits.random_raw(count)

    def uniforms(self, count: int) -> NDArray[np.float64]:
        """Return ``count`` numbers in [0, 1)."""
        return np.asarray((self.words(count) >> np.uint64(11)) * 2.0**-53, dtype=np.float64)

    def uniform(self) -> float:
        """Return one number in [0, 1)."""
        return (int(self._bits.random_raw()) >> 11) * 2.0**-53

    def below(self, bound: int) -> int:
        """Return one integer in [0, bound)."""
        return int(self.uniform() * bound)

    def integers(self, bound: int, count: int) -> NDArray[np.int64]:
        """Return ``count`` integers in [0, bound)."""
        return (self.uniforms(count) * bound).astype(np.int64)

    def order(self, count: int) -> NDArray[np.int64]:
        """Return the numbers 0 … count-1 in random order."""
        return np.argsort(self.words(count), kind="stable")


@dataclass(frozen=True, slots=True)
class Key:
    """What a random choice is for: a seed, an epoch, and a sample (a document, an example or a step) in it."""

    seed: int
    epoch: int = 0
    sample: int = 0

    def stream(self, purpose: str) -> Stream:
        """Return the stream of one purpose, from its beginning."""
        return Stream(self.seed, purpose, self.sample, self.epoch)

    def uniform(self, purpose: str) -> float:
        """Return the first number in [0, 1) of the purpose's stream."""
        return self.stream(purpose).uniform()

    def at(self, sample: int) -> Key:
        """Return the key of another sample of the same seed and epoch."""
        return Key(self.seed, self.epoch, sample)


def mix(*words: int) -> int:
    """Fold integers into one well-mixed 63-bit integer: a seed for a generator that takes only one number.

    SplitMix64's finaliser over a running sum (Steele et al. 2014); ``mix(a, b) != mix(b, a)``.
    """
    state = 0x9E3779B97F4A7C15
    for word in words:
        state = (state + (word & _MASK) * 0xD1342543DE82EF95 + 0x9E3779B97F4A7C15) & _MASK
        state = ((state ^ (state >> 30)) * 0xBF58476D1CE4E5B9) & _MASK
        state = ((state ^ (state >> 27)) * 0x94D049BB133111EB) & _MASK
        state ^= state >> 31
    return state >> 1
