"""What a user can set, as typed fields: the same for YAML recipes, for ``--dotted.options`` and for Python.

Unknown fields are refused with the nearest known name.  Imports no torch, so that ``--help`` can list everything.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Any, Literal, Self

from pydantic import BaseModel, ConfigDict, Field, ValidationError, field_validator, model_validator

from maskwright.errors import ConfigError, did_you_mean

__all__ = [
    "RUNTIME",
    "Config",
    "EncoderConfig",
    "FinetuneConfig",
    "FinetuneTrainConfig",
    "GlueConfig",
    "MethodConfig",
    "PretrainConfig",
    "PretrainTrainConfig",
    "TrainConfig",
    "differences",
    "explain",
    "filled",
    "read_recipe",
]

SCHEMA = 1


class Config(BaseModel):
    """Base: frozen, no unknown fields, errors in one sentence each."""

    model_config = ConfigDict(extra="forbid", frozen=True, use_attribute_docstrings=True)

    @classmethod
    def of(cls, values: Mapping[str, Any], where: str = "") -> Self:
        """Build from plain values; ConfigError names each bad field (behind ``where``), its value, and why."""
        try:
            return cls.model_validate(dict(values))
        except ValidationError as error:
            raise explain(cls, error, where) from None


def explain(model: type[BaseModel], error: ValidationError, where: str = "") -> ConfigError:
    """Say in one sentence each what is wrong with the values of a configuration."""
    return ConfigError("; ".join(_explain(model, problem, where) for problem in error.errors()))


def differences(now: Mapping[str, Any], before: Mapping[str, Any], where: str = "") -> list[str]:
    """Name the settings that are not what they were, with both values where these are short: hashes tell nobody anything."""
    found = []
    for name in dict.fromkeys([*now, *before]):
        value, was = now.get(name), before.get(name)
        if isinstance(value, Mapping) and isinstance(was, Mapping):
            found += differences(value, was, f"{where}{name}.")
        elif value != was:
            short = max(len(str(value)), len(str(was))) < 40
            found.append(f"{where}{name} {value}, was {was}" if short else f"{where}{name}")
    return found


def _explain(model: type[BaseModel], problem: Any, where: str) -> str:
    path = [str(part) for part in problem["loc"]]
    name = where + ".".join(path)
    if problem["type"] == "extra_forbidden":
        owner: Any = model
        for part in path[:-1]:
            owner = owner.model_fields[part].annotation
        return f"no field {name!r}.{did_you_mean(path[-1], owner.model_fields)}"
    if problem["type"] == "missing":
        return f"field {name!r} is needed"
    message = problem["msg"].removeprefix("Value error, ")
    return f"field {name!r}: {message[0].lower()}{message[1:]}, not {problem['input']!r}"


class TrainConfig(Config):
    """The training loop."""

    steps: int | None = Field(None, ge=1)
    """Optimiser steps; this or epochs or minutes."""
    epochs: float | None = Field(None, gt=0)
    """Passes over the data."""
    minutes: float | None = Field(None, gt=0)
    """Wall-clock budget: a few steps are timed first, then the number of steps is fixed to fit."""
    tokens: int | None = Field(None, ge=16)
    """Tokens an optimiser step sees; this or examples."""
    examples: int | None = Field(None, ge=1)
    """Examples an optimiser step sees."""
    batch_warmup: float = Field(0.0, ge=0, lt=1)
    """Share of the steps that see less: a quarter of tokens or examples in its first half, a half in its second."""
    micro_tokens: int | Literal["auto"] = 16_384
    """Most tokens computed at once; a larger step is accumulated, with the same result.  auto: what the free memory holds."""
    gradient_checkpointing: bool = False
    """Keep less for the backward pass and compute it again: the same result, less memory, about a third more time."""
    lr: float = Field(1e-3, gt=0)
    """Peak learning rate."""
    warmup: float = Field(0.06, ge=0, lt=1)
    """Share of the steps over which the rate rises from zero."""
    schedule: Literal["linear", "cosine", "constant"] = "linear"
    """How the rate falls after the warm-up."""
    weight_decay: float = Field(0.01, ge=0)
    """Not applied to biases and norms."""
    layer_decay: float = Field(1.0, gt=0, le=1)
    """Each block below the heads has this much of the rate of the one above it."""
    optimizer: str = "AdamW"
    """Name of a class of torch.optim."""
    optimizer_options: dict[str, Any] = {}
    """Further arguments of that class, such as --train.optimizer-options.momentum 0.9."""
    beta1: float = Field(0.9, ge=0, lt=1)
    """Decay of the mean gradient."""
    beta2: float = Field(0.999, ge=0, lt=1)
    """Decay of the mean squared gradient."""
    eps: float = Field(1e-8, gt=0)
    """The optimiser's epsilon."""
    clip: float = Field(1.0, gt=0)
    """Largest gradient norm."""
    ema: float | None = Field(None, gt=0, lt=1)
    """Decay of an exponential average of the weights, such as 0.999; evaluations and the final model are the average."""
    precision: Literal["auto", "fp32", "bf16"] = "auto"
    """Of matrix products; auto takes bf16 where the machine is fast at it.  Weights stay fp32."""
    seed: int = Field(0, ge=0)
    """Of all random choices."""
    workers: int = Field(0, ge=0)
    """Processes that prepare batches; the batches are the same for any number."""
    evaluate_every: int | None = Field(None, ge=1)
    """Steps between evaluations; default: ten times a run."""
    save_every: int | None = Field(None, ge=1)
    """Steps between checkpoints; default: as often as evaluations."""
    keep: int = Field(2, ge=1)
    """Newest checkpoints to keep."""
    keep_every: int | None = Field(None, ge=1)
    """Keep also each checkpoint whose step is a multiple of this, for good."""
    bad_steps: int = Field(0, ge=0)
    """Steps in succession that may be left out because a loss or gradient is not finite, before the run stops."""
    patience: int | None = Field(None, ge=1)
    """Stop after this many evaluations without a better one."""

    @field_validator("micro_tokens", mode="before")
    @classmethod
    def _at_least(cls, value: Any) -> Any:
        read = _read_value(value)
        if value != "auto" and (not isinstance(read, int) or read < 64):
            raise ValueError("a whole number from 64 or the word auto is expected")
        return read

    @field_validator("optimizer_options")
    @classmethod
    def _read(cls, options: dict[str, Any]) -> dict[str, Any]:
        return {name: _read_value(value) for name, value in options.items()}


class PretrainTrainConfig(TrainConfig):
    """The training loop, with what is usual in pre-training: one pass, 8,192 tokens a step, a slow rise of the rate.

    A shorter warm-up or a longer memory of squared gradients kept fresh post-norm encoders longer on the plateau of word
    frequencies; docs/results.md has runs.
    """

    warmup: float = Field(0.1, ge=0, lt=1)
    """Share of the steps over which the rate rises from zero."""
    beta2: float = Field(0.98, ge=0, lt=1)
    """Decay of the mean squared gradient."""

    @model_validator(mode="before")
    @classmethod
    def _usual(cls, values: Any) -> Any:
        return filled(values, epochs=1.0, tokens=8_192)


class FinetuneTrainConfig(TrainConfig):
    """The training loop, with what is usual in fine-tuning: three passes, 32 examples a step, a small rate."""

    lr: float = Field(5e-5, gt=0)
    """Peak learning rate."""
    warmup: float = Field(0.1, ge=0, lt=1)
    """Share of the steps over which the rate rises from zero."""

    @model_validator(mode="before")
    @classmethod
    def _usual(cls, values: Any) -> Any:
        return filled(values, epochs=3.0, examples=32)


def _read_value(value: Any) -> Any:
    """A word of the command line that is a number, a truth value or a list is meant as one."""
    if not isinstance(value, str):
        return value
    try:
        return json.loads(value)
    except ValueError:
        return value


RUNTIME = frozenset(
    {"steps", "minutes", "workers", "keep", "keep_every", "save_every", "bad_steps", "gradient_checkpointing"}
)
"""Fields of a TrainConfig that may differ when a run is gone on with: they do not change what is computed."""


def filled(values: Any, **usual: Any) -> Any:
    """Add the usual length of a run and size of a step where none was given."""
    if not isinstance(values, Mapping):
        return values
    found = dict(values)
    for group in (("steps", "epochs", "minutes"), ("tokens", "examples")):
        if all(found.get(name) is None for name in group):
            found |= {name: usual[name] for name in group if name in usual}
    return found


class EncoderConfig(Config):
    """Size of a new encoder."""

    family: str = "bert"
    """Architecture; see ``maskwright params``."""
    layers: int = Field(4, ge=1, le=200)
    """Blocks."""
    width: int = Field(256, ge=8, le=16_384)
    """D, values a token."""
    heads: int = Field(4, ge=1, le=512)
    """N; must divide the width."""
    feed_forward: int | None = Field(None, ge=8)
    """F; default: four times the width."""
    positions: int = Field(512, ge=16, le=65_536)
    """Longest sequence the encoder can ever take."""
    dropout: float = Field(0.1, ge=0, lt=1)
    """Of embeddings and of what each sub-layer adds."""
    attention_dropout: float = Field(0.1, ge=0, lt=1)
    """Of attention weights."""


class PretrainConfig(Config):
    """Options of ``maskwright pretrain`` and of the function ``pretrain``."""

    corpus: Path
    """Folder made by ``corpus build``."""
    out: Path
    """Run folder: log, checkpoints, report, and the model at the end."""
    start: str | None = None
    """Model folder or org/name to go on from; default: fresh weights of the size in ``encoder``."""
    encoder: EncoderConfig = EncoderConfig()
    """Size of a new encoder."""
    objectives: str = "mlm,nsp"
    """Names of the objectives, with commas; they share one batch and one pass."""
    objective: dict[str, dict[str, Any]] = {}
    """Options of an objective, such as --objective.mlm.rate 0.2 or --objective.mlm.unit word."""
    objective_weights: dict[str, Annotated[float, Field(ge=0, allow_inf_nan=False)]] = {}
    """Weight of a part of the loss, such as --objective-weights.nsp 0.5; default: 1, or what the objective says (rtd 50)."""
    weighting: Literal["fixed", "equal", "loss-softmax", "released", "grad", "grad-share", "grad-plus"] = "fixed"
    """How the parts are weighed: as said above, all the same, or anew each step by FashionBERT's adaptive weights."""
    length: int = Field(128, ge=16)
    """Tokens in an example, special ones included."""
    length_warmup: float = Field(0.0, ge=0, lt=1)
    """Share of the steps with shorter examples: a quarter of the length in its first half, a half in its second."""
    short_rate: float = Field(0.1, ge=0, le=1)
    """Share of documents whose examples aim at a random shorter length."""
    held_out: float = Field(0.02, ge=0, lt=0.5)
    """Share of documents kept for evaluation."""
    held_out_tokens: int = Field(50_000, ge=1)
    """Tokens of them evaluated during training."""
    train: PretrainTrainConfig = PretrainTrainConfig()
    """The loop."""


class MethodConfig(Config):
    """What is fine-tuned and how, beside the loop."""

    model: str
    """Encoder to start from: a folder or org/name."""
    length: int = Field(128, ge=8)
    """Tokens in an example, special ones included; longer ones are cut."""
    fresh: bool = False
    """Start from fresh weights of the same size instead: the control."""
    pooling: Literal["head", "first", "mean", "max", "last4-mean", "last4-concat"] = "head"
    """What the classes are read from: the family's own head; the first token, the mean or the maximum of the last layer; or
    the first token of the last four layers, averaged or end to end."""
    freeze: int = Field(0, ge=0)
    """Blocks from the bottom that are not trained, and the embeddings with them; all of them: only the head learns."""
    reinit: int = Field(0, ge=0)
    """Blocks from the top, and the pooler, that start from fresh weights."""
    class_weights: str | dict[str, Annotated[float, Field(gt=0, allow_inf_nan=False)]] = "equal"
    """balanced: rows of rare classes count more, so that each class counts the same.  Or by hand, such as
    --class-weights.spam 5: what a row of that label counts, in multilabel a row that has it; others count 1."""
    label_smoothing: float = Field(0.0, ge=0, lt=1)
    """Share of a label that is spread over all classes."""
    fgm: float = Field(0.0, ge=0)
    """Size of an adversarial step on each sequence's embeddings (FGM), such as 1.0; 0: none.  Doubles the time."""
    calibrate: bool = False
    """Fit a temperature on the dev rows, by which predicted probabilities are divided; answers stay."""
    weights: Literal["best", "last"] = "best"
    """Which weights are kept: those of the best evaluation, whose dev score is a little too good, or the last ones."""

    @field_validator("class_weights")
    @classmethod
    def _known(cls, value: str | dict[str, float]) -> str | dict[str, float]:
        if isinstance(value, str) and value not in ("equal", "balanced"):
            raise ValueError("equal, balanced or a weight for each of some labels is expected")
        return value


class FinetuneConfig(MethodConfig):
    """Options of ``maskwright finetune`` and of the function ``finetune``."""

    task: str = "classify"
    """Task name; see ``maskwright finetune --help``."""
    data: Path | None = None
    """Training file (.csv .tsv .jsonl, also .gz .xz; .parquet), or the folder of a named data set such as glue/mrpc."""
    dev: Path | None = None
    """Evaluation file; default: a share of the training file, as ``dev_share`` says."""
    dev_share: float = Field(0.1, gt=0, lt=0.9)
    """Share of the rows held out for evaluation when there is no dev file."""
    text: str = "text"
    """Column of the text."""
    pair: str | None = None
    """Column of the second text, for pairs."""
    label: str = "label"
    """Column of the label: a class name, a number for a regression, or names with commas; see docs/multilabel.md."""
    options: dict[str, Any] = {}
    """Options of the task, such as --options.loss focal for multilabel."""
    baseline: bool = True
    """Score TF-IDF and a linear model on the same rows, beside the encoder."""
    out: Path = Path("finetuned")
    """Run folder."""
    train: FinetuneTrainConfig = FinetuneTrainConfig()
    """The loop."""


class GlueConfig(MethodConfig):
    """Options of ``maskwright glue`` and of the function ``glue``."""

    data: Path
    """Folder of GLUE's data sets, each in its own folder."""
    tasks: str = "all"
    """Names with commas: cola, sst2, mrpc, stsb, qqp, mnli, qnli, rte, wnli; all: those whose files are there."""
    seeds: int = Field(3, ge=1)
    """Runs a task, from --train.seed upward."""
    start_from: dict[str, str] = {}
    """Where a task starts from another than --model: a task (its model of the same seed) or a model folder, such as
    --start-from.rte mnli."""
    per_task: dict[str, dict[str, Any]] = {}
    """Options of the loop for one task, such as --per-task.mrpc.epochs 5."""
    rows: int | None = Field(None, ge=2)
    """Train on at most so many rows, drawn by --train.seed: the same for every seed."""
    dev_share: float = Field(0.1, gt=0, lt=0.9)
    """Share of the training rows held out where a data set has no dev file."""
    baseline: bool = True
    """Score TF-IDF and a linear model on each task's rows."""
    beside: str = "bert-base"
    """Published scores to stand beside these: bert-base, electra-small, electra-base, roberta-base or none."""
    keep_models: bool = True
    """Keep each run's model folder."""
    weights: Literal["best", "last"] = "last"
    """Which weights are scored: the last ones, or those of the best evaluation, whose score is a little too good."""
    out: Path = Path("glue")
    """Folder for the runs, the table, the report and the submission archives."""
    train: FinetuneTrainConfig = FinetuneTrainConfig()
    """The loop."""


def read_recipe(path: Path) -> dict[str, Any]:
    """Read a YAML recipe (``schema: 1``) into plain values; ConfigError for anything that is not one."""
    import yaml

    try:
        if path.stat().st_size > 1 << 20:
            raise ConfigError(f"{path}: {path.stat().st_size:,} bytes is too much for a recipe")
        text = path.read_text("utf-8")
        if any(token.__class__.__name__ == "AliasToken" for token in yaml.scan(text)):
            raise ConfigError(f"{path}: YAML aliases (*name) are not accepted in recipes")
        found = yaml.safe_load(text)
    except FileNotFoundError:
        raise ConfigError(f"{path}: no such recipe") from None
    except (yaml.YAMLError, UnicodeDecodeError, RecursionError) as error:
        raise ConfigError(f"{path}: not valid YAML: {' '.join(str(error).split())}") from None
    if not isinstance(found, dict) or found.pop("schema", None) != SCHEMA:
        raise ConfigError(f"{path}: a recipe is a mapping that says 'schema: {SCHEMA}'")
    return found
