"""Words as the characters they are spelt with: the ids that ELMo reads, and a tokenizer of them.

A character is a byte of the word's UTF-8, so none is unknown.  Numbers and limits are those of bilm-tf's
UnicodeCharsVocabulary as AllenNLP's elmo_indexer.py gives it to the network: every number plus 1, so that 0 is left for
padding between sentences; padding inside a word is a character like any other.

Unlike there, a word of a text that happens to read ``<S>`` is those three bytes: text is only text.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Sequence
from pathlib import Path
from types import MappingProxyType
from typing import Any

import numpy as np
from numpy.typing import NDArray

from maskwright.errors import InputError, explain_os_error
from maskwright.text.special import Frame, Place
from maskwright.text.split import Splitter, split_words
from maskwright.text.tokenizer import Tokenizer

__all__ = [
    "BEGIN",
    "CHARACTERS",
    "END",
    "WORD_LENGTH",
    "CharacterTokenizer",
    "spell",
    "spell_bytes",
]

CHARACTERS = 262
"""Ids there are: padding between sentences, 256 bytes, and the five below."""
WORD_LENGTH = 50
"""Ids a word: its begin, at most 48 bytes, its end, and padding."""
_BEGIN_TEXT, _END_TEXT, _BEGIN_WORD, _END_WORD, _PAD_WORD = range(257, 262)

_CLASS = "MaskwrightCharacterTokenizer"
_FILE = "tokenizer_config.json"


def spell(words: Sequence[str]) -> NDArray[np.int64]:
    """Return the character ids of words, (W, 50): begin, the first 48 bytes, end, padding."""
    spelt = [word.encode("utf-8", "ignore") for word in words]
    lengths = np.array([len(word) for word in spelt], dtype=np.int64)
    return spell_bytes(np.frombuffer(b"".join(spelt), dtype=np.uint8), lengths)


def spell_bytes(content: NDArray[np.uint8], lengths: NDArray[np.int64]) -> NDArray[np.int64]:
    """Return the same of words whose bytes lie end to end; lengths: (W,) bytes of each."""
    ids = np.full((len(lengths), WORD_LENGTH), _PAD_WORD, dtype=np.int64)
    which = np.repeat(np.arange(len(lengths)), lengths)
    place = np.arange(len(which)) - np.repeat(np.cumsum(lengths) - lengths, lengths)
    kept = place < WORD_LENGTH - 2
    ids[which[kept], place[kept] + 1] = content[kept].astype(np.int64) + 1
    ids[:, 0] = _BEGIN_WORD
    ids[np.arange(len(lengths)), np.minimum(lengths, WORD_LENGTH - 2) + 1] = _END_WORD
    return ids


def _alone(character: int) -> tuple[int, ...]:
    """The spelling of a sentence's border: a word of one character that no byte is."""
    return (_BEGIN_WORD, character, _END_WORD, *[_PAD_WORD] * (WORD_LENGTH - 3))


BEGIN, END = _alone(_BEGIN_TEXT), _alone(_END_TEXT)
"""The spelling of ``<S>`` and ``</S>``, which stand around every sentence."""


class CharacterTokenizer:
    """Text to words to characters: what ``Tokenizer`` is for pieces, as far as a model needs it.  Picklable.

    Where a ``Tokenizer`` has an id, this has a tuple of 50; where it gives a list of ids, an array (W, 50).

    Attributes:
        splitter: how text falls into words; see ``split_words``.
        max_length: longest sequence in words, the two borders included.
        words: the vocabulary of words that a language model on top of it predicts, and that corpora are stored in; None where
            there is none.
    """

    kind = "characters"
    vocab_size = CHARACTERS
    lowercase = False
    pad_id = 0
    cls_id = bos_id = BEGIN
    sep_id = eos_id = END
    roles = MappingProxyType({"pad": 0, "cls": BEGIN, "sep": END, "bos": BEGIN, "eos": END})
    frame = Frame((Place(BEGIN, -1, 0), Place(None, 0, 0), Place(END, -1, 0)), ())  # type: ignore[arg-type]
    """A text stands between its borders; two texts in one sequence are nothing that the model has met."""

    def __init__(self, splitter: Splitter = "marks", max_length: int = 512, words: Tokenizer | None = None) -> None:
        if splitter not in ("marks", "spaces"):
            raise InputError(f"text/characters: splitter is {splitter!r}; marks or spaces is expected")
        if type(max_length) is not int or max_length < 3:
            raise InputError(f"text/characters: max_length is {max_length!r}; a whole number from 3 is expected")
        if words is not None and (not words.words or splitter != "marks"):
            raise InputError(
                f"text/characters: words is a vocabulary of {words.kind} pieces and the splitter {splitter!r}; whole words, as "
                "maskwright tokenizer train --kind words finds them, and marks are expected."
            )
        self.splitter, self.max_length, self.words = splitter, max_length, words

    @property
    def fingerprint(self) -> str:
        """Of everything that decides the ids."""
        return hashlib.sha256(f"characters 1 {self.splitter}".encode()).hexdigest()

    def encode(self, text: str) -> NDArray[np.int64]:
        """Return the ids of a text's words, (W, 50), without its borders."""
        return spell(split_words(text, self.splitter))

    def encode_batch(self, texts: Sequence[str]) -> list[NDArray[np.int64]]:
        """Return the ids of each text."""
        return [self.encode(text) for text in texts]

    def encode_batch_truncated(self, texts: Sequence[str], max_tokens: int) -> list[NDArray[np.int64]]:
        """Return the ids of the first ``max_tokens`` words of each text, reading little more of it than they need."""
        return [spell(self._first_words(text, max_tokens)) for text in texts]

    def _first_words(self, text: str, count: int) -> list[str]:
        """No word goes across white space, so what stands before some of it can be split alone."""
        size = 16 * count
        while size < len(text):
            space = max(text.rfind(space, 0, size) for space in " \n\t")
            if space > 0 and len(words := split_words(text[:space], self.splitter)) >= count:
                return words[:count]
            size *= 4
        return split_words(text, self.splitter)[:count]

    def encode_marked(self, text: str) -> NDArray[np.int64]:
        """Refuse a prompt with [MASK]: InputError, since no word stands for a hidden one."""
        raise InputError(
            "text/characters: ELMo has no token that is hidden, so nothing can be filled in; take a model with a masked LM head"
        )

    def pieces(self, ids: Sequence[Sequence[int]] | NDArray[np.int64]) -> list[str]:
        """Return the words that are spelt so, as far as 48 bytes tell them; borders by their names, padding empty.

        InputError for numbers that spell nothing.
        """
        rows = np.asarray(ids, dtype=np.int64)
        if rows.shape[1:] != (WORD_LENGTH,):
            raise InputError(f"text/characters: a word is {WORD_LENGTH} ids, and these are of shape {rows.shape}")
        return [self._word(tuple(row)) for row in rows.tolist()]

    def _word(self, row: tuple[int, ...]) -> str:
        if row in (BEGIN, END):
            return "<S>" if row == BEGIN else "</S>"
        if not any(row):
            return ""
        end = row.index(_END_WORD) if _END_WORD in row else -1
        spelt = row[1:end]
        if row[0] != _BEGIN_WORD or end < 0 or not all(0 < number <= 256 for number in spelt):
            raise InputError(f"text/characters: the ids {list(row[:8])} … spell no word")
        return bytes(number - 1 for number in spelt).decode("utf-8", "replace")

    def save(self, folder: str | Path) -> None:
        """Write tokenizer_config.json, whose class no other library has; words, where there are some, as tokenizer.json."""
        content = {"tokenizer_class": _CLASS, "splitter": self.splitter, "model_max_length": self.max_length}
        Path(folder).mkdir(parents=True, exist_ok=True)
        if self.words is not None:
            self.words.save(folder)
        (Path(folder) / _FILE).write_text(json.dumps(content, indent=2) + "\n", encoding="utf-8", newline="\n")

    @classmethod
    def load(cls, folder: str | Path) -> CharacterTokenizer:
        """Read what ``save`` has written; InputError for anything else."""
        path = Path(folder) / _FILE
        try:
            content: Any = json.loads(path.read_text("utf-8"))
        except OSError as error:
            raise explain_os_error(error, "text/characters: reading") from error
        except (ValueError, RecursionError) as error:
            raise InputError(
                f"text/characters: {path} is not JSON ({error}). Copy it again from its source."
            ) from error
        expected = {"tokenizer_class", "splitter", "model_max_length"}
        if not isinstance(content, dict) or content.get("tokenizer_class") != _CLASS or set(content) != expected:
            raise InputError(
                f"text/characters: {path} does not describe a tokenizer of characters; the fields "
                f"{', '.join(sorted(expected))} are expected, with tokenizer_class {_CLASS}"
            )
        words = Tokenizer.load(folder) if (Path(folder) / "tokenizer.json").is_file() else None
        return cls(content["splitter"], content["model_max_length"], words)
