"""Architectures as values: one file each, with spec values, a key table and any odd block of its own."""

from maskwright.families.base import Family, HeadKind, KeyRow, Net, Spec
from maskwright.registry import Registry

__all__ = ["FAMILIES", "Family", "HeadKind", "KeyRow", "Net", "Spec", "family_of"]

FAMILIES = Registry("family")
FAMILIES.add(
    "bert", "BERT: bidirectional post-norm encoder, MLM + NSP (Devlin et al. 2019)", "maskwright.families.bert:BERT"
)


def family_of(name: str) -> Family:
    """Return the family registered under ``name``; ConfigError names the known ones."""
    family: Family = FAMILIES[name].load()
    return family
