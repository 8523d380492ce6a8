"""Use a masked language model as one: what would stand at each [MASK]?"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch

from maskwright.data.batch import Collator, Sample
from maskwright.errors import InputError
from maskwright.keys import Key
from maskwright.model import Model

__all__ = ["Guess", "fill_masks"]


@dataclass(frozen=True)
class Guess:
    """A piece and its probability."""

    piece: str
    share: float


@torch.no_grad()
def fill_masks(model: Model, text: str, top: int = 5) -> list[list[Guess]]:
    """Return the ``top`` most probable pieces for each [MASK] of a text, in order.

    [MASK] is called as the tokenizer calls it: <mask> for RoBERTa.  InputError when there is none, or when the text is longer
    than the model takes.
    """
    tokenizer = model.tokenizer
    ids = np.array(tokenizer.encode_marked(text), dtype=np.int64)
    sample = Sample.of([(ids, np.ones(len(ids), dtype=np.bool_))], tokenizer.frame, 0)
    places = np.flatnonzero(sample.ids == tokenizer.mask_id)
    if not len(places):
        mask = tokenizer.pieces([tokenizer.mask_id])[0]
        raise InputError(f"there is no {mask} in {text[:60]!r}: put one where a word should be guessed")
    if len(sample.ids) > model.longest:
        room = model.longest - tokenizer.frame.special(1)
        raise InputError(f"the text has {len(ids)} tokens; this model takes {room}")
    batch = Collator.of((), tokenizer)([sample], Key(0)).to(model.device)
    was_training = model.training
    model.eval()
    scores_MV = model.head("mlm")(model.hidden(batch)[torch.from_numpy(places).to(model.device)]).float().softmax(-1)
    model.train(was_training)
    shares, pieces = scores_MV[:, : tokenizer.vocab_size].topk(min(top, tokenizer.vocab_size))
    return [
        [Guess(piece, float(share)) for piece, share in zip(tokenizer.pieces(row.tolist()), row_shares, strict=True)]
        for row, row_shares in zip(pieces.cpu(), shares.cpu(), strict=True)
    ]
