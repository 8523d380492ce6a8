"""Beam search: several continuations of each sequence side by side, the best ones kept at every step.

A finished continuation is worth its log-probability divided by length^penalty, the end piece counted; Wu et al. 2016, section
7, https://arxiv.org/abs/1609.08144, in the simpler form that most libraries have.  A sequence is done when none of those that
still run could get better than its worst finished one at its present length.
"""

from __future__ import annotations

import heapq
from collections.abc import Sequence

import torch
from torch import Tensor

from maskwright.writing.decoder import Decoder
from maskwright.writing.draw import Line

__all__ = ["search"]


class _Found:
    """The best finished continuations of one sequence."""

    def __init__(self, beams: int, penalty: float) -> None:
        self._beams, self._penalty = beams, penalty
        self._heap: list[tuple[float, int, Line]] = []
        self._seen = 0

    def worth(self, total: float, length: int) -> float:
        return float(total / length**self._penalty)

    def add(self, tokens: list[int], total: float, ended: bool) -> None:
        self._seen += 1  # the first of equals stays
        entry = self.worth(total, len(tokens) + ended), -self._seen, (tokens, total, ended)
        (heapq.heappush if len(self._heap) < self._beams else heapq.heappushpop)(self._heap, entry)

    def done(self, best_running: float, length: int) -> bool:
        return len(self._heap) == self._beams and self.worth(best_running, length) <= self._heap[0][0]

    def best(self, count: int) -> list[Line]:
        return [line for _, _, line in sorted(self._heap, reverse=True)[:count]]


def search(
    decoder: Decoder, *, beams: int, best: int, penalty: float, most: int, ends: Sequence[int]
) -> list[list[Line]]:
    """Return the ``best`` continuations of every sequence, the best first, of ``beams`` that are followed.

    penalty: exponent of the length that log-probabilities are divided by; above 1 prefers long continuations.
    """
    batch, vocabulary = decoder.scores_BV.shape
    device = decoder.scores_BV.device
    decoder.choose(torch.arange(batch, device=device).repeat_interleave(beams))
    found = [_Found(beams, penalty) for _ in range(batch)]
    running: list[list[list[int]]] = [[[] for _ in range(beams)] for _ in range(batch)]
    totals_BK = torch.full((batch, beams), -torch.inf, device=device)
    totals_BK[:, 0] = 0.0  # all beams begin alike: only one of them counts
    open_rows = set(range(batch))
    for step in range(most):
        gains = decoder.scores_BV.log_softmax(-1).view(batch, beams, vocabulary)
        best_BK, at_BK = (totals_BK[..., None] + gains).flatten(1).topk(min(2 * beams, beams * vocabulary))
        parents = torch.zeros(batch, beams, dtype=torch.int64, device=device)
        tokens = torch.zeros(batch, beams, dtype=torch.int64, device=device)
        for row in open_rows.copy():
            following: list[list[int]] = []
            for rank, (total, at) in enumerate(zip(best_BK[row].tolist(), at_BK[row].tolist(), strict=True)):
                parent, token = divmod(at, vocabulary)
                before = running[row][parent]
                if token in ends:
                    if rank < beams:
                        found[row].add(before, total, True)
                elif step + 1 == most:
                    if rank < beams:
                        found[row].add([*before, token], total, False)
                elif len(following) < beams:
                    parents[row, len(following)], tokens[row, len(following)] = parent, token
                    totals_BK[row, len(following)] = total
                    following.append([*before, token])
            totals_BK[row, len(following) :] = -torch.inf
            running[row] = following + [[]] * (beams - len(following))
            if step + 1 == most or not following or found[row].done(float(totals_BK[row].max()), step + 1):
                open_rows.discard(row)
        if not open_rows:
            break
        _go_on(decoder, parents, tokens)
    return [each.best(best) for each in found]


def _go_on(decoder: Decoder, parents_BK: Tensor, tokens_BK: Tensor) -> None:
    """Continue each beam's parent with its token."""
    batch, beams = parents_BK.shape
    first = torch.arange(batch, device=parents_BK.device)[:, None] * beams
    decoder.choose((first + parents_BK).flatten())
    decoder.step(tokens_BK.flatten())
