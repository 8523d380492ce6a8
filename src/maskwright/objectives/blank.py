"""Blank infilling: what stood in each blank, said token by token?

GLM's objective: spans of a text are taken out, each leaves one [MASK], and behind the text the network writes them, in random
order, one token after the other.  The text sees all of the text and nothing that is written; what is written sees the text and
what was written before it.  Du et al. 2022, section 2.1, https://arxiv.org/abs/2103.10360
Needs: any text; an encoder with an ``mlm`` head and a table of positions (bert and its relatives).
Relatives: mlm, spans, denoise.

    text       the man went to the store
    read       [CLS] the man [MASK] the [MASK] [SEP]
    written    [CLS] store [CLS] went to              each predicts the next:   store [SEP] went to [SEP]
    place      6     6     3     3    3               of the blank, in the position table
    in a span  0     1     0     1    2               a table of the objective's own, left behind after pre-training

Of n tokens round(n x rate) are taken out; lengths are Poisson's without zero, the last one cut to that number.  So the encoder
reads its text as it will read any text later, and a blank tells nothing of how much stood there.  Deliberate differences: two
blanks never touch; the tokenizer's own first and last pieces stand for GLM's [START] and [END], so that no vocabulary changes;
the text's tokens have no place in a span, where GLM adds the same vector to all of them.  Left out: its tasks of whole
sentences and of one long end, and its pre-norm blocks.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from pydantic import Field
from torch import Tensor, nn

from maskwright.config import Config
from maskwright.data.batch import Batch, Sample
from maskwright.errors import ConfigError
from maskwright.families import Family, Spec
from maskwright.keys import Key
from maskwright.model import Model
from maskwright.nn.layout import Grid, Ragged
from maskwright.objective import Loss, Objective, Pass, picked
from maskwright.objectives.denoise import cut, lay, poisson
from maskwright.objectives.output import framed
from maskwright.text.special import Frame
from maskwright.text.tokenizer import Tokenizer

__all__ = ["Blank", "BlankConfig", "BlankSizes", "MakeBlanks", "written_behind"]


class BlankConfig(Config):
    """What is taken out."""

    rate: float = Field(0.15, gt=0, lt=1)
    """Share of the tokens that are taken out."""
    mean_length: float = Field(3.0, ge=1, le=50)
    """λ of the Poisson distribution that lengths of spans are drawn from, without zero."""
    places: int = Field(32, ge=2, le=512)
    """Places in a span that have a vector of their own; those further in share the last one."""


def _wanted(config: BlankConfig, counts: NDArray[np.int64]) -> NDArray[np.int64]:
    wanted: NDArray[np.int64] = np.rint(counts * config.rate).astype(np.int64).clip(1, np.maximum(1, counts - 1))
    return wanted


@dataclass(frozen=True)
class BlankSizes:
    """Tokens of an example: a [MASK] and a first piece a span, of which there are at most as many as tokens taken out."""

    config: BlankConfig
    special: int

    def __call__(self, lengths: NDArray[np.int64]) -> NDArray[np.int64]:
        """(E,) tokens of the texts within their frames -> (E,) the most that are read and written."""
        return lengths + 2 * _wanted(self.config, lengths - self.special)


@dataclass(frozen=True)
class MakeBlanks:
    """Takes spans out of a sample's text and writes them behind it: the target ``blank``, and where each token is written."""

    config: BlankConfig
    mask_id: int
    first_id: int
    last_id: int

    def __call__(self, sample: Sample, key: Key) -> Sample:
        """Return the sample with its blanks, what is written, and the next token at each place there."""
        inside = np.flatnonzero(~sample.special)
        text, draw = sample.ids[inside], key.stream("blank.spans")
        wanted = int(_wanted(self.config, np.array([len(text)]))[0])
        lengths = cut(poisson(self.config.mean_length, wanted, draw, least=1), wanted)
        before, lengths = lay(lengths, len(text), draw)
        pieces = np.split(text, np.stack([before, lengths], 1).ravel().cumsum())
        mask = np.array([self.mask_id])
        read = framed(sample, np.concatenate([*(x for kept in pieces[:-1:2] for x in (kept, mask)), pieces[-1]]))
        blanks = inside[0] + before.cumsum() + np.arange(len(before))

        order = key.stream("blank.order").order(len(lengths))
        spans = [pieces[2 * span + 1] for span in order]
        ids = np.concatenate([each for span in spans for each in ([self.first_id], span)])
        labels = np.concatenate([each for span in spans for each in (span, [self.last_id])])
        sizes = lengths[order] + 1
        within = np.arange(len(ids)) - (sizes.cumsum() - sizes).repeat(sizes)
        places = len(read.ids) + np.arange(len(ids))

        def behind(array: NDArray[Any], more: NDArray[Any]) -> NDArray[Any]:
            return np.concatenate([array, more])

        whole = replace(
            read,
            ids=behind(read.ids, ids),
            segments=behind(read.segments, np.full(len(ids), read.segments[inside[0]])),
            special=behind(read.special, within == 0),
            starts_word=behind(read.starts_word, np.ones(len(ids), dtype=np.bool_)),
        )
        whole = whole.with_target("blank", places, labels).with_target("blank.within", places, within)
        return whole.with_target("blank.place", places, blanks[order].repeat(sizes))


def written_behind(batch: Batch) -> tuple[Grid, Tensor]:
    """Lay a batch out on a grid that says who sees whom; return it, and (T,) int64: each token's place there."""
    assert isinstance(batch.layout, Ragged)
    grid, places_T = batch.layout.on_grid()
    target = batch.targets["blank"]
    rows_M = target.rows[: target.count]
    written_B = torch.bincount(batch.layout.row[rows_M], minlength=grid.batch)
    place_S = torch.arange(grid.length, device=places_T.device)
    last_BS = torch.maximum(place_S, (batch.layout.cu.diff() - written_B)[:, None] - 1)
    return replace(grid, seen=place_S <= last_BS[..., None]), places_T


class Blank(Objective):
    """Cross-entropy over the vocabulary at every place of what is written.

    forward: the M targets of ``MakeBlanks`` -> one part, summed over them; its usual answer is the last piece, once a span.
    """

    name = "blank"
    heads = ("mlm",)
    decoder = False
    alone = marks = True
    Config = BlankConfig

    def __init__(self, config: BlankConfig) -> None:
        super().__init__()
        self.config, self.share = config, config.rate * (1 + 1 / config.mean_length)
        self.within: nn.Embedding | None = None

    @classmethod
    def misfit(cls, family: Family, spec: Spec) -> str | None:
        """Return why models of a family cannot learn this, or None where they can."""
        if reason := super().misfit(family, spec):
            return reason
        if spec.embed.position != "table":
            return f"{family.name} has no table of positions, from which what is written takes the place of its blank"
        return None

    def prepare(self, model: Model) -> None:
        """Give the model its head, and make a fresh table of places in a span."""
        super().prepare(model)
        within = nn.Embedding(self.config.places, model.spec.embed.table_width)
        model.net.initialise(within)
        self.within = within.to(model.device)

    def sizes(self, frame: Frame) -> BlankSizes:
        """Return the rule of sizes."""
        return BlankSizes(self.config, frame.special(1))

    def stage(self, model: Model) -> MakeBlanks:
        """Return the step that takes spans out; ConfigError for a tokenizer without a first or a last piece."""
        tokenizer = model.tokenizer
        return MakeBlanks(
            self.config, tokenizer.mask_id, _piece(tokenizer, "bos", "cls"), _piece(tokenizer, "eos", "sep")
        )

    def forward(self, run: Pass) -> Loss:
        """Return the part ``blank``."""
        assert self.within is not None, "prepare was not called"
        batch, net = run.batch, run.model.net
        target, place, within = (batch.targets[name] for name in ("blank", "blank.place", "blank.within"))
        grid, places_T = written_behind(batch)
        rows, labels = target.rows[: target.count], target.labels[: target.count]
        positions_T = batch.positions_T.index_copy(0, rows, place.labels[: target.count])
        ids, positions, segments = (
            grid.spread(each, places_T) for each in (batch.ids_T, positions_T, batch.segments_T)
        )
        rows = places_T[rows]
        within_ME = self.within(within.labels[: target.count].clamp(max=self.config.places - 1))
        x_TE = net.embed.summed(ids, positions, segments)
        x_TD = net.embed.finished(x_TE.index_add(0, rows, within_ME.to(x_TE.dtype)))
        states_TD = net.stack(x_TD, positions, grid)[-1]
        part = picked(run.model.head("mlm")(states_TD[rows]), labels, target.count)
        return {"blank": replace(part, usual=(within.labels[: target.count] == 0).sum())}


def _piece(tokenizer: Tokenizer, *roles: str) -> int:
    found = next((tokenizer.roles[role] for role in roles if role in tokenizer.roles), None)
    if found is None:
        raise ConfigError(
            f"objective blank: the tokenizer has no {' and no '.join(roles)} piece for the ends of what is written; train one "
            "(maskwright tokenizer train), or name them in tokenizer_config.json"
        )
    return found
