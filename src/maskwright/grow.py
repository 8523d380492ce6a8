"""A model for an extended vocabulary: each new piece begins as the mean of the pieces that spelt it.

The row of a new piece in every table over the vocabulary (token embeddings, scores of the masked LM head) is the mean of the
old pieces' rows, and so is its bias: its first score is the mean of their scores, not noise.  Every old value stays as it is,
bit by bit, so text without a new piece gives the same states.  Hewitt 2021,
https://nlp.stanford.edu/~johnhew/vocab-expansion.html, shows why rows near the old ones' mean do no harm where random ones do.
"""

from __future__ import annotations

from dataclasses import replace

import torch

from maskwright.errors import InputError
from maskwright.families import Net
from maskwright.model import Model
from maskwright.nn.hollow import filled, hollow
from maskwright.text.extend import split
from maskwright.text.tokenizer import Tokenizer

__all__ = ["grow"]


@torch.no_grad()
def grow(model: Model, tokenizer: Tokenizer) -> Model:
    """Return a copy of a model for ``tokenizer``: the pieces of ``model.tokenizer`` with the same ids, and more behind them.

    Old values are kept bitwise; a new piece that the old vocabulary cannot spell begins as [UNK], which it was.  Rows
    of the model's tables that stood for no piece are used first.

    Raises InputError where the old pieces are not all there with their ids.
    """
    old = model.tokenizer
    pieces = old.pieces(range(old.vocab_size))
    fresh = tokenizer.pieces(range(old.vocab_size, tokenizer.vocab_size))
    if tokenizer.vocab_size < old.vocab_size or tokenizer.pieces(range(old.vocab_size)) != pieces:
        raise InputError(
            f"grow: a vocabulary of {tokenizer.vocab_size:,} pieces does not begin with the model's {old.vocab_size:,} in "
            "their order; extend the model's own: maskwright tokenizer extend"
        )
    ids = {piece: number for number, piece in enumerate(pieces)}
    spelt = [[ids[part] for part in split(piece, ids, pieces[old.unk_id])] for piece in fresh]
    vocabulary = model.spec.vocabulary
    net = _empty(model, max(vocabulary, tokenizer.vocab_size))
    filled(net, model.device)
    wider = dict(_empty(model, vocabulary + 1).named_parameters())
    for name, source in model.net.named_parameters():
        target = net.get_parameter(name)
        if wider[name].shape == source.shape:
            target.copy_(source)
            continue
        target[:vocabulary] = source  # a table over the vocabulary
        for row, parts in enumerate(spelt, start=old.vocab_size):
            target[row] = source[parts].mean(0)
    return Model(model.family, net, tokenizer, model.card).train(model.training)


def _empty(model: Model, vocabulary: int) -> Net:
    """Return a network like the model's, of so many pieces and without values."""
    spec = replace(model.spec, embed=replace(model.spec.embed, vocabulary=vocabulary))
    with hollow():
        net = spec.build()
        for name, outputs in model.net.head_outputs().items():
            net.heads[name] = model.family.heads[name].build(net, outputs)
    return net
