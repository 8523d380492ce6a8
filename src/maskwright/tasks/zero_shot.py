"""Classes without a single labelled text: what would a masked language model write at the [MASK] of a cloze?

Each label has words (its verbaliser), each one piece of the vocabulary; the text goes into a template, and a label's share is
the mean probability of its words at the [MASK], beside the other labels'.  Schick and Schütze 2021, section 3,
https://arxiv.org/abs/2001.07676.  Frequent words are likely whatever the text; ``blank`` takes that out: each label's share is
divided by the one that it gets for a text that says nothing.  Zhao et al. 2021, https://arxiv.org/abs/2102.09690.  ``even``
divides by its mean over the texts instead: right where labels are about as frequent.  Zhou et al. 2023,
https://arxiv.org/abs/2309.17249
Needs: a masked LM head.
"""

from __future__ import annotations

import itertools
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from maskwright.data.batch import Collator
from maskwright.data.plan import Budget
from maskwright.data.source import RowsSource
from maskwright.errors import ConfigError, InputError
from maskwright.keys import Key
from maskwright.model import Model

__all__ = ["cloze_shares", "zero_shot"]

_HOLE, _PAIR = "{text}", "{pair}"


def zero_shot(
    model: Model,
    texts: Sequence[str | tuple[str, ...]],
    words: Mapping[str, str | Sequence[str]],
    *,
    template: str = "{text} It was [MASK].",
    blank: str | None = None,
    even: bool = False,
    batch_tokens: int = 8192,
) -> list[dict[str, Any]]:
    """Return ``label`` and ``probabilities`` by label name for each text, as a fine-tuned classifier does.

    texts: texts, or pairs for a template with {pair} too.  words: label -> its word, or several.  template: {text}, once, and
    [MASK], once, as the model's mask piece is called.  blank: a text that says nothing, such as "N/A".  even: whether the mean
    over the texts is taken for what a label gets anywhere; this or blank.  A text that does not fit is cut.  Raises ConfigError
    for a template or words that cannot be used, CheckpointError for a model without a masked LM head.
    """
    if even and blank is not None:
        raise ConfigError("even: blank says already what a label gets anywhere; give one of them")
    labels = list(words)
    rows = [(each,) if isinstance(each, str) else each for each in texts]
    shares_BC = cloze_shares(model, rows, words, template=template, batch_tokens=batch_tokens)
    if rows and (even or blank is not None):
        anywhere_1C = shares_BC.mean(0, keepdims=True)
        if blank is not None:
            anywhere_1C = cloze_shares(model, [(blank,) * len(rows[0])], words, template=template)
        shares_BC = shares_BC / anywhere_1C
        shares_BC /= shares_BC.sum(-1, keepdims=True)
    return [
        {
            "label": labels[int(row.argmax())],
            "probabilities": {name: round(float(share), 6) for name, share in zip(labels, row, strict=True)},
        }
        for row in shares_BC
    ]


@torch.no_grad()
def cloze_shares(
    model: Model,
    rows: Sequence[tuple[str, ...]],
    words: Mapping[str, str | Sequence[str]],
    *,
    template: str,
    batch_tokens: int = 8192,
) -> NDArray[np.float64]:
    """Return (rows, C): each label's share of the probability that its words and the others' have at the [MASK]."""
    pieces = _pieces(model, words)
    head, tokenizer = model.head("mlm"), model.tokenizer
    ids = _laid(model, rows, template)
    source = RowsSource(ids, np.zeros(len(ids)), tokenizer.frame, "")
    plan = source.plan(Budget(tokens=max(batch_tokens, model.longest)), Key(0), shuffle=False)
    collate = Collator.of((), tokenizer)
    shares = np.empty((len(rows), len(pieces)))
    was_training = model.training
    model.eval()
    flat = torch.tensor(list(itertools.chain(*pieces)), device=model.device)
    ends = np.cumsum([0, *map(len, pieces)])
    for step in range(plan.steps):
        numbers = plan.examples(step)
        batch = collate([source.sample(plan, int(n)) for n in numbers], Key(0)).to(model.device)
        masks = torch.nonzero(batch.ids_T == tokenizer.mask_id).flatten()
        scores_BW = head(model.hidden(batch.asking([masks]))[masks])[:, flat].cpu().double().softmax(-1).numpy()
        for label, (a, b) in enumerate(itertools.pairwise(ends)):
            # The mean, not the sum: a label is no likelier for having more words.
            shares[numbers, label] = scores_BW[:, a:b].mean(-1)
    model.train(was_training)
    return np.asarray(shares / shares.sum(-1, keepdims=True))


def _pieces(model: Model, words: Mapping[str, str | Sequence[str]]) -> list[list[int]]:
    """Each label's words as the pieces that stand for them in the middle of a text."""
    if len(words) < 2:
        raise ConfigError(f"words: at least two labels are needed, and there is {list(words)}")
    tokenizer, seen, found = model.tokenizer, dict[int, str](), []
    for label, given in words.items():
        several = [given] if isinstance(given, str) else list(given)
        if not several:
            raise ConfigError(f"words: the label {label!r} has none")
        ids = []
        for word in several:
            spelt = _spelt(model, word)
            if len(spelt) != 1 or spelt[0] in tokenizer.special_ids:
                parts = ", ".join(map(repr, tokenizer.pieces(spelt))) or "nothing"
                raise ConfigError(
                    f"words: {word!r} of the label {label!r} is {parts} to this model; take a word of one piece"
                )
            if spelt[0] in seen:
                raise ConfigError(
                    f"words: {word!r} stands for {seen[spelt[0]]!r} and for {label!r}; take different ones"
                )
            ids.append(spelt[0])
        seen |= dict.fromkeys(ids, label)
        found.append(ids)
    return found


def _spelt(model: Model, word: str) -> list[int]:
    """The pieces of a word with a word before it, for where bytes spell a word with its space."""
    before = model.tokenizer.encode("a")
    both = model.tokenizer.encode(f"a {word.strip()}")
    return both[len(before) :]


def _laid(model: Model, rows: Sequence[tuple[str, ...]], template: str) -> list[tuple[list[int]]]:
    """Fill in the template; names of special pieces in a text stay text."""
    tokenizer = model.tokenizer
    pair = _PAIR in template
    holes = [_HOLE, *([_PAIR] if pair else [])]
    if any(template.count(hole) != 1 for hole in holes):
        raise ConfigError(f"template: {template!r} must hold {' and '.join(holes)} once")
    cut = sorted((template.index(hole), hole) for hole in holes)
    bounds = [0, *(at for start, hole in cut for at in (start, start + len(hole))), len(template)]
    fixed = [template[a:b] for a, b in zip(bounds[::2], bounds[1::2], strict=True)]
    # Where bytes spell a word with its space, the space before a text belongs to it.
    spaces = [" " if part.endswith(" ") else "" for part in fixed[:-1]]
    around = [tokenizer.encode_marked(part.rstrip(" ")) for part in fixed[:-1]] + [tokenizer.encode_marked(fixed[-1])]
    if sum(ids.count(tokenizer.mask_id) for ids in around) != 1:
        mask = tokenizer.pieces([tokenizer.mask_id])[0]
        raise ConfigError(f"template: {template!r} must hold the mask piece {mask} once")
    room = model.longest - tokenizer.frame.special(1) - sum(map(len, around))
    if room < 2 * len(holes):
        raise ConfigError(f"template: it takes {sum(map(len, around))} of the model's {model.longest} tokens")
    for at, row in enumerate(rows):
        if len(row) != len(holes):
            raise InputError(f"row {at} has {len(row)} text where the template takes {len(holes)}")
    most = room // len(holes)
    columns = [
        tokenizer.encode_batch_truncated([space + row[0 if hole == _HOLE else 1] for row in rows], most)
        for (_, hole), space in zip(cut, spaces, strict=True)
    ]
    laid = []
    for parts in zip(*columns, strict=True):
        ids = list(around[0])
        for part, after in zip(parts, around[1:], strict=True):
            ids += [*part, *after]
        laid.append((ids,))
    return laid
