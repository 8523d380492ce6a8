"""What an objective is, and how several make one.

An objective says how documents become examples (``pairing``), how a sample is prepared (``stage``), which heads it needs, and
what the loss of a batch is, as named parts: a sum, the count of what was summed, a weight.  The training loop divides each sum
by the count over the whole step (all micro-batches and ranks), so that one process and N compute the same gradient.
Fine-tuning tasks are objectives too.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path
from typing import Any

from torch import Tensor, nn

from maskwright.data.batch import Batch, Stage
from maskwright.data.pairs import Pairing, Runs
from maskwright.data.source import Sizes
from maskwright.errors import ConfigError, did_you_mean
from maskwright.families import Family, Spec
from maskwright.model import Model
from maskwright.nn.vocabulary import cross_entropy
from maskwright.text.special import Frame

__all__ = ["Loss", "Objective", "Part", "Pass", "Together", "picked"]


@dataclass(frozen=True)
class Part:
    """One named part of a loss."""

    sum: Tensor
    """Scalar: the loss summed over the targets."""
    count: int
    """Targets in this batch."""
    weight: float = 1.0
    hits: Tensor | None = None
    """Scalar: how many targets were predicted right, where that means something."""
    usual: Tensor | None = None
    """Scalar: how many the answer that is most often right would get right, where only the batch can tell."""


def picked(logits_MV: Tensor, labels_M: Tensor, count: int) -> Part:
    """Return the part of M targets over a vocabulary: cross-entropy summed; rows whose label is IGNORED only fill up.

    count: the valid targets.
    """
    losses_M, best_M = cross_entropy(logits_MV, labels_M)
    return Part(losses_M.sum(), count, hits=(best_M == labels_M).sum())


Loss = dict[str, Part]


class Pass:
    """One batch through one model: the hidden states are computed when they are first asked for, and once."""

    def __init__(self, model: Model, batch: Batch) -> None:
        self.model, self.batch = model, batch

    @cached_property
    def states(self) -> list[Tensor]:
        """All hidden states, layers + 1 of (T, D); of a model with a decoder the decoder's."""
        return self.model.read_states(self.batch)

    @cached_property
    def hidden_TD(self) -> Tensor:
        """(T, D): what heads read; of a model with a decoder the decoder's, over the batch's decoder part."""
        return self.states[-1] if "states" in self.__dict__ else self.model.hidden(self.batch)

    @cached_property
    def pooled_BD(self) -> Tensor:
        """(B, D): the pooler's output for each sequence."""
        return self.model.pooled(self.hidden_TD[self.batch.layout.first_B])

    def scores(self, head: str) -> Tensor:
        """What a head makes of what it reads: all tokens, the first ones, or the pooler's output."""
        states = self.states if str(self.model.head(head).reads).startswith("last4") else None
        return self.model.scores(head, self.hidden_TD, self.batch.layout, states)


class Objective(nn.Module):
    """Base of objectives and tasks.

    Networks needed beside the model (a generator, a teacher) are sub-modules of the objective; heads that belong in the
    model's folder are the model's.
    """

    name: str
    """Also of its targets in the batch and, unless ``parts`` says otherwise, of its part of the loss."""
    heads: tuple[str, ...] = ()
    """Heads that the model must carry."""
    class_names: tuple[str, ...] = ()
    """Names of its labels, where it asks for one class of the whole example."""
    decoder: bool | None = None
    """Whether the model must have a decoder (True) or must have none (False); None: either."""
    share: float = 0.0
    """Share of the tokens at which the vocabulary is scored: what an estimate of memory goes by."""
    weighting: str = "fixed"
    """How the parts' weights are decided: fixed, or by a mode of ``objectives.weights``."""

    marks = False
    """Whether marks of its own, such as sentinels, are among its targets; the part then says as ``usual`` how many are."""
    alone = False
    """Whether it makes other tokens of the text, so that no other objective finds its targets there."""
    couples = False
    """Whether an example's loss depends on the other examples of its step; see ``train.coupled``."""

    @property
    def parts(self) -> tuple[str, ...]:
        """Names of the parts of its loss."""
        return (self.name,)

    @property
    def readers(self) -> tuple[Spec, ...]:
        """Networks beside the model that read every token too, as an estimate of memory has to know; usually none."""
        return ()

    @classmethod
    def misfit(cls, family: Family, spec: Spec) -> str | None:
        """Return why models of a family cannot learn this, or None where they can."""
        if missing := [head for head in cls.heads if head not in family.heads]:
            return f"{family.name} cannot carry a {missing[0]!r} head; it can: {', '.join(family.heads)}"
        if cls.decoder not in (None, hasattr(spec, "decoder")):
            return (
                f"{family.name} has {'no decoder, and it needs one' if cls.decoder else 'a decoder, and it needs none'}"
            )
        return None

    def prepare(self, model: Model) -> None:
        """Give the model the heads that it lacks; ConfigError for a model that cannot learn this."""
        if reason := self.misfit(model.family, model.spec):
            raise ConfigError(f"objective {self.name}: {reason}")
        for head in self.heads:
            model.add_head(head)

    def pairing(self, length: int, short_rate: float, frame: Frame) -> Pairing | None:
        """Return how documents become examples of at most ``length`` tokens; None where any examples do.

        short_rate: share of documents whose examples aim at a random shorter length; frame: the tokenizer's.
        """
        return None

    def sizes(self, frame: Frame) -> Sizes | None:
        """Return how many tokens examples take, where a decoder is given some too."""
        return None

    def stage(self, model: Model) -> Stage:
        """Return the step of collation that makes this objective's targets."""
        raise NotImplementedError

    def reads(self, model: Model, batch: Batch) -> list[Tensor] | None:
        """Return the rows of the last hidden state that the loss reads (a last layer may leave out others); None: all."""
        return None

    def forward(self, run: Pass) -> Loss:
        """Return the parts of the loss of one batch."""
        raise NotImplementedError

    def save(self, folder: Path, model: Model, provenance: Mapping[str, Any]) -> None:
        """Write into a run's folder what is worth keeping of the networks beside the model; usually nothing."""


class Together(Objective):
    """Several objectives on one batch and one pass: BERT is Together(Mlm, Nsp).

    weights: of the parts named, instead of what their objectives give them; weighting: a mode that decides them instead.
    Raises ConfigError for a weight of no part, for weights beside a mode, and for two objectives that make the same part.
    """

    def __init__(
        self, objectives: Sequence[Objective], weights: Mapping[str, float] | None = None, weighting: str = "fixed"
    ) -> None:
        super().__init__()
        self.members = tuple(objectives)
        self._registered = nn.ModuleList(objectives)
        self.name = "+".join(objective.name for objective in objectives)
        self.heads = tuple(dict.fromkeys(head for objective in objectives for head in objective.heads))
        self.share = max((objective.share for objective in objectives), default=0.0)
        self.marks = any(objective.marks for objective in objectives)
        self.weights = dict(weights or {})
        if twice := [name for name in self.parts if self.parts.count(name) > 1]:
            makers = [objective.name for objective in objectives if twice[0] in objective.parts]
            raise ConfigError(
                f"objectives: {' and '.join(makers)} both make the part {twice[0]!r}; leave one of them out"
            )
        if len(objectives) > 1 and (lonely := [objective.name for objective in objectives if objective.alone]):
            raise ConfigError(
                f"objectives: {lonely[0]} makes other tokens of the text, in which no other objective finds its targets; "
                "name it alone"
            )
        if unknown := [name for name in self.weights if name not in self.parts]:
            raise ConfigError(
                f"objective_weights: no part {unknown[0]!r}.{did_you_mean(unknown[0], self.parts)} "
                f"These objectives make: {', '.join(self.parts)}"
            )
        if weighting != "fixed" and (self.weights or len(self.parts) < 2):
            reason = "weights are given too" if self.weights else f"there is one part only, {self.parts[0]}"
            raise ConfigError(
                f"weighting {weighting!r} decides the weights of several parts, and {reason}; leave it out"
            )
        self.weighting = weighting
        if weighting == "equal":
            self.weighting, self.weights = "fixed", dict.fromkeys(self.parts, 1 / len(self.parts))

    @property
    def parts(self) -> tuple[str, ...]:
        """Names of all parts, in order."""
        return tuple(part for objective in self.members for part in objective.parts)

    @property
    def readers(self) -> tuple[Spec, ...]:
        """Those of all members."""
        return tuple(spec for objective in self.members for spec in objective.readers)

    def pairing(self, length: int, short_rate: float, frame: Frame) -> Pairing:
        """Return the rule of the member that has one, or else runs of whole sentences; ConfigError where two have one."""
        wishes = {each.name: each.pairing(length, short_rate, frame) for each in self.members}
        wanted = {name: rule for name, rule in wishes.items() if rule is not None}
        if len(wanted) > 1:
            raise ConfigError(
                f"objectives: {' and '.join(wanted)} each choose what an example is made of; one batch cannot serve them all. "
                "Name one of them"
            )
        return next(iter(wanted.values()), Runs(length, short_rate, frame.special(1)))

    def sizes(self, frame: Frame) -> Sizes | None:
        """Return the rule of the member that has one."""
        return next((rule for each in self.members if (rule := each.sizes(frame)) is not None), None)

    def stages(self, model: Model) -> tuple[Stage, ...]:
        """Return every objective's step of collation, in order."""
        return tuple(objective.stage(model) for objective in self.members)

    def reads(self, model: Model, batch: Batch) -> list[Tensor] | None:
        """Join the members' rows."""
        rows: list[Tensor] = []
        for objective in self.members:
            if (some := objective.reads(model, batch)) is None:
                return None
            rows += some
        return rows

    def forward(self, run: Pass) -> Loss:
        """Join the parts."""
        loss: Loss = {}
        for objective in self.members:
            loss |= objective(run)
        return {name: replace(part, weight=self.weights.get(name, part.weight)) for name, part in loss.items()}

    def save(self, folder: Path, model: Model, provenance: Mapping[str, Any]) -> None:
        """Write what the members have to write."""
        for objective in self.members:
            objective.save(folder, model, provenance)
