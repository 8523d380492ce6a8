"""Sampled softmax: a language model's loss over the right word and some drawn ones, where the vocabulary is large.

S classes are drawn without replacement, the frequent ones more often, and every score is lowered by the logarithm of how often
its class is expected among them: the gradient is then, on average over the draws, near to that of the softmax over all.
Jean et al. 2015, section 3, https://arxiv.org/abs/1412.2007; numbers and rules as in TensorFlow's log_uniform_candidate_sampler
and sampled_softmax_loss, which bilm-tf trains with:

    p(c) = log((c + 2) / (c + 1)) / log(V + 1)      classes in the order of their frequency, as Zipf's law has them
    E(c) = 1 - (1 - p(c))^n                         n: draws until S different ones were there
    score(c) = w_c · h + b_c - log E(c)             a drawn class that is a row's right one does not count in that row

Evaluation knows no candidates: there the softmax is over the whole vocabulary.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
import torch
import torch.nn.functional as F
from numpy.typing import NDArray
from torch import Tensor

from maskwright.keys import Stream
from maskwright.machine import widest
from maskwright.objective import Part

__all__ = ["Candidates", "draw_classes", "expected", "sampled"]


def draw_classes(stream: Stream, count: int, vocabulary: int) -> tuple[NDArray[np.int64], int]:
    """Draw ``count`` different classes of fewer than ``vocabulary``; returns them in ascending order, and n, the draws made."""
    drawn = np.empty(0, dtype=np.int64)
    while True:
        uniforms = stream.uniforms(2 * count)
        more = np.exp(uniforms * math.log(vocabulary + 1)).astype(np.int64) - 1
        drawn = np.append(drawn, more.clip(0, vocabulary - 1))
        classes, first = np.unique(drawn, return_index=True)
        if len(classes) >= count:
            draws = int(np.partition(first, count - 1)[count - 1]) + 1
            return classes[first < draws], draws


def expected(classes: Tensor, draws: int, vocabulary: int) -> Tensor:
    """Return log E(c) of classes, in float64 where the device has it."""
    classes = classes.to(widest(classes.device))
    share = ((classes + 2) / (classes + 1)).log() / math.log(vocabulary + 1)
    return (-torch.expm1(draws * torch.log1p(-share))).log()


@dataclass(frozen=True)
class Candidates:
    """The classes drawn for a step, with their rows of the output matrix."""

    classes_S: Tensor
    """(S,) int64, ascending."""
    draws: int
    vocabulary: int

    @classmethod
    def of(cls, stream: Stream, count: int, vocabulary: int, device: torch.device) -> Candidates:
        """Draw them."""
        classes, draws = draw_classes(stream, count, vocabulary)
        return cls(torch.from_numpy(classes).to(device), draws, vocabulary)

    def expected(self, classes: Tensor) -> Tensor:
        """Return log E(c) of classes."""
        return expected(classes, self.draws, self.vocabulary)


def sampled(states_MP: Tensor, weight: Tensor, bias: Tensor, labels_M: Tensor, count: int, drawn: Candidates) -> Part:
    """Return the part of M targets, of which ``count`` are valid and stand first.

    weight: (V, P), bias: (V,).  No hits: what is right among candidates says little about the whole vocabulary.
    """
    labels_M = labels_M.clamp(min=0)
    classes = torch.cat([drawn.classes_S, labels_M])
    # One gather, and so one sparse way back: the rows of the candidates and of the right words.
    rows, biases = F.embedding(classes, weight), bias[classes] - drawn.expected(classes).to(bias.dtype)
    size = len(drawn.classes_S)
    others_MS = F.linear(states_MP, rows[:size]).float() + biases[:size]
    right_M = (states_MP * rows[size:]).sum(-1).float() + biases[size:]
    others_MS = others_MS.masked_fill(drawn.classes_S == labels_M[:, None], -math.inf)
    losses_M = torch.logaddexp(right_M, others_MS.logsumexp(-1)) - right_M
    return Part(losses_M[:count].sum(), count)
