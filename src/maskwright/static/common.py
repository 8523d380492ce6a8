"""The direction that all vectors of a set share, taken away: what frequent words leave in every mean.

Second half of SIF: Arora et al. 2017, algorithm 1, https://openreview.net/forum?id=SyK00v5xx.  It is fitted on the vectors of
some texts and then fixed, so that the vector of a text does not depend on its neighbours in a batch.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from maskwright.errors import InputError

__all__ = ["Common"]


class Common:
    """The first right singular vector of some vectors, not centred; works on the output of any encoder."""

    def __init__(self, vectors_ND: NDArray[np.float32]) -> None:
        if vectors_ND.ndim != 2 or not len(vectors_ND) or not np.isfinite(vectors_ND).all():
            raise InputError(f"finite vectors (N, D) are needed, N at least 1, not {vectors_ND.shape}")
        # Of the small D x D matrix, whatever N is.
        wide = vectors_ND.astype(np.float64)
        self.direction_D = np.linalg.eigh(wide.T @ wide)[1][:, -1]

    def remove(self, vectors_ND: NDArray[np.float32]) -> NDArray[np.float32]:
        """Return the vectors without their part in that direction, (N, D)."""
        along_N = vectors_ND @ self.direction_D
        return np.asarray(vectors_ND - np.outer(along_N, self.direction_D), np.float32)
