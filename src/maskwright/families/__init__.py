"""Architectures as values: one file each, with spec values, a key table and any odd block of its own."""

from maskwright.families.base import Family, HeadKind, KeyRow, Net, Spec
from maskwright.registry import Registry

__all__ = ["FAMILIES", "Family", "HeadKind", "KeyRow", "Net", "Spec", "family_of"]

FAMILIES = Registry("family")
for _name, _summary in (
    ("bert", "bidirectional post-norm encoder, MLM + NSP (Devlin et al. 2019)"),
    ("roberta", "BERT over bytes, one segment, positions behind the padding id (Liu et al. 2019)"),
    ("albert", "narrow embeddings, layers that share parameters (Lan et al. 2020)"),
    ("ernie", "BERT with an embedding of the task (Sun et al. 2019)"),
    ("electra", "narrow embeddings, told-apart replaced tokens (Clark et al. 2020)"),
    ("distilbert", "BERT with half the layers, without segments and pooler (Sanh et al. 2019)"),
    ("xlnet", "relative positions, two streams, words predicted in any order, memory (Yang et al. 2019)"),
    ("modernbert", "pre-norm, rotary positions, gated feed-forward, local and global attention (Warner et al. 2024)"),
    ("gpt", "causal language model, post-norm (Radford et al. 2018)"),
    ("gpt2", "causal language model, pre-norm (Radford et al. 2019)"),
    ("transformer", "encoder-decoder with fixed waves for places (Vaswani et al. 2017)"),
    ("bart", "encoder-decoder that mends damaged text (Lewis et al. 2020)"),
    ("t5", "encoder-decoder with learned biases for distances (Raffel et al. 2020)"),
    ("elmo", "words from their characters, then LSTMs in both directions (Peters et al. 2018)"),
):
    FAMILIES.add(_name, _summary, f"maskwright.families.{_name}:{_name.upper()}")


def family_of(name: str) -> Family:
    """Return the family registered under ``name``; ConfigError names the known ones."""
    family: Family = FAMILIES[name].load()
    return family
