"""Where the sentences of a text end.

A sentence is the unit that BERT's pairs are made of.  Every character of a text belongs to exactly one sentence:
sentence k is ``text[ends[k - 1]:ends[k]]`` and the last end is the length of the text.  A line end always closes a
sentence, and one that holds nothing but white space joins its neighbour.

The rules of each language are those of sentencex.  It is given one line at a time, and a long line in windows: its
time grows with the square of the number of sentences in text outside ASCII (150,000 Chinese characters took 7 s, in
windows 0.1 s).
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator

from sentencex import segment

from maskwright.text.sound import sound

__all__ = ["line_ends", "sentence_ends"]

WINDOW = 1024
"""Characters handed to sentencex at once, unless a single sentence is longer."""


def sentence_ends(text: str, language: str = "en") -> list[int]:
    """Return the character position after each sentence of ``text``.

    ``language`` is an ISO 639-1 code; sentencex falls back to general rules where it has none for that language.
    """
    text = sound(text)
    ends = (end for begin, stop in _lines(text) for end in _ends_in_line(text, begin, stop, language))
    return _join_blank(text, ends)


def line_ends(text: str) -> list[int]:
    """Return the position after each line of ``text``: for corpora that hold one sentence a line, as BERT's own do."""
    return _join_blank(text, (stop for _, stop in _lines(text)))


def _lines(text: str) -> Iterator[tuple[int, int]]:
    begin = 0
    while begin < len(text):
        stop = text.find("\n", begin) + 1 or len(text)
        yield begin, stop
        begin = stop


def _ends_in_line(text: str, begin: int, stop: int, language: str) -> Iterator[int]:
    """Yield the sentence ends within text[begin:stop], which holds a line end at most as its last character."""
    width = WINDOW
    while stop - begin > width:
        sentences = segment(language, text[begin : begin + width])
        if len(sentences) < 2:
            width *= 2
            continue
        # The window may have cut the last sentence; the next window begins with it.
        for sentence in sentences[:-1]:
            begin += len(sentence)
            yield begin
        width = WINDOW
    for sentence in segment(language, text[begin:stop])[:-1]:
        begin += len(sentence)
        yield begin
    yield stop


def _join_blank(text: str, ends: Iterable[int]) -> list[int]:
    joined: list[int] = []
    begin = 0
    for end in ends:
        if not text[begin:end].isspace():
            joined.append(end)
        elif joined:
            joined[-1] = end
        else:
            continue
        begin = end
    if not joined and text:
        joined.append(len(text))
    return joined
