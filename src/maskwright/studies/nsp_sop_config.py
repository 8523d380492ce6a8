"""What a user can set of ``maskwright study nsp-vs-sop``.  Imports no torch, for ``--help`` lists it."""

from __future__ import annotations

from pathlib import Path

from pydantic import Field, model_validator

from maskwright.config import Config, EncoderConfig, PretrainTrainConfig

__all__ = ["NspSopConfig", "StudyTrainConfig"]


class StudyTrainConfig(PretrainTrainConfig):
    """The training loop; seeds and steps are the study's."""

    @model_validator(mode="after")
    def _left_alone(self) -> StudyTrainConfig:
        for name in ("steps", "minutes", "seed"):
            if getattr(self, name):
                raise ValueError(
                    "the study sets it: all arms see equal steps, from each seed (see --steps, --arm-steps, --seeds)"
                )
        return self


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
    encoder: EncoderConfig = EncoderConfig(
        layers=2, width=128, heads=2, positions=64, dropout=0.0, attention_dropout=0.0
    )
    """Size of the encoder."""
    train: StudyTrainConfig = StudyTrainConfig.of({"tokens": 1_024, "lr": 2e-3})
    """The loop of pre-training."""
