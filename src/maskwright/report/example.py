"""An example as an objective shows it to a model, drawn for a terminal: readable with colours and without.

[MASK]    a hidden token           bold red
{word}    another one in its place  underlined magenta
<word>    asked for, and kept      green
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from typing import Literal

from rich.console import Console, ConsoleOptions, Group, RenderableType, RenderResult
from rich.text import Text

__all__ = ["Answer", "Example", "Line", "Mark", "Shown", "draw_examples"]

Mark = Literal["plain", "special", "masked", "random", "kept"]

_STYLES: dict[Mark, str] = {
    "plain": "",
    "special": "dim",
    "masked": "bold red",
    "random": "underline magenta",
    "kept": "green",
}
_AROUND: dict[Mark, tuple[str, str]] = {"random": ("{", "}"), "kept": ("<", ">")}
_MEANS: dict[Mark, str] = {
    "masked": "hidden",
    "random": "another token in its place",
    "kept": "asked for and kept",
}
_WIDE = re.compile("([\u2e80-\ua4cf\uf900-\ufaff\uff00-\uffef])")
"""Characters of scripts that end a line anywhere."""
_CLOSING = frozenset(",.;:!?)]}>、。，；：！？）」』》”’")
MOST_ANSWERS = 60
"""Answers of one objective that are written out."""


@dataclass(frozen=True)
class Shown:
    """A stretch of text under one mark."""

    text: str
    mark: Mark = "plain"
    space: bool = True
    """Whether a space stands before it."""


@dataclass(frozen=True)
class Line:
    """One way in which the example stands: as it was, or as the model sees it."""

    title: str
    shown: Sequence[Shown]


@dataclass(frozen=True)
class Answer:
    """What one objective asks."""

    name: str
    said: Sequence[str]
    """Each answer, in order."""
    marks: Sequence[Mark] = ()
    """(answers,) how each was shown, where that means something."""


@dataclass(frozen=True)
class Example:
    """One example with its answers."""

    title: str
    lines: Sequence[Line]
    answers: Sequence[Answer] = field(default_factory=tuple)


def draw_examples(examples: Iterable[Example], mask: str) -> RenderableType:
    """Return the examples, below a legend of the marks that occur; ``mask`` is how the tokenizer writes a hidden token."""
    drawn: list[RenderableType] = []
    met: set[Mark] = set()
    for example in examples:
        drawn.append(Text(f"\n{example.title}", style="bold"))
        for line in example.lines:
            if line.title:
                drawn.append(Text(line.title, style="dim"))
            drawn.append(_Wrapped([word for shown in line.shown for word in _words(shown)]))
            met |= {shown.mark for shown in line.shown}
        drawn += [_answer(answer) for answer in example.answers]
    legend = Text("   ").join(
        Text().append_text(_marked(mask if mark == "masked" else "word", mark)).append(f" {means}")
        for mark, means in _MEANS.items()
        if mark in met
    )
    return Group(*([legend] if legend else []), *drawn)


def _marked(text: str, mark: Mark) -> Text:
    before, after = _AROUND.get(mark, ("", ""))
    return Text(before + text + after, style=_STYLES[mark])


_Word = tuple[Text, bool, bool]
"""Characters that stay on one line, whether a space stands before them, and whether a line may end there without one."""


def _words(shown: Shown) -> list[_Word]:
    """Cut a stretch where lines may end: at spaces, and between the characters of scripts without them."""
    if shown.mark in ("masked", "special"):
        return [(_marked(shown.text, shown.mark), shown.space, shown.mark == "masked")]
    found: list[_Word] = []
    marked = _marked(shown.text, shown.mark)
    for at, word in enumerate(marked.plain.split(" ")):
        for place, part in enumerate(filter(None, _WIDE.split(word))):
            space = place == 0 and (at > 0 or shown.space)
            found.append((Text(part, style=marked.style), space, bool(_WIDE.match(part))))
    return found


class _Wrapped:
    """Words laid into lines of the terminal's width, two columns in."""

    def __init__(self, words: Sequence[_Word], head: Text | None = None) -> None:
        self._words, self._head = words, head

    def __rich_console__(self, console: Console, options: ConsoleOptions) -> RenderResult:
        width = max(20, options.max_width - 1)
        line = Text("  ") + (self._head or Text())
        for cluster, space in self._clusters():
            gap = int(space and bool(line.plain.strip()))
            if len(line) > 2 and line.cell_len + gap + cluster.cell_len > width:
                yield line
                line = Text("  ")
            elif gap:
                line.append(" ")
            line.append_text(cluster)
        yield line

    def _clusters(self) -> Iterator[tuple[Text, bool]]:
        """Join words between which no line may end."""
        held: Text | None = None
        held_space = loose = False
        for word, space, free in self._words:
            ends = space or ((free or loose) and word.plain[:1] not in _CLOSING)
            if held is not None and ends:
                yield held, held_space
            if held is None or ends:
                held, held_space = word.copy(), space
            else:
                held.append_text(word)
            loose = free
        if held is not None:
            yield held, held_space


def _answer(answer: Answer) -> RenderableType:
    words: list[_Word] = []
    marks = answer.marks or ["plain"] * len(answer.said)
    for at, (said, mark) in enumerate(zip(answer.said[:MOST_ANSWERS], marks, strict=False)):
        if at:
            words.append((Text("·", style="dim"), True, False))
        words += _words(Shown(said, mark))
    if (more := len(answer.said) - MOST_ANSWERS) > 0:
        words.append((Text(f"· and {more:,} more", style="dim"), True, False))
    return _Wrapped(words, Text(f"{answer.name}:", style="dim"))
