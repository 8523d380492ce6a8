"""What a user can set of ``maskwright few-shot``.  Imports no torch, for ``--help`` lists it."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from pydantic import Field, model_validator

from maskwright.config import Config, FinetuneTrainConfig, filled

__all__ = ["FewShotConfig", "FewShotTrainConfig"]


class FewShotTrainConfig(FinetuneTrainConfig):
    """The training loop, with what is usual over pairs of few texts: one pass, 16 pairs a step, a small rate."""

    lr: float = Field(2e-5, gt=0)
    """Peak learning rate."""

    @model_validator(mode="before")
    @classmethod
    def _usual(cls, values: Any) -> Any:
        return filled(values, epochs=1.0, examples=16)


class FewShotConfig(Config):
    """Options of ``maskwright few-shot`` and of the function ``few_shot``."""

    model: str
    """Encoder to start from, a folder or org/name: one whose vectors mean something already."""
    data: Path
    """Labelled rows (.csv .tsv .jsonl, also .gz .xz; .parquet)."""
    dev: Path | None = None
    """Rows to score by; default: those of --data that were not drawn."""
    text: str = "text"
    """Column of the text."""
    label: str = "label"
    """Column of the label."""
    each: int | None = Field(None, ge=1)
    """Rows of every label that are learnt from, drawn by --train.seed, such as 8; default: all rows."""
    rounds: int = Field(20, ge=1)
    """Pairs of either kind, of one class and of two, for each text."""
    strength: float = Field(1.0, gt=0)
    """The logistic regression's inverse regularisation C."""
    length: int = Field(128, ge=8)
    """Tokens in a training text, special ones included; longer ones are cut."""
    baseline: bool = True
    """Score TF-IDF and a linear model on the same rows, beside the encoder."""
    out: Path = Path("few-shot")
    """Run folder."""
    train: FewShotTrainConfig = FewShotTrainConfig()
    """The loop over the pairs."""
