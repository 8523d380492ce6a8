"""Where the sentences of a text end.

A sentence is the unit that BERT's pairs are made of.  Every character of a text belongs to exactly one sentence:
sentence k is ``text[ends[k - 1]:ends[k]]`` and the last end is the length of the text.  A line end always closes a
sentence, and one that holds nothing but white space joins its neighbour.

The rules of each language are those of sentencex.  It is given one line at a time, and a long line in windows: its
time grows with the square of the number of sentences in text outside ASCII (150,000 Chinese characters took 7 s, in
windows 0.1 s).
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator

from sentencex import segment

from maskwright.text.sound import sound

__all__ = ["line_ends", "sentence_ends"]

WINDOW = 1024
"""Characters handed to sentencex at once, unless a single sentence is longer."""
_WIDE_SPACE = re.compile(r"[^\S\x00-\x7f]")


def sentence_ends(text: str, language: str = "en") -> list[int]:
    """Return the character position after each sentence of ``text``.

    ``language`` is an ISO 639-1 code; sentencex falls back to general rules where it has none for that language.
    """
    text = sound(text)
    if not text.isascii():
        # sentencex slices at the byte after a white space, and panics where that one is longer (NBSP before an initial).
        text = _WIDE_SPACE.sub(" ", text)
    return _join_blank(_sentences(text, language))


def line_ends(text: str) -> list[int]:
    """Return the position after each line of ``text``: for corpora that hold one sentence a line, as BERT's own do."""
    return _join_blank(_lines(text))


def _lines(text: str) -> Iterator[str]:
    """Yield the lines of a text with their ends.  Not splitlines: that one cuts at U+2028 and others too."""
    begin = 0
    while begin < len(text):
        stop = text.find("\n", begin) + 1 or len(text)
        yield text[begin:stop]
        begin = stop


def _sentences(text: str, language: str) -> Iterator[str]:
    for line in _lines(text):
        if len(line) <= WINDOW:
            yield from _split(line, language)
        else:
            yield from _split_windows(line, language)


def _split(line: str, language: str) -> list[str]:
    # Whatever sentencex makes of the white space around them, together they are the line again.
    sentences: list[str] = segment(language, line)
    known = sum(map(len, sentences[:-1]))
    return [*sentences[:-1], line[known:]]


def _split_windows(line: str, language: str) -> Iterator[str]:
    begin, width = 0, WINDOW
    while len(line) - begin > width:
        sentences = segment(language, line[begin : begin + width])
        if len(sentences) < 2:
            width *= 2
            continue
        # The window may have cut the last sentence; the next window begins with it.
        yield from sentences[:-1]
        begin += sum(map(len, sentences[:-1]))
        width = WINDOW
    yield from _split(line[begin:], language)


def _join_blank(sentences: Iterable[str]) -> list[int]:
    ends: list[int] = []
    at = 0
    for sentence in sentences:
        at += len(sentence)
        if not sentence.isspace():
            ends.append(at)
        elif ends:
            ends[-1] = at
    if not ends and at:
        ends.append(at)
    return ends
