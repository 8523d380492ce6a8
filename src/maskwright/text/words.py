"""Where the words of a Chinese text end, by rjieba: a dictionary, and a hidden Markov model for what is not in it.

BERT's Chinese vocabulary holds characters, so only this tells whole-word masking what belongs together.
Cui et al. 2019, https://arxiv.org/abs/1906.08101
"""

from __future__ import annotations

from collections.abc import Iterable

from maskwright.errors import MissingExtra

__all__ = ["need_words", "word_ends"]


def need_words() -> None:
    """Raise MissingExtra where the words of a Chinese text cannot be found."""
    try:
        import rjieba  # noqa: F401
    except ImportError as error:
        raise MissingExtra("rjieba", "zh", "--language zh (the words of Chinese)") from error


def word_ends(text: str, ends: Iterable[int]) -> list[int]:
    """Return the character position after each word of ``text``, white space and punctuation being words too.

    ``ends`` are those of its sentences; each is the end of a word.  Raises MissingExtra without rjieba.
    """
    need_words()
    import rjieba

    found: list[int] = []
    begin = 0
    for end in ends:
        for word in rjieba.cut(text[begin:end]):
            begin += len(word)
            found.append(begin)
    return found
