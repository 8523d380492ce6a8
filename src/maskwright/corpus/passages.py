"""Passages whose origin is known, and the labelled task that they make: where does this text come from?

The label of a function's docstring is its package, that of a paragraph of a user's own text its document.  The task keeps its
sides apart (near-duplicates, and passages of one group, stay on one side) and does not give the answer away (the names of
the classes are blanked).
"""

from __future__ import annotations

import re
from collections import defaultdict
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from functools import cache

from maskwright.corpus.duplicates import groups, merge
from maskwright.keys import Key

__all__ = ["NoTask", "Passage", "Split", "cut_text", "labelled_task", "passages_of_documents"]

LARGEST_PASSAGE = 600  # characters
SMALLEST_PASSAGE = 80  # characters, of a passage from a document
DEV_SHARE, TEST_SHARE = 0.10, 0.26  # of a class's passages
FEWEST_CLASSES = 3
BLANK, LONG_NAME = "library", 5  # what stands for a name; letters from which it is blanked inside a word too

_SENTENCE_END = re.compile(r"[.!?][\"')]* |[。！？]")
_HYPHENATED = re.compile(r"\w+(?:-\w+)*")


@dataclass(frozen=True)
class Passage:
    """A short text whose origin is known."""

    text: str
    label: str
    """Where it comes from: a package, or a document."""
    group: str
    """Passages of one group stay on one side of a split."""
    source: str
    """The function, or the document and the passage's number in it."""
    names: tuple[str, ...] = ()
    """Spellings of the label that would give it away."""


def cut_text(text: str) -> Iterator[str]:
    """Cut a text into passages of at most ``LARGEST_PASSAGE`` characters: after a sentence, else a word, where one ends."""
    while len(text) > LARGEST_PASSAGE:
        head = text[:LARGEST_PASSAGE]
        ends = [match.end() for match in _SENTENCE_END.finditer(head)]
        end = ends[-1] if ends and ends[-1] >= SMALLEST_PASSAGE else head.rfind(" ") + 1 or LARGEST_PASSAGE
        yield text[:end].strip()
        text = text[end:]
    yield text.strip()


def passages_of_documents(documents: Iterable[tuple[str, str]]) -> list[Passage]:
    """Cut (id, text) documents into passages of 80 to 600 characters, labelled with the document's id.

    A passage ends where a blank line does; lines without one between them are taken together.
    """
    found = []
    for identity, text in documents:
        pieces: list[str] = []
        waiting = ""
        for line in [*text.splitlines(), ""]:
            waiting = f"{waiting} {line.strip()}".strip()
            if len(waiting) >= (LARGEST_PASSAGE if line.strip() else SMALLEST_PASSAGE):
                pieces += (piece for piece in cut_text(waiting) if len(piece) >= SMALLEST_PASSAGE)
                waiting = ""
        found += [Passage(piece, identity, f"{identity}#{n}", f"{identity}#{n}") for n, piece in enumerate(pieces)]
    return found


@dataclass(frozen=True)
class Split:
    """A labelled task: passages to train on, to choose by and to report on, each in a drawn order."""

    labels: tuple[str, ...]
    train: tuple[Passage, ...]
    dev: tuple[Passage, ...]
    test: tuple[Passage, ...]


@dataclass(frozen=True)
class NoTask:
    """Why the passages make no labelled task."""

    reason: str


def labelled_task(
    passages: Sequence[Passage], *, classes: int = 12, per_class: tuple[int, int] = (40, 330), seed: int = 0
) -> Split | NoTask:
    """Draw a balanced task "where does this text come from?" with its three sides apart.

    The labels with most passages are its classes, at most ``classes``; each gives between the two numbers of
    ``per_class``, 64 % to train, 10 % to dev and 26 % to test.  Near-duplicates and passages of one group stay on one
    side; a text whose near-duplicate has another label is left out.  The names of all classes are replaced in all texts
    by a neutral word.  Returns ``NoTask`` where fewer than three labels have passages enough.
    """
    fewest, most = per_class
    drawn = [passages[place] for place in Key(seed).stream("docstrings.task").order(len(passages))]
    of_label: defaultdict[str, list[Passage]] = defaultdict(list)
    for passage in drawn:
        of_label[passage.label].append(passage)
    chosen = sorted(of_label, key=lambda label: (-len(of_label[label]), label))[:classes]
    blank = _blank({name for label in chosen for name in of_label[label][0].names})
    # Twice the number wanted, so that enough is left of it without the ambiguous and the surplus of large clusters.
    pool = [replace(p, text=blank(p.text)) for label in chosen for p in of_label[label][: 2 * most]]
    clusters = _clusters(pool)
    sides: dict[str, list[Passage]] = {"train": [], "dev": [], "test": []}
    labels = []
    for label in chosen:
        members = [cluster for cluster in clusters if cluster[0].label == label]
        available = min(most, sum(len(cluster) for cluster in members))
        if available >= fewest:
            labels.append(label)
            _deal(members, available, sides)
    if len(labels) < FEWEST_CLASSES:
        return NoTask(
            f"a labelled task needs at least {FEWEST_CLASSES} sources with {fewest} different passages each; "
            f"{len(labels)} of {len(of_label)} have that many. Give longer texts, or more of them."
        )
    return Split(tuple(sorted(labels)), *(_mixed(side, seed) for side in sides.values()))


def _blank(names: set[str]) -> Callable[[str], str]:
    """Return a function that puts a neutral word for names; a long one is blanked inside a word too (torch, PyTorch)."""
    spelled = {name.lower() for name in names}
    long = [name for name in spelled if len(name) >= LONG_NAME]

    @cache
    def gives_away(word: str) -> bool:
        return word in spelled or any(name in word for name in long)

    def neutral(match: re.Match[str]) -> str:
        return BLANK if gives_away(match.group().lower()) else match.group()

    return lambda text: _HYPHENATED.sub(neutral, text)


def _clusters(pool: Sequence[Passage]) -> list[list[Passage]]:
    """Return the passages that must stay together, without those whose near-duplicate has another label."""
    near = groups([passage.text for passage in pool])
    labels_of: defaultdict[int, set[str]] = defaultdict(set)
    for group, passage in zip(near, pool, strict=True):
        labels_of[group].add(passage.label)
    clear = [place for place, group in enumerate(near) if len(labels_of[group]) == 1]
    together = merge(near[clear], [pool[place].group for place in clear])
    clusters: defaultdict[int, list[Passage]] = defaultdict(list)
    for cluster, place in zip(together, clear, strict=True):
        clusters[cluster].append(pool[place])
    return list(clusters.values())


def _deal(clusters: Sequence[list[Passage]], available: int, sides: dict[str, list[Passage]]) -> None:
    """Deal a class's clusters whole: to test and dev while they have room for one, else to train."""
    dev, test = round(available * DEV_SHARE), round(available * TEST_SHARE)
    room = {"test": test, "dev": dev, "train": available - dev - test}
    for cluster in clusters:
        side = next((side for side, left in room.items() if len(cluster) <= left), None)
        if side:
            room[side] -= len(cluster)
            sides[side] += cluster


def _mixed(side: Sequence[Passage], seed: int) -> tuple[Passage, ...]:
    return tuple(side[place] for place in Key(seed).stream("docstrings.mix").order(len(side)))
