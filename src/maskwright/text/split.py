"""A text's words for models that read whole words."""

from __future__ import annotations

from typing import Literal

from tokenizers import Regex, pre_tokenizers

from maskwright.text.sound import sound

__all__ = ["MARKS", "Splitter", "split_words"]

Splitter = Literal["marks", "spaces"]

_LETTERS = r"[\p{L}\p{M}\p{N}]"
_WORDS = pre_tokenizers.Split(
    Regex(
        r"\p{Han}"  # one Chinese character
        r"|(?:\p{L}\.){2,}"  # U.S.
        rf"|(?<={_LETTERS})['’]\p{{L}}+"  # 's of it's
        r"|\p{N}+(?:[.,:]\p{N}+)+"  # 1,234.5 and 12:30
        rf"|(?:(?!\p{{Han}}){_LETTERS})+(?:-(?:(?!\p{{Han}}){_LETTERS})+)*"  # well-known
        r"|([\p{P}\p{S}])\1+"  # ... and --
        r"|(?![\s\p{Cc}])\X"  # any other mark, an emoji with all that belongs to it
    ),
    behavior="removed",
    invert=True,
)
_SPACES = pre_tokenizers.Split(Regex(r"\s+"), behavior="removed")
MARKS = pre_tokenizers.Sequence([_SPACES, _WORDS])
"""The rule ``marks`` of ``split_words``; white space first, which some signs of Unicode would take into their cluster."""


def split_words(text: str, splitter: Splitter = "marks") -> list[str]:
    """Return the words of a text.

    ``spaces``: what stands between white space, for text that is split already.  ``marks``: raw text, near to how the
    One Billion Word Benchmark, which the published models have read, is split: punctuation stands alone, but repeated marks
    stay together (``...``); so do abbreviations (``U.S.``), numbers (``1,234.5``) and words with hyphens; what follows an
    apostrophe is a word with it (``it 's``); a Chinese character and an emoji is a word each; control characters separate.
    """
    return [word for word, _ in (MARKS if splitter == "marks" else _SPACES).pre_tokenize_str(sound(text))]
