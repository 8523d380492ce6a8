"""What a user can set of ``maskwright similarity``.  Imports no torch, for ``--help`` lists it."""

from __future__ import annotations

from pathlib import Path
from typing import Any, Literal

from pydantic import Field

from maskwright.config import Config, FinetuneTrainConfig

__all__ = ["SimilarityConfig"]


class SimilarityConfig(Config):
    """Options of ``maskwright similarity`` and of the function ``similarity``."""

    model: str
    """Encoder to start from: a folder or org/name."""
    data: Path
    """Training rows (.csv .tsv .jsonl, also .gz .xz)."""
    loss: str = "in-batch"
    """in-batch (text, pair, and perhaps negative), simcse (text alone), cosine (text, pair, label: a number), classes (text,
    pair, label: a name), contrastive (text, pair, label: 1 or 0) or triplet (text, pair, negative)."""
    options: dict[str, Any] = Field(default_factory=dict)
    """Options of the loss, such as --options.temperature 0.05; see docs/similarity.md."""
    text: str = "text"
    """Column of the text."""
    pair: str | None = None
    """Column of the text that it is compared with, or that is near to it."""
    negative: str | None = None
    """Column of a text that is far from it."""
    label: str | None = None
    """Column of the label."""
    dev: Path | None = None
    """Pairs with a number that says how similar they are; the weights with the best rank correlation are kept.  Default: none,
    and the last weights are kept."""
    dev_text: str = "text"
    """Its column of the first text."""
    dev_pair: str = "pair"
    """Its column of the second text."""
    dev_label: str = "label"
    """Its column of the number."""
    pooling: Literal["mean", "first", "max"] = "mean"
    """How a text's tokens become its vector; kept in the model folder."""
    length: int = Field(128, ge=8)
    """Tokens in a training text, special ones included; longer ones are cut."""
    baseline: bool = True
    """Score TF-IDF, and the encoder before its training, on the dev pairs too."""
    out: Path = Path("similarity")
    """Run folder."""
    train: FinetuneTrainConfig = FinetuneTrainConfig()
    """The loop."""
