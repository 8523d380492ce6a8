"""What objectives that write text share: the text behind the input, and the loss of predicting it token by token."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from maskwright.data.batch import Batch, Sample
from maskwright.model import Model
from maskwright.objective import Loss, Pass, picked

__all__ = ["Rewriting", "framed", "next_pieces"]

Ids = NDArray[np.int64]


def next_pieces(run: Pass, name: str, where: Batch) -> Loss:
    """Return the part ``name``: cross-entropy over the vocabulary at the targets of ``where``, summed.

    where: the batch, or its decoder part; hidden_TD is then the decoder's.
    """
    target = where.targets[name]
    return {name: picked(run.model.head("lm")(run.hidden_TD[target.rows]), target.labels, target.count)}


@dataclass(frozen=True)
class Rewriting:
    """Makes a sample of an encoder-decoder: another text in the input's frame, and an output in the same frame.

    The decoder is given the output one place later, behind the piece that outputs of this model begin with, and has to
    predict it: the target ``name`` of the decoder's part.
    """

    name: str
    start_id: int

    @classmethod
    def of(cls, name: str, model: Model) -> Rewriting:
        """Take the first piece from the model's spec."""
        spec: Any = model.spec
        return cls(name, spec.start_id)

    def __call__(self, sample: Sample, text: Ids, output: Ids) -> Sample:
        """Return the sample with ``text`` and ``output`` in the place of its text, which is one only."""
        read, written = framed(sample, text), framed(sample, output)
        given = np.concatenate([[self.start_id], written.ids[:-1]])
        decoder = replace(written, ids=given, segments=np.zeros_like(given))
        return replace(read, decoder=decoder.with_target(self.name, np.arange(len(given)), written.ids))


def framed(sample: Sample, text: Ids) -> Sample:
    """Return the sample with another text between its special pieces, of whose tokens nothing more is known."""
    places = np.flatnonzero(~sample.special)
    begin, end = places[0], places[-1] + 1

    def between(array: NDArray[Any], middle: NDArray[Any]) -> NDArray[Any]:
        return np.concatenate([array[:begin], middle, array[end:]])

    count = len(text)
    return replace(
        sample,
        ids=between(sample.ids, text),
        segments=between(sample.segments, np.full(count, sample.segments[begin])),
        special=between(sample.special, np.zeros(count, dtype=np.bool_)),
        starts_word=between(sample.starts_word, np.ones(count, dtype=np.bool_)),
        starts_sentence=None,
    )
