"""What is asked of a masked language model: a text in a template with a [MASK], and the words that might stand there."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from maskwright.errors import ConfigError, InputError
from maskwright.model import Model

__all__ = ["lay_out", "pieces_of"]

_HOLE, _PAIR = "{text}", "{pair}"


def pieces_of(model: Model, words: Mapping[str, str | Sequence[str]]) -> list[list[tuple[int, ...]]]:
    """Return each label's words as the pieces that stand for them in the middle of a text.

    words: label -> its word, or several.  ConfigError for fewer than two labels, a label without words, a word that the
    vocabulary does not have, and one that stands for two labels.
    """
    if len(words) < 2:
        raise ConfigError(f"words: at least two labels are needed, and there is {list(words)}")
    tokenizer, seen, found = model.tokenizer, dict[tuple[int, ...], str](), []
    for label, given in words.items():
        several = [given] if isinstance(given, str) else list(given)
        if not several:
            raise ConfigError(f"words: the label {label!r} has none")
        ids = []
        for word in several:
            spelt = _spelt(model, word)
            if not spelt or set(spelt) & tokenizer.special_ids:
                parts = ", ".join(map(repr, tokenizer.pieces(spelt))) or "nothing"
                raise ConfigError(f"words: {word!r} of the label {label!r} is {parts} to this model; take another word")
            if spelt in seen:
                raise ConfigError(f"words: {word!r} stands for {seen[spelt]!r} and for {label!r}; take different ones")
            ids.append(spelt)
        seen |= dict.fromkeys(ids, label)
        found.append(ids)
    return found


def _spelt(model: Model, word: str) -> tuple[int, ...]:
    """The pieces of a word with a word before it, for where bytes spell a word with its space."""
    before = model.tokenizer.encode("a")
    both = model.tokenizer.encode(f"a {word.strip()}")
    return tuple(both[len(before) :])


def lay_out(model: Model, rows: Sequence[tuple[str, ...]], template: str, masks: int) -> list[list[int]]:
    """Return the ids of each row in the template, which hold one [MASK]; names of special pieces in a text stay text.

    rows: of one text, or of two for a template with {pair}.  masks: how many the [MASK] will become at most; room is left for
    them, so that a text is cut at the same place for every word.  ConfigError for a template that cannot be used, InputError
    for a row that does not fit it.
    """
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
    taken = sum(map(len, around)) + masks - 1
    room = model.longest - tokenizer.frame.special(1) - taken
    if room < 2 * len(holes):
        raise ConfigError(f"template: with the longest word it takes {taken} of the model's {model.longest} tokens")
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
        laid.append(ids)
    return laid
