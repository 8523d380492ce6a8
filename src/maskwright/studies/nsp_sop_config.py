"""What a user can set of ``maskwright study nsp-vs-sop``.  Imports no torch, for ``--help`` lists it."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from pydantic import Field, model_validator

from maskwright.config import Config, EncoderConfig, PretrainTrainConfig

__all__ = ["NspSopConfig", "StudyEncoderConfig", "StudyTrainConfig"]


class StudyEncoderConfig(EncoderConfig):
    """Size of the encoder: one that learns something in minutes."""

    layers: int = Field(2, ge=1, le=200)
    """Blocks."""
    width: int = Field(128, ge=8, le=16_384)
    """D, values a token."""
    heads: int = Field(2, ge=1, le=512)
    """N; must divide the width."""
    positions: int = Field(64, ge=16, le=65_536)
    """Longest sequence the encoder can ever take."""
    dropout: float = Field(0.0, ge=0, lt=1)
    """Of embeddings and of what each sub-layer adds."""
    attention_dropout: float = Field(0.0, ge=0, lt=1)
    """Of attention weights."""


class StudyTrainConfig(PretrainTrainConfig):
    """The training loop; seeds and steps are the study's."""

    lr: float = Field(2e-3, gt=0)
    """Peak learning rate."""

    @model_validator(mode="before")
    @classmethod
    def _usual(cls, values: Any) -> Any:
        if not isinstance(values, Mapping):
            return values
        for name, usual in (("steps", None), ("epochs", 1.0), ("minutes", None), ("seed", 0)):
            if values.get(name) not in (None, usual, str(usual)):
                raise ValueError(
                    f"{name} is the study's to set: all arms see equal steps from each seed (steps, arm_steps, seeds)"
                )
        size = {} if values.get("tokens") or values.get("examples") else {"tokens": 1_024}
        return {**values, **size, "epochs": 1.0}


class NspSopConfig(Config):
    """``maskwright study nsp-vs-sop``."""

    corpus: Path
    """Folder made by ``corpus build``, of one kind of text: where kinds mix, they tell a pair from two documents."""
    out: Path = Path("study")
    """Folder of the study: protocol, runs, scores, report."""
    seeds: int = Field(3, ge=2)
    """How often everything is done, from seed 0 up; an interval needs two at least."""
    steps: int = Field(1_000, ge=1)
    """Steps on hidden tokens alone that the arms of a seed share."""
    arm_steps: int = Field(400, ge=1)
    """Steps that each arm goes on with."""
    length: int = Field(64, ge=16)
    """Tokens in an example, special ones included."""
    held_out: float = Field(0.15, gt=0, lt=0.5)
    """Share of documents that no arm is trained on: half of them teach the probes, the other half are scored."""
    examples: int = Field(4_000, ge=100)
    """Most examples of a task that probes learn from."""
    random_rate: float = Field(0.45, gt=0, lt=1)
    """Share of next-sentence pairs made from two documents; some of one long sentence are so in any case."""
    tune_steps: int = Field(60, ge=1)
    """Steps of fine-tuning the whole encoder on the probe's documents."""
    tune_examples: int = Field(32, ge=1)
    """Pairs in each of them."""
    tune_lr: float = Field(5e-4, gt=0)
    """Their peak rate."""
    encoder: StudyEncoderConfig = StudyEncoderConfig()
    """Size of the encoder."""
    train: StudyTrainConfig = StudyTrainConfig.of({})
    """The loop of pre-training."""
