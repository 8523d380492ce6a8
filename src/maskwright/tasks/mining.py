"""Hard negatives: for each anchor the texts that the model takes for near and that are not its second text.

An exact search over all candidates.  What is nearly as near as the right answer is often a right answer that nobody marked, so
candidates above a share of the positive's cosine are left out (Moreira et al. 2024, section 3, "positive-aware mining",
https://arxiv.org/abs/2407.15831).  Trained on by the losses ``in-batch`` and ``triplet``.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from maskwright.errors import ConfigError, InputError
from maskwright.model import Model

__all__ = ["mine_negatives", "top_k"]

_AT_ONCE = 1 << 24
"""Scores held at once."""


def top_k(
    queries_QD: NDArray[np.float32], candidates_ND: NDArray[np.float32], k: int
) -> tuple[NDArray[np.float32], NDArray[np.int64]]:
    """Return the k highest inner products of each query with the candidates, falling, and the candidates' numbers: (Q, k) each.

    Exact; of equal scores the first candidate comes first.  Fewer than k candidates are all returned.
    """
    k = min(k, len(candidates_ND))
    scores, numbers = np.empty((len(queries_QD), k), np.float32), np.empty((len(queries_QD), k), np.int64)
    step = max(1, _AT_ONCE // max(1, len(candidates_ND)))
    for begin in range(0, len(queries_QD), step):
        found = queries_QD[begin : begin + step] @ candidates_ND.T
        if k < found.shape[1]:
            # The k-th score of each query; what equals it is sorted out below, in the order of the candidates.
            least = -np.partition(-found, k - 1, axis=1)[:, k - 1 : k]
            found = np.where(found >= least, found, -np.inf)
        order = np.argsort(-found, axis=1, kind="stable")[:, :k]
        numbers[begin : begin + step] = order
        scores[begin : begin + step] = np.take_along_axis(found, order, 1)
    return scores, numbers


def mine_negatives(
    model: Model,
    pairs: Sequence[tuple[str, str]],
    candidates: Sequence[str] | None = None,
    *,
    each: int = 1,
    search: int = 50,
    share: float = 0.95,
) -> list[tuple[str, str, str]]:
    """Return (anchor, positive, negative) for each pair and up to ``each`` negatives, the nearest first.

    candidates: texts to look among, by default all second texts.  search: how many of the nearest are looked at.  share: a
    candidate whose cosine is more than this share of the positive's is left out, 1 or more: none is (above a positive cosine of
    0; below, whatever is not nearer than the positive is kept).  An anchor's own text and every second text that it has in
    some pair are never negatives.  A pair for which nothing is left gives no row.

    Raises InputError where there are no pairs, ConfigError for numbers that cannot be.
    """
    if not pairs:
        raise InputError("there are no pairs to find negatives for")
    if each < 1 or search < each or share <= 0:
        raise ConfigError(
            f"each {each}, search {search}, share {share}: at least 1, at least each, and above 0 are expected"
        )
    known: dict[str, set[str]] = defaultdict(set)
    for anchor, positive in pairs:
        known[anchor] |= {anchor, positive}
    anchors = list(known)
    places = {anchor: at for at, anchor in enumerate(anchors)}
    texts = list(dict.fromkeys(candidates if candidates is not None else (positive for _, positive in pairs)))
    positives = list(dict.fromkeys(positive for _, positive in pairs))
    anchors_AD, texts_ND, positives_PD = (_unit(model.encode(each)) for each in (anchors, texts, positives))
    scores, numbers = top_k(anchors_AD, texts_ND, search)
    right = {text: at for at, text in enumerate(positives)}
    rows = []
    for anchor, positive in pairs:
        at = places[anchor]
        own = float(anchors_AD[at] @ positives_PD[right[positive]])
        bound = own * share if own > 0 else own
        found = [
            texts[n]
            for score, n in zip(scores[at], numbers[at], strict=True)
            if texts[n] not in known[anchor] and (share >= 1 or score <= bound)
        ]
        rows += [(anchor, positive, negative) for negative in found[:each]]
    return rows


def _unit(vectors_ND: NDArray[np.float32]) -> NDArray[np.float32]:
    return np.asarray(vectors_ND / np.maximum(np.linalg.norm(vectors_ND, axis=1, keepdims=True), 1e-12))
