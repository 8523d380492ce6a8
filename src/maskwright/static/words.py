"""Where the words of a text are, for vectors that belong to words: the one rule of this room, English and Chinese.

A word is a run of letters, digits and combining marks; an apostrophe between letters belongs to it (don't).  Everything else
separates and is dropped: white space, punctuation, symbols, emoji, the underscore.  Text is brought to Unicode's NFC first.

Chinese characters never share a word with others: under ``zh`` a run of them is cut by rjieba, under ``en`` each is a word of
its own.  Other scripts without spaces (kana, Thai) stay in one piece: there is no rule for them here.

Vectors and texts must be split alike, or words that are there are not found; so a folder keeps its rule.
"""

from __future__ import annotations

import re
import sys
import unicodedata
from functools import lru_cache
from typing import Literal

from maskwright.config import Config
from maskwright.text.sound import sound
from maskwright.text.spans import CHINESE
from maskwright.text.words import need_words, word_ends

__all__ = ["Words"]

_CHINESE = re.compile("([" + "".join(f"{chr(first)}-{chr(last)}" for first, last in CHINESE) + "]+)")
_PLAIN = re.compile(r"\w+(?:['’]\w+)*")
_MARKS = ("Mn", "Mc")
_CLITIC = re.compile(r"(?<=.)(n't|'(?:s|re|ve|ll|d|m))$", re.IGNORECASE)


@lru_cache(maxsize=1)
def _with_marks() -> re.Pattern[str]:
    # The regular expressions of Python count no combining mark as part of a word, and NFC does not take all of them away.
    marks = "".join(chr(c) for c in range(0x300, sys.maxunicode) if unicodedata.category(chr(c)) in _MARKS)
    return re.compile(rf"[\w{marks}]+(?:['’][\w{marks}]+)*")


class Words(Config):
    """How a text is cut into words."""

    language: Literal["en", "zh"] = "en"
    """zh cuts Chinese into words (needs rjieba); en makes each Chinese character a word."""
    lowercase: bool = True
    """Write words in lower case before they are looked up."""
    clitics: Literal["join", "split"] = "join"
    """split cuts don't into do and n't, as the Penn Treebank and the GloVe files do; join leaves it whole."""
    version: Literal[1] = 1
    """Of the rule: a folder written under another one is refused."""

    def split(self, text: str) -> list[str]:
        """Return the words of a text, in order.  Raises MissingExtra under zh without rjieba."""
        text = unicodedata.normalize("NFC", sound(text))
        if self.lowercase:
            text = text.lower()
        text = text.replace("_", " ")
        if text.isascii():
            found = _PLAIN.findall(text)
        else:
            marked = any(unicodedata.category(letter) in _MARKS for letter in set(text))
            runs = (_with_marks() if marked else _PLAIN).findall(text)  # the former takes five times as long
            found = [part for run in runs for part in self._parts(run.replace("’", "'"))]
        if self.clitics == "split":
            found = [part for word in found for part in (_CLITIC.split(word) if "'" in word else [word]) if part]
        return found

    def need(self) -> None:
        """Raise MissingExtra where this rule cannot be followed here."""
        if self.language == "zh":
            need_words()

    def _parts(self, run: str) -> list[str]:
        """Cut a run of word characters where Chinese begins or ends."""
        if run.isascii():
            return [run]
        parts: list[str] = []
        for at, part in enumerate(_CHINESE.split(run)):
            if not at % 2:
                other = part.strip("'")
                # A mark may stand alone, behind a space; it is no word.
                parts.extend([other] if any(map(str.isalnum, other)) else [])
            elif self.language == "en":
                parts.extend(part)
            else:
                begin = 0
                for end in word_ends(part, [len(part)]):
                    parts.append(part[begin:end])
                    begin = end
        return parts
