"""One continuation a sequence: the likeliest token each time, or one drawn from those that are likely enough.

Top-k: Fan et al. 2018, https://arxiv.org/abs/1805.04833; nucleus: Holtzman et al. 2020, https://arxiv.org/abs/1904.09751
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

import torch
from torch import Tensor

from maskwright.keys import Key
from maskwright.machine import widest
from maskwright.writing.decoder import Decoder

__all__ = ["Line", "drawn", "follow", "likeliest", "narrowed"]

Line = tuple[list[int], float, bool]
"""Tokens, the sum of their log-probabilities under the model, and whether the end was written."""


def follow(decoder: Decoder, pick: Callable[[Tensor, int], Tensor], *, most: int, ends: Sequence[int]) -> list[Line]:
    """Write on behind every sequence until its end or ``most`` tokens.

    pick: (scores (B, V), step) -> (B,) tokens.  A sequence that has ended stays in the batch until all have.
    """
    batch = len(decoder.scores_BV)
    written: list[list[int]] = [[] for _ in range(batch)]
    sums, ended = [0.0] * batch, [False] * batch
    for step in range(most):
        chosen_B = pick(decoder.scores_BV, step)
        gains = decoder.scores_BV.log_softmax(-1).gather(1, chosen_B[:, None])[:, 0].tolist()
        for row, token in enumerate(chosen_B.tolist()):
            if ended[row]:
                continue
            sums[row] += gains[row]
            ended[row] = token in ends
            if not ended[row]:
                written[row].append(token)
        if all(ended) or step + 1 == most:
            break
        decoder.step(chosen_B)
    return list(zip(written, sums, ended, strict=True))


def likeliest(scores_BV: Tensor, step: int) -> Tensor:
    """(B, V) -> (B,): the token with the highest score."""
    return scores_BV.argmax(-1)


def drawn(
    keys: Sequence[Key], *, temperature: float, top_k: int | None, top_p: float
) -> Callable[[Tensor, int], Tensor]:
    """Return a function that draws each sequence's next token, by the sequence's key and the step."""

    def pick(scores_BV: Tensor, step: int) -> Tensor:
        shares_BV = narrowed(scores_BV / temperature, top_k=top_k, top_p=top_p).to(widest(scores_BV.device)).softmax(-1)
        # The likeliest first, so that what a number in [0, 1) means hardly changes where scores differ by rounding.
        shares_BV, order_BV = shares_BV.sort(dim=-1, descending=True, stable=True)
        numbers = [key.stream(f"generate.{step}").uniform() for key in keys]
        at_B = torch.tensor(numbers, dtype=shares_BV.dtype, device=shares_BV.device)
        passed_BV = shares_BV.cumsum(-1) <= at_B[:, None] * shares_BV.sum(-1, keepdim=True)
        return order_BV.gather(1, passed_BV.sum(-1, keepdim=True).clamp(max=shares_BV.shape[-1] - 1))[:, 0]

    return pick


def narrowed(scores_BV: Tensor, *, top_k: int | None, top_p: float) -> Tensor:
    """Set to -inf what is not among the ``top_k`` likeliest, nor among the fewest whose probabilities make ``top_p``."""
    if top_k is not None and top_k < scores_BV.shape[-1]:
        least_B1 = scores_BV.topk(top_k).values[:, -1:]
        scores_BV = scores_BV.masked_fill(scores_BV < least_B1, -torch.inf)
    if top_p < 1.0:
        shares_BV, order_BV = scores_BV.softmax(-1).sort(dim=-1, descending=True, stable=True)
        before_BV = shares_BV.cumsum(-1) - shares_BV
        dropped_BV = torch.zeros_like(before_BV, dtype=torch.bool).scatter(1, order_BV, before_BV >= top_p)
        scores_BV = scores_BV.masked_fill(dropped_BV, -torch.inf)
    return scores_BV
