"""Replaced-token detection: which tokens did a small generator put in?

ELECTRA's objective: a generator learns to fill masked tokens, what it draws replaces them, and the encoder, the
discriminator, tells for every token whether it was replaced.  Clark et al. 2020, section 2,
https://arxiv.org/abs/2003.10555; details as in the published google-research/electra.
Needs: any text; a family with ``rtd`` and ``mlm`` heads.   Relatives: mlm.

As there: the generator is a network of the same family, narrower and as deep; token, position and segment tables and the
LayerNorm behind them are the discriminator's; of the chosen tokens 85 % are shown as [MASK] and the rest as they are; a draw
that happens to be right counts as not replaced; the discriminator's loss is over all real tokens, special ones included.
Deliberate difference: a draw is the inverse of the generator's cumulative distribution at one number that is keyed by
(seed, epoch, example), where they add Gumbel noise: the same distribution, and the same draws however a step is dealt out.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import torch
import torch.nn.functional as F
from pydantic import Field, field_validator
from torch import Tensor, nn

from maskwright.config import Config
from maskwright.data.batch import Sample, Stage
from maskwright.errors import ConfigError
from maskwright.families import Net, Spec
from maskwright.keys import Key
from maskwright.machine import widest
from maskwright.model import Model, load
from maskwright.objective import Loss, Objective, Part, Pass, picked
from maskwright.objectives.mlm import Mlm, MlmConfig

__all__ = ["Corrupt", "Rtd", "RtdConfig", "draw_from", "generator_spec"]

_ROWS = 64
"""Rows whose distributions are summed up at once: in double precision a whole batch of them would not fit."""


class RtdConfig(Config):
    """The generator, and what it has to fill."""

    size: float = Field(0.25, gt=0, le=1)
    """Heads of the generator, of the discriminator's width each, as a share of the discriminator's; it is as deep."""
    generator: str | None = None
    """Folder of a trained generator, such as a run's generator/, instead of a fresh one; it has a size of its own."""
    weight: float = Field(50.0, gt=0)
    """λ, the weight of the discriminator's loss; the generator's has 1."""
    mlm: MlmConfig = MlmConfig(mask_share=0.85, random_share=0.0)
    """What the generator has to fill: the options of ``mlm``."""

    @field_validator("mlm", mode="before")
    @classmethod
    def _electras(cls, given: Any) -> Any:
        return {"mask_share": 0.85, "random_share": 0.0, **given} if isinstance(given, Mapping) else given


@dataclass(frozen=True)
class Corrupt:
    """Hides tokens (target ``mlm``), keeps what every token was (``rtd``) and a number in [0, 1) for each hidden one."""

    hide: Stage

    def __call__(self, sample: Sample, key: Key) -> Sample:
        """Return the sample with its three targets; those of ``rtd.draw`` are what the generator's draws are made with."""
        hidden = self.hide(sample, key)
        places, _ = hidden.targets["mlm"]
        hidden = hidden.with_target("rtd", np.arange(len(sample.ids)), sample.ids)
        return hidden.with_target("rtd.draw", places, key.stream("rtd.draw").uniforms(len(places)))


def generator_spec(spec: Spec, size: float) -> Spec:
    """Return the spec of a generator: fewer heads of the same width, as many layers, the same tables."""
    block, embed = spec.stack.block, spec.embed
    heads = max(1, round(block.heads * size))
    width = heads * (block.width // block.heads)
    narrow = None if width == embed.table_width else embed.table_width
    shrunk = replace(block, width=width, heads=heads, feed_forward=max(1, block.feed_forward * width // block.width))
    return replace(spec, embed=replace(embed, width=width, narrow=narrow), stack=replace(spec.stack, block=shrunk))


class _Lent(nn.Module):
    """Another network's table or norm: in a tuple, so that it is trained, counted and saved there only."""

    def __init__(self, owner: nn.Module) -> None:
        super().__init__()
        self._owner = (owner,)

    weight = property(lambda self: self._owner[0].weight, doc="The table.")
    num_embeddings = property(lambda self: self._owner[0].num_embeddings, doc="Rows of the table.")

    def forward(self, x: Tensor) -> Tensor:
        """What the owner makes of it."""
        out: Tensor = self._owner[0](x)
        return out


_TIED = ("token", "position", "segment", "norm")


def _trained(folder: str, model: Model) -> Model:
    """Load a generator for a model, and give the model its tables where the model is fresh."""
    given, where = load(folder), f"objective.rtd.generator: {folder}"
    if given.family is not model.family:
        raise ConfigError(f"{where} is of the family {given.family.name}, and the encoder of {model.family.name}")
    if "mlm" not in given.net.heads:
        raise ConfigError(
            f"{where} has no mlm head (heads: {', '.join(given.net.heads) or 'none'}), so it is no generator. "
            "A run with rtd leaves one in its folder, generator"
        )
    if given.tokenizer.fingerprint != model.tokenizer.fingerprint:
        raise ConfigError(f"{where} has another vocabulary than the encoder; what it writes could not be read")
    theirs, ours = given.net.embed.state_dict(), model.net.embed.state_dict()
    tables = [name for name in {**ours, **theirs} if name.split(".")[0] in _TIED]
    for name in tables:
        mine, other = (list(side[name].shape) if name in side else "none" for side in (ours, theirs))
        if mine != other:
            raise ConfigError(
                f"{where} has an embed.{name} of {other}, and the encoder of {mine}; they share it. Give the encoder the "
                "generator's size there (encoder.positions, encoder.width)"
            )
    if not model.fresh and any(not torch.equal(ours[name].cpu(), theirs[name]) for name in tables):
        raise ConfigError(
            f"{where} was not trained with the encoder to start from: their tables of tokens and places, which they share, "
            "differ. Give the generator that was, or leave out --start"
        )
    model.net.embed.load_state_dict({name: theirs[name] for name in tables}, strict=False)
    return given


def draw_from(logits_MV: Tensor, draws_M: Tensor) -> Tensor:
    """Draw one class a row from softmax(logits): the first whose cumulative share is above the row's number in [0, 1)."""
    drawn = []
    for logits, draws in zip(torch.split(logits_MV, _ROWS), torch.split(draws_M, _ROWS), strict=True):
        shares = logits.to(widest(logits.device)).softmax(-1).cumsum(-1)
        at = torch.searchsorted(shares, (draws.to(shares) * shares[:, -1])[:, None], right=True)
        drawn.append(at[:, 0].clamp(max=logits.shape[-1] - 1))
    return torch.cat(drawn) if drawn else draws_M.long()


class Rtd(Objective):
    """Cross-entropy of the generator at the hidden places, and two-way cross-entropy of the discriminator at every token.

    forward: the targets of ``Corrupt`` -> the parts ``mlm`` (generator, M) and ``rtd`` (discriminator, all real tokens).
    The encoder reads the corrupted text, not the batch's masked one.
    """

    name = "rtd"
    heads = ("rtd",)
    Config = RtdConfig

    def __init__(self, config: RtdConfig) -> None:
        super().__init__()
        if config.generator is not None and "size" in config.model_fields_set:
            raise ConfigError(
                f"objective.rtd.size: {config.size} beside generator {config.generator}, which has its own size; leave one out"
            )
        self.config, self._mlm, self.share = config, Mlm(config.mlm), config.mlm.rate
        self.generator: Net | None = None

    @property
    def parts(self) -> tuple[str, ...]:
        """The generator's and the discriminator's."""
        return ("mlm", "rtd")

    @property
    def readers(self) -> tuple[Spec, ...]:
        """The generator."""
        return () if self.generator is None else (self.generator.spec,)

    def prepare(self, model: Model) -> None:
        """Give the model its head, and make a generator that shares the model's tables: a fresh one, or one of a folder.

        A fresh model gets the tables of a generator that was trained.  ConfigError for a folder that is no generator of such
        a model.
        """
        super().prepare(model)
        given = None if self.config.generator is None else _trained(self.config.generator, model)
        net = (generator_spec(model.spec, self.config.size) if given is None else given.spec).build()
        for name in _TIED:
            if getattr(model.net.embed, name) is not None:
                setattr(net.embed, name, _Lent(getattr(model.net.embed, name)))
        net.heads["mlm"] = model.family.heads["mlm"].build(net, 0)
        net.initialise()
        if given is not None:
            theirs = given.net.state_dict()
            net.load_state_dict({name: theirs[name] for name in net.state_dict()})
        self.generator = net.to(model.device)

    def stage(self, model: Model) -> Corrupt:
        """Return the masking step, with the numbers to draw with."""
        return Corrupt(self._mlm.stage(model))

    def forward(self, run: Pass) -> Loss:
        """Return the parts ``mlm`` and ``rtd``."""
        assert self.generator is not None, "prepare was not called"
        batch = run.batch
        hidden, every, draw = (batch.targets[name] for name in ("mlm", "rtd", "rtd.draw"))
        read = batch.asking([hidden.rows]).read
        states_TD = self.generator(batch.ids_T, batch.positions_T, batch.segments_T, batch.layout, read=read)[-1]
        logits_MV = self.generator.heads["mlm"](states_TD[hidden.rows]).float()

        rows, was = every.rows[: every.count], every.labels[: every.count]
        ids_T = batch.ids_T.index_copy(0, rows, was)
        known = logits_MV.detach()[: hidden.count, : run.model.tokenizer.vocab_size]
        ids_T = ids_T.index_copy(0, hidden.rows[: hidden.count], draw_from(known, draw.labels))
        scores_T = run.model.head("rtd")(run.model.hidden(replace(batch, ids_T=ids_T))[rows])[:, 0].float()
        replaced_T = ids_T[rows] != was
        told = F.binary_cross_entropy_with_logits(scores_T, replaced_T.float(), reduction="sum")
        return {
            "mlm": picked(logits_MV, hidden.labels, hidden.count),
            "rtd": Part(
                told,
                every.count,
                self.config.weight,
                hits=((scores_T.detach() > 0) == replaced_T).sum(),
                usual=(~replaced_T).sum(),
            ),
        }

    def generator_model(self, model: Model) -> Model:
        """Return the generator as a model of its own, with copies of the tables."""
        assert self.generator is not None, "prepare was not called"
        net = self.generator.spec.build()
        net.heads["mlm"] = model.family.heads["mlm"].build(net, 0)
        tables = {
            f"embed.{name}": value
            for name, value in model.net.embed.state_dict().items()
            if name.split(".")[0] in _TIED
        }
        net.load_state_dict(tables | self.generator.state_dict())
        return Model(model.family, net, model.tokenizer).eval()

    def save(self, folder: Path, model: Model, provenance: Mapping[str, Any]) -> None:
        """Write the generator's folder beside the model's."""
        self.generator_model(model).save(folder / "generator", provenance=provenance)
