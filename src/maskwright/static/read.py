"""Vector files of other programs: which format one has, and its rows as a stream.

    word2vec text, fastText .vec     a header, a word a line           .gz too
    GloVe                            a word a line, no header          .gz too
    word2vec binary                  a header, float32                 .gz too
    fastText .bin                    with the n-grams of its words

Told by what is in the file, not by its name.  Nothing is unpickled, and nothing is believed: a header that promises more than
the file can hold is refused before memory is taken.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

from maskwright.errors import DataError, InputError
from maskwright.static.opened import Row, Seen, opened
from maskwright.static.read_binary import binary_rows
from maskwright.static.read_fasttext import MAGIC
from maskwright.static.read_text import header_of, text_rows, width_of
from maskwright.static.words import Words

__all__ = ["Format", "VectorFile", "format_of", "words_of"]

Format = Literal["text", "glove", "binary", "fasttext"]
"""text: word2vec's, with a header; glove: without one; binary: word2vec's; fasttext: a .bin."""

_ENOUGH = 4_096
_CONTROL = bytes(range(9)) + b"\x0b\x0c" + bytes(range(14, 32)) + b"\x7f"
_FOREIGN = {
    b"PK\x03\x04": "a .zip; unpack it and give one of the files in it",
    b"\xfd7zX": "an .xz; unpack it (xz -d), or pack it with gzip",
    b"\x28\xb5\x2f\xfd": "a .zst; unpack it (zstd -d), or pack it with gzip",
    b"\x93NUM": "a numpy array, which has no words; give a vector file",
}
_PICKLE = (
    "a Python pickle, which is never opened here: it can run anything. In gensim: model.wv.save_word2vec_format(...)"
)


def format_of(path: Path) -> Format:
    """Tell a file's format from its first bytes; InputError where it is none of ours."""
    with opened(path) as file:
        head = file.stream.read(1 << 16)
        packed = file.packed
    if head.startswith(MAGIC):
        if packed:
            raise InputError(f"{path}: a fastText .bin is mapped, not read; unpack it first (gzip -d)")
        return "fasttext"
    foreign = next((what for magic, what in _FOREIGN.items() if head.startswith(magic)), None)
    if head[:1] == b"\x80" and head[1:2] <= b"\x05":
        foreign = _PICKLE
    if foreign:
        raise InputError(f"{path}: {foreign}")
    first, _, rest = head.partition(b"\n")
    found = header_of(first)
    if found is not None:
        return "binary" if _is_binary(rest, found[1]) else "text"
    if not width_of(first) or _has_control(head[:_ENOUGH]):
        raise InputError(
            f"{path}: not a vector file. Its first line must be 'words width' (word2vec, fastText) or a word and its "
            "numbers (GloVe)"
        )
    return "glove"


def _is_binary(rest: bytes, width: int) -> bool:
    """Whether numbers of four bytes follow the first word: printed ones have no control characters among them."""
    numbers = rest.partition(b" ")[2][: min(4 * width, _ENOUGH)]
    return _has_control(numbers) or any(byte > 0x7F for byte in numbers.partition(b"\n")[0])


def _has_control(data: bytes) -> bool:
    return bool(set(data) & set(_CONTROL))


@dataclass(frozen=True)
class VectorFile:
    """A file of rows: any format but fastText's .bin."""

    path: Path
    format: Format
    skip_bad_words: bool = False
    """Leave out, and count, words that are empty, not UTF-8 or there twice; otherwise they are errors."""

    def rows(self, skipped: dict[str, int]) -> Iterator[Row]:
        """Yield (word, vector (D,) float32); ``skipped`` receives how many words were left out, by reason.

        Raises DataError naming the line or the byte for everything that a sound file does not have.
        """
        seen = Seen(self.path, skip=self.skip_bad_words)
        seen.skipped = skipped
        with opened(self.path) as file:
            if self.format == "binary":
                yield from binary_rows(self.path, file, seen)
            else:
                yield from text_rows(self.path, file, seen, header=self.format == "text")
        if not seen.places:
            raise DataError("every word had to be left out", file=self.path)


def words_of(vocabulary: Sequence[str], known: Mapping[str, Any]) -> Words:
    """Guess how texts were split where a file does not say; ``known`` are the fields that the user does know.

    In lower case where no word has an upper case letter; clitics apart where "n't" is a word and "don't" is not; Chinese by
    words where at least a hundredth of the vocabulary has two Chinese characters or more.
    """
    there = set(vocabulary)
    chinese = sum(1 for word in vocabulary if len(word) > 1 and all("\u3400" <= letter <= "\u9fff" for letter in word))
    guess = {
        "language": "zh" if 100 * chinese >= len(vocabulary) else "en",
        "lowercase": not any(word != word.lower() for word in vocabulary),
        "clitics": "split" if "n't" in there and "don't" not in there else "join",
    }
    return Words.of({**guess, **known}, "words.")
