"""Permutation language model: words predicted in a random order, each from those that come earlier in it.

Of a sequence some n-grams are chosen and put in random order; each of their tokens is predicted from all that was not chosen
and from the chosen ones that come before it.  Nothing is replaced, so what a network reads in pre-training is what it reads
later.  Yang et al. 2019, sections 2.2 to 2.4, https://arxiv.org/abs/1906.08237; n-grams of 1 to 5 words with probability ∝ 1/n
as in its published code.
Needs: any text; a family with two streams and a ``plm`` head (xlnet).   Relatives: mlm, causal.

    for target i at rank r in the order:  p(x_i | tokens not chosen, targets of rank < r, the place i)

A token that was not chosen sees no target.  Deliberate differences: special tokens count as not chosen (there, they take a rank
too); a fresh order each epoch; no memory from one example to the next.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import torch
from pydantic import Field
from torch import Tensor

from maskwright.config import Config
from maskwright.data.batch import Batch, Sample
from maskwright.keys import Key
from maskwright.model import Model
from maskwright.nn.layout import Grid, Ragged
from maskwright.objective import Loss, Objective, Pass, picked
from maskwright.objectives.units import Spans, harmonic

__all__ = ["DrawOrder", "Plm", "PlmConfig", "Streams", "streams"]


class PlmConfig(Config):
    """What is predicted."""

    rate: float = Field(1 / 6, gt=0, lt=1)
    """Share of the tokens that are predicted: 1/K with the paper's K of 6."""
    longest: int = Field(5, ge=1, le=100)
    """Most words in one n-gram."""


@dataclass(frozen=True)
class DrawOrder:
    """Adds the target ``plm``: the chosen places and their tokens, in the order in which they are predicted."""

    config: PlmConfig

    def __call__(self, sample: Sample, key: Key) -> Sample:
        """Return the sample with its targets; no id changes."""
        draw = key.stream("plm.choose")
        wanted = max(1, round(len(sample.ids) * self.config.rate))
        places, _ = Spans(harmonic(self.config.longest))(sample, wanted, draw)
        places = places[key.stream("plm.order").order(len(places))]
        return sample.with_target("plm", places, sample.ids[places])


@dataclass(frozen=True)
class Streams:
    """A batch as a network with two streams takes it."""

    grid: Grid
    places_T: Tensor
    """(T,) int64: where each token stands on the grid laid flat."""
    unseen_BSS: Tensor
    """bool: [b, i, j] True where place i may not look at j."""
    targets_BM: Tensor
    """int64: places to be predicted, in order; the first place where a sequence has fewer."""
    row_M: Tensor
    """(targets,) int64: where each target of the batch stands in ``targets_BM`` laid flat."""


def streams(batch: Batch) -> Streams:
    """Lay a ragged batch and its target ``plm`` out on a grid."""
    assert isinstance(batch.layout, Ragged)
    grid, places_T = batch.layout.on_grid()
    target = batch.targets["plm"]
    flat_M = places_T[target.rows[: target.count]]
    sequence_M, place_M = flat_M // grid.length, flat_M % grid.length
    counts_B = torch.bincount(sequence_M, minlength=grid.batch)
    rank_M = torch.arange(len(flat_M), device=flat_M.device) - (counts_B.cumsum(0) - counts_B)[sequence_M]
    most = int(counts_B.max())
    targets_BM = flat_M.new_zeros(grid.batch, most)
    targets_BM[sequence_M, rank_M] = place_M
    rank_BS = torch.full((grid.batch, grid.length), -1, device=flat_M.device)
    rank_BS[sequence_M, place_M] = rank_M
    unseen_BSS = (rank_BS >= 0)[:, None] & (rank_BS[..., None] <= rank_BS[:, None])
    return Streams(grid, places_T, unseen_BSS, targets_BM, sequence_M * most + rank_M)


class Plm(Objective):
    """Cross-entropy over the vocabulary for each target, from the stream that knows its place and not its word.

    forward: the M targets ``plm`` -> one part, summed over them.
    """

    name = "plm"
    heads = ("plm",)
    Config = PlmConfig

    def __init__(self, config: PlmConfig) -> None:
        super().__init__()
        self.config = config
        self.share = config.rate

    def stage(self, model: Model) -> DrawOrder:
        """Return the step that draws the order."""
        return DrawOrder(self.config)

    def forward(self, run: Pass) -> Loss:
        """Return the part ``plm``."""
        batch, laid = run.batch, streams(run.batch)
        net: Any = run.model.net
        _, states = net.two_streams(
            laid.grid.spread(batch.ids_T, laid.places_T),
            laid.grid.spread(batch.segments_T, laid.places_T),
            laid.grid,
            unseen_BSS=laid.unseen_BSS,
            targets_BM=laid.targets_BM,
        )
        labels = batch.targets["plm"].labels[: len(laid.row_M)]
        return {"plm": picked(run.model.head("plm")(states[-1][laid.row_M]), labels, batch.targets["plm"].count)}
