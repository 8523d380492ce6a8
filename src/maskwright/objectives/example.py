"""Any objective's example as text: a sample before and after its stages, and what is asked.

Nothing here knows an objective.  What a stage changed is seen by comparing; a target is taken for what it looks like:

    places whose labels are the ids that stood there     hidden tokens, marked in the text where they are not all of it
    one place with a small number                        a class of the whole example, named by ``Objective.class_names``
    places with other ids                                what has to be said at each place, such as the next token
    targets of a decoder                                 the text that it has to write

Words that are read as characters are shown as the text they spell.
A target with a point in its name, such as ``rtd.draw``, is what a stage hands on to its objective, and not shown.
"""

from __future__ import annotations

import itertools
from collections.abc import Iterable, Mapping, Sequence

import numpy as np
from numpy.typing import NDArray

from maskwright.data.batch import Sample
from maskwright.report.example import Answer, Example, Line, Mark, Shown
from maskwright.text.rules import UNKNOWN_ID
from maskwright.text.tokenizer import Tokenizer

__all__ = ["example_of"]

_NO_SPACE_BEFORE = frozenset(",.;:!?)]}%’”、。，；：！？）」』》")
_NO_SPACE_AFTER = frozenset("([{$‘“（「『《")
_NEIGHBOURS = {1: "the next one", -1: "the one before"}
_SPACES = ("Ġ", "Ċ", "▁")
"""How byte BPE and Unigram begin a piece that has white space before it."""


def example_of(
    title: str, before: Sample, after: Sample, tokenizer: Tokenizer, classes: Mapping[str, Sequence[str]]
) -> Example:
    """Describe a sample and what its stages made of it.

    classes: target -> the names of its labels, for targets that are a class of the whole example.
    """
    if after.ids.ndim > 1:
        return _of_words(title, before, after, tokenizer)
    mask_id = tokenizer.roles.get("mask", -1)
    same = len(before.ids) == len(after.ids)
    marks: list[Mark] = ["special" if special else "plain" for special in after.special]
    answers: list[Answer] = []
    for name, (places, labels) in after.targets.items():
        if "." in name:
            continue  # what a stage hands on to its objective
        if name in classes or _is_class(places, labels, before):
            names = classes.get(name, ())
            number = int(labels[0])
            answers.append(Answer(name, [names[number] if number < len(names) else f"class {number}"]))
        elif same and (before.ids[places] == labels).all():
            if len(places) >= int((~before.special).sum()):
                answers.append(Answer(name, [f"asked of each of the {len(places):,} tokens"]))
                continue
            for place in places.tolist():
                is_kept = after.ids[place] == before.ids[place]
                marks[place] = "masked" if after.ids[place] == mask_id else "kept" if is_kept else "random"
            answers.append(_hidden(name, places, before, marks, tokenizer))
        elif _is_beside(places + 1, labels, after.ids):
            answers.append(Answer(name, [f"at each of {len(places):,} tokens the next one"]))
        else:
            shown = zip(_words(after.ids[places], tokenizer), _words(labels, tokenizer), strict=True)
            answers.append(Answer(name, [f"{at} → {said}" for at, said in shown]))
    decoder = getattr(after, "decoder", None)  # of an encoder-decoder: what has to be written
    for name, (_, labels) in decoder.targets.items() if decoder is not None else ():
        answers.append(Answer(name, [_words_together(labels, tokenizer)]))
    seen = _shown(after.ids, marks, before.ids if same else after.ids, tokenizer)
    if same and not (before.ids != after.ids)[[mark == "plain" for mark in marks]].any():
        return Example(title, [Line("", seen)], answers)
    plain: list[Mark] = ["special" if special else "plain" for special in before.special]
    was = _shown(before.ids, plain, before.ids, tokenizer)
    return Example(title, [Line("as it was", was), Line("as the model sees it", seen)], answers)


def _is_class(places: NDArray[np.int64], labels: NDArray[np.generic], before: Sample) -> bool:
    return len(places) == 1 and bool(before.special[places[0]]) and int(labels[0]) != int(before.ids[places[0]])


def _is_beside(beside: NDArray[np.int64], labels: NDArray[np.generic], ids: NDArray[np.int64]) -> bool:
    """Whether the labels are the ids at those places, of which some may be beyond the text."""
    inside = (beside >= 0) & (beside < len(ids))
    return len(beside) > 1 and bool((ids[beside[inside]] == labels[inside]).all())


def _of_words(title: str, before: Sample, after: Sample, tokenizer: Tokenizer) -> Example:
    """Pieces of a vocabulary of words, of which every word is read by its spelling: the words that are in no vocabulary too."""
    begins = np.flatnonzero(before.ids < tokenizer.words)
    words = before.ids[begins]
    answers: list[Answer] = []
    for name, (places, labels) in after.targets.items():
        said = [which for step, which in _NEIGHBOURS.items() if _is_beside(places + step, labels, words)]
        answers.append(Answer(name, [f"at each of {len(places):,} words {' and '.join(said) or 'another one'}"]))
    marks: list[Mark] = ["special" if special else "plain" for special in before.special]
    ends = np.append(begins[1:], len(before.ids))
    unknown = [
        before.ids[begin:end] for begin, end in zip(begins, ends, strict=True) if before.ids[begin] == UNKNOWN_ID
    ]
    if unknown:
        answers.append(Answer("in no vocabulary", [tokenizer.decode(ids.tolist()).strip() for ids in unknown]))
    return Example(title, [Line("", _shown(before.ids, marks, before.ids, tokenizer))], answers)


def _hidden(
    name: str, places: NDArray[np.int64], before: Sample, marks: Sequence[Mark], tokenizer: Tokenizer
) -> Answer:
    """The original text of each stretch of tokens that were hidden alike."""
    said: list[str] = []
    kinds: list[Mark] = []
    for stretch in _stretches(places.tolist(), marks):
        pieces = _shown(before.ids[stretch], ["plain"] * len(stretch), before.ids[stretch], tokenizer)
        said.append(pieces[0].text if pieces else "")
        kinds.append(marks[stretch[0]])
    return Answer(name, said, ["plain" if kind == "masked" else kind for kind in kinds])


def _stretches(places: Iterable[int], marks: Sequence[Mark]) -> list[list[int]]:
    found: list[list[int]] = []
    for place in places:
        if found and found[-1][-1] == place - 1 and marks[place] == marks[place - 1]:
            found[-1].append(place)
        else:
            found.append([place])
    return found


def _words(ids: NDArray[np.generic], tokenizer: Tokenizer) -> list[str]:
    """Each id as text of its own."""
    return [_text([int(number)], [piece], tokenizer) for number, piece in _with_pieces(ids, tokenizer)]


def _words_together(ids: NDArray[np.int64], tokenizer: Tokenizer) -> str:
    marks: list[Mark] = ["special" if number in tokenizer.special_ids else "plain" for number in ids.tolist()]
    shown = _shown(ids, marks, ids, tokenizer)
    return "".join(" " * (at > 0 and one.space) + one.text for at, one in enumerate(shown))


def _with_pieces(ids: NDArray[np.generic], tokenizer: Tokenizer) -> list[tuple[int, str]]:
    # A label that only fills up, and rows of the embedding table beyond the vocabulary, have no piece.
    return [
        (number, tokenizer.pieces([number])[0] if 0 <= number < tokenizer.vocab_size else f"#{number}")
        for number in np.asarray(ids).tolist()
    ]


def _shown(ids: NDArray[np.int64], marks: Sequence[Mark], were: NDArray[np.int64], tokenizer: Tokenizer) -> list[Shown]:
    """Join pieces of one mark to text; hidden ones stay apart.  Spaces are those of the text that was there."""
    now, was = _with_pieces(ids, tokenizer), [piece for _, piece in _with_pieces(were, tokenizer)]
    stretches: list[list[int]] = []
    for at, mark in enumerate(marks):
        together = stretches and marks[at - 1] == mark and mark not in ("masked", "special")
        if together:
            stretches[-1].append(at)
        else:
            stretches.append([at])
    out = []
    for stretch in stretches:
        first = stretch[0]
        space = _has_space(was[first - 1] if first else "", was[first], tokenizer)
        text = _text([now[at][0] for at in stretch], [now[at][1] for at in stretch], tokenizer)
        out.append(Shown(text, marks[first], space or "special" in (marks[first], marks[first - 1])))
    return out


def _has_space(before: str, piece: str, tokenizer: Tokenizer) -> bool:
    if tokenizer.kind != "wordpiece":
        return piece.startswith(_SPACES)
    if piece.startswith("##") or piece[:1] in _NO_SPACE_BEFORE or before[-1:] in _NO_SPACE_AFTER:
        return False
    return not (_is_wide(before.removeprefix("##")[-1:]) and _is_wide(piece[:1]))


def _is_wide(character: str) -> bool:
    """Whether it is a character of a script without spaces, or its punctuation."""
    return bool(character) and (0x2E80 <= ord(character) < 0xA4D0 or ord(character) >= 0xF900 or character in "“”‘’—…")


def _text(ids: Sequence[int], pieces: Sequence[str], tokenizer: Tokenizer) -> str:
    """Return a stretch of pieces as text; of byte BPE and Unigram as the tokenizer itself decodes them."""
    special = tokenizer.special_ids
    if tokenizer.kind != "wordpiece" and not any(number in special for number in ids) and pieces[0][:1] != "#":
        return tokenizer.decode(ids).strip() or "␣"
    out = pieces[0].removeprefix("##") if len(pieces[0]) > 2 else pieces[0]
    for before, piece in itertools.pairwise(pieces):
        space = " " if _has_space(before, piece, tokenizer) else ""
        out += space + (piece.removeprefix("##") if len(piece) > 2 else piece)
    return out
