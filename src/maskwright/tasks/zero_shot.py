"""Classes without a single labelled text: what would a masked language model write at the [MASK] of a cloze?

Each label has words (its verbaliser); the text goes into a template, and a label's share is the mean probability of its words
at the [MASK], beside the other labels'.  Schick and Schütze 2021, section 3, https://arxiv.org/abs/2001.07676.  For a word of
several pieces as many [MASK] stand there, all hidden at once, and its probability is the geometric mean of its pieces': their
product would make a word less likely for each piece more.

Frequent words are likely whatever the text; ``blank`` takes that out: each label's share is divided by the one that it gets for
a text that says nothing.  Zhao et al. 2021, https://arxiv.org/abs/2102.09690.  ``even`` divides by its mean over the texts
instead: right where labels are about as frequent.  Zhou et al. 2023, https://arxiv.org/abs/2309.17249
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
from maskwright.errors import ConfigError
from maskwright.keys import Key
from maskwright.model import Model
from maskwright.tasks.cloze import lay_out, pieces_of

__all__ = ["cloze_shares", "zero_shot"]


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

    texts: texts, or pairs for a template with {pair} too.  words: label -> its word, or several; each number of pieces
    among them costs a pass over the texts.  template: {text}, once, and [MASK], once, as the model's mask piece is called.
    blank: a text that says nothing, such as "N/A".  even: whether the mean over the texts is taken for what a label gets
    anywhere; this or blank.  A text that does not fit is cut.  Raises ConfigError for a template or words that cannot be used,
    CheckpointError for a model without a masked LM head.
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
    pieces = pieces_of(model, words)
    flat = list(itertools.chain(*pieces))
    ids = lay_out(model, rows, template, max(map(len, flat)))
    scores_RW = np.empty((len(rows), len(flat)))
    for length in {len(word) for word in flat}:
        here = [at for at, word in enumerate(flat) if len(word) == length]
        scores_RW[:, here] = _scores(model, ids, [flat[at] for at in here], batch_tokens)
    # Over the likeliest word, so that not all of them can vanish.
    chances_RW = np.exp(scores_RW - scores_RW.max(-1, keepdims=True))
    ends = np.cumsum([0, *map(len, pieces)])
    # The mean, not the sum: a label is no likelier for having more words.
    shares_RC = np.stack([chances_RW[:, a:b].mean(-1) for a, b in itertools.pairwise(ends)], -1)
    return np.asarray(shares_RC / shares_RC.sum(-1, keepdims=True))


def _scores(
    model: Model, rows: Sequence[list[int]], words: Sequence[tuple[int, ...]], batch_tokens: int
) -> NDArray[np.float64]:
    """Return (rows, W): each word's log-probability, the mean over its pieces, in texts that each hold one [MASK].

    words: all of one number of pieces; the [MASK] becomes as many.
    """
    head, tokenizer, length = model.head("mlm"), model.tokenizer, len(words[0])
    ids = [(_widened(row, tokenizer.mask_id, length),) for row in rows]
    source = RowsSource(ids, np.zeros(len(ids)), tokenizer.frame, "")
    plan = source.plan(Budget(tokens=max(batch_tokens, model.longest)), Key(0), shuffle=False)
    collate = Collator.of((), tokenizer)
    words_LW, places_L1 = torch.tensor(words, device=model.device).T, torch.arange(length, device=model.device)[:, None]
    scores_RW = np.empty((len(rows), len(words)))
    was_training = model.training
    model.eval()
    for step in range(plan.steps):
        numbers = plan.examples(step)
        batch = collate([source.sample(plan, int(n)) for n in numbers], Key(0)).to(model.device)
        masks = torch.nonzero(batch.ids_T == tokenizer.mask_id).flatten()
        logits_MV = head(model.hidden(batch.asking([masks]))[masks]).float()
        logits_BLV = logits_MV.view(-1, length, logits_MV.shape[-1])
        # Only the words' pieces in double, not the vocabulary; and not on a device, which may have none.
        chosen_BLW, whole_BL1 = logits_BLV[:, places_L1, words_LW].cpu(), logits_BLV.logsumexp(-1, keepdim=True).cpu()
        scores_RW[numbers] = (chosen_BLW.double() - whole_BL1.double()).mean(1).numpy()
    model.train(was_training)
    return scores_RW


def _widened(row: list[int], mask_id: int, length: int) -> list[int]:
    """The row with so many [MASK] in place of its one."""
    at = row.index(mask_id)
    return [*row[:at], *[mask_id] * length, *row[at + 1 :]]
