"""Whether a corpus is written in the letters of the language it was built for."""

from __future__ import annotations

import unicodedata
from collections import Counter

import numpy as np

from maskwright.corpus.store import Corpus

__all__ = ["foreign_letters"]

_DOCUMENTS, _CHARS = 16, 2_000
"""Documents read for their script, and characters of each."""
_LANGUAGES = {
    ("LATIN",): "ca cs da de en es et fi fr hr hu id it lt lv nl no pl pt ro sk sl sq sv tr vi",
    ("CYRILLIC",): "be bg mk ru uk",
    ("ARABIC",): "ar fa ur",
    ("DEVANAGARI",): "hi mr ne",
    ("CJK",): "zh",
    ("CJK", "HIRAGANA", "KATAKANA"): "ja",
    ("HANGUL", "CJK"): "ko",
    ("GREEK",): "el",
    ("HEBREW",): "he",
    ("THAI",): "th",
}
"""First words of the Unicode names of letters, and the languages written in them.  Others are not checked."""


def foreign_letters(corpus: Corpus) -> tuple[float, str] | None:
    """Return the share of letters that are not of the corpus's language, and the script that most letters are of.

    Goes by some documents from all over the corpus; None where the language is not known here, no
    letter was found or no text was kept.
    """
    expected = next((names for names, codes in _LANGUAGES.items() if corpus.language in codes.split()), None)
    if expected is None or not corpus.documents or not corpus.has_text:
        return None
    some = np.unique(np.linspace(0, corpus.documents - 1, _DOCUMENTS).astype(np.int64)).tolist()
    letters = [char for number in some for char in corpus.text(number)[1][:_CHARS] if char.isalpha()]
    if not letters:
        return None
    scripts = Counter(unicodedata.name(char, "unnamed").split()[0] for char in letters)
    return 1 - sum(scripts[script] for script in expected) / len(letters), scripts.most_common(1)[0][0]
