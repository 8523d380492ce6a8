"""Tiny networks of any family, for tests of what is computed and not of what is learnt."""

from __future__ import annotations

from maskwright import machine
from maskwright.families import family_of
from maskwright.families.base import Net

SIZES = {"vocabulary": 50, "width": 32, "layers": 3, "heads": 2, "feed_forward": 128, "positions": 16}


def net_of(family: str) -> Net:
    """Return a fresh one, always the same, in evaluation mode."""
    with machine.seeded(0):
        net = family_of(family).new_spec(**SIZES).build()
        net.initialise()
    return net.eval()
