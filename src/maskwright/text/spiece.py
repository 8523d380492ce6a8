"""The vocabulary file of SentencePiece, ``spiece.model``, read without its library.

The file is one protocol-buffer message.  Only what decides ids is read: the pieces with their scores and types, the kind
of model, the unknown piece and the compiled table of character replacements.  Every length is checked against the
file before anything is taken from it.

Source: google/sentencepiece, sentencepiece_model.proto; https://protobuf.dev/programming-guides/encoding
"""

from __future__ import annotations

import struct
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from maskwright.errors import InputError

__all__ = ["CONTROL", "USER_DEFINED", "PieceModel", "read_pieces"]

CONTROL, USER_DEFINED = 3, 4
"""Types of a piece: one that no text is read as, and one that is always taken whole."""

_UNKNOWN = 2
_UNIGRAM = 1
_KINDS = {1: "unigram", 2: "BPE", 3: "word", 4: "character"}
_MAX_BYTES = 1 << 26
_MAX_DEPTH_OF_VARINT = 10

_PIECES, _TRAINER, _NORMALIZER = 1, 2, 3
_TEXT, _SCORE, _TYPE = 1, 2, 3
_MODEL_TYPE, _BYTE_FALLBACK, _SUFFIX = 3, 35, 24
_CHARSMAP, _DUMMY_PREFIX, _TRIM, _ESCAPE = 2, 3, 4, 5


@dataclass(frozen=True)
class PieceModel:
    """What a spiece.model says; a piece's id is its position."""

    pieces: list[tuple[str, float]]
    """(piece, score) of each id."""
    types: list[int]
    unk: int
    """Id of the unknown piece."""
    charsmap: bytes
    """Replacements before splitting, as SentencePiece compiled them; may be empty."""


def read_pieces(file: Path) -> PieceModel:
    """Read a Unigram model; raises InputError where the file is damaged, of another kind, or has rules that we have not."""
    content = file.read_bytes()
    if len(content) > _MAX_BYTES:
        raise InputError(
            f"text/tokenizer: {file} has {len(content):,} bytes; a spiece.model has at most {_MAX_BYTES:,}."
        )
    try:
        return _read(content)
    except (ValueError, TypeError, struct.error) as error:
        raise InputError(
            f"text/tokenizer: {file} is not a sound SentencePiece model ({error}). Copy it again from its source."
        ) from error
    except _Unsupported as error:
        raise InputError(f"text/tokenizer: {file}: {error}") from error


class _Unsupported(Exception):
    pass


def _read(content: bytes) -> PieceModel:
    pieces: list[tuple[str, float]] = []
    types: list[int] = []
    charsmap, seen = b"", False
    for field, value in _fields(content):
        if field == _PIECES:
            piece, score, kind = _piece(_bytes(value))
            pieces.append((piece, score))
            types.append(kind)
        elif field == _TRAINER:
            seen = True
            _check_trainer(dict(_fields(_bytes(value))))
        elif field == _NORMALIZER:
            rules = dict(_fields(_bytes(value)))
            charsmap = _bytes(rules.get(_CHARSMAP, b""))
            for number, name in ((_DUMMY_PREFIX, "add_dummy_prefix"), (_TRIM, "remove_extra_whitespaces")):
                if not rules.get(number, 1):
                    raise _Unsupported(f"its {name} is off, which Maskwright does not follow. Give a tokenizer.json.")
            if not rules.get(_ESCAPE, 1):
                raise _Unsupported("its escape_whitespaces is off, which Maskwright does not follow.")
    if not seen or not pieces:
        raise ValueError("no pieces" if seen else "no trainer's settings")
    unknown = [number for number, kind in enumerate(types) if kind == _UNKNOWN]
    if len(unknown) != 1:
        raise ValueError(f"{len(unknown)} unknown pieces where one is expected")
    names = {piece for piece, _ in pieces}
    if len(names) != len(pieces):
        raise ValueError(f"{len(pieces) - len(names):,} pieces stand in it twice")
    return PieceModel(pieces, types, unknown[0], charsmap)


def _check_trainer(settings: dict[int, int | bytes]) -> None:
    kind = settings.get(_MODEL_TYPE, _UNIGRAM)
    if kind != _UNIGRAM:
        name = _KINDS.get(kind, "strange") if isinstance(kind, int) else "strange"
        raise _Unsupported(f"it holds a {name} model; Maskwright reads Unigram ones. Give a tokenizer.json instead.")
    for number, name in ((_BYTE_FALLBACK, "byte_fallback"), (_SUFFIX, "treat_whitespace_as_suffix")):
        if settings.get(number, 0):
            raise _Unsupported(f"its {name} is on, which Maskwright does not follow. Give a tokenizer.json instead.")


def _piece(content: bytes) -> tuple[str, float, int]:
    text, score, kind = "", 0.0, 1
    for field, value in _fields(content):
        if field == _TEXT:
            text = _bytes(value).decode("utf-8")
        elif field == _SCORE:
            (score,) = struct.unpack("<f", _bytes(value))
        elif field == _TYPE:
            kind = int(value)
    if not text:
        raise ValueError("a piece without text")
    if score != score or score in (float("inf"), float("-inf")):
        raise ValueError(f"the score of {text!r} is {score}")
    return text, score, kind


def _bytes(value: int | bytes) -> bytes:
    if not isinstance(value, bytes):
        raise ValueError("a number where text or a message is expected")
    return value


def _fields(content: bytes) -> Iterator[tuple[int, int | bytes]]:
    """Walk a message: (field number, value); numbers as int, everything else as bytes."""
    at = 0
    while at < len(content):
        key, at = _varint(content, at)
        field, wire = key >> 3, key & 7
        if wire == 0:
            number, at = _varint(content, at)
            yield field, number
            continue
        if wire == 2:
            size, at = _varint(content, at)
        elif wire in (1, 5):
            size = 8 if wire == 1 else 4
        else:
            raise ValueError(f"byte {at:,}: unknown wire type {wire}")
        if size > len(content) - at:
            raise ValueError(f"byte {at:,}: {size:,} bytes announced, {len(content) - at:,} are there")
        yield field, content[at : at + size]
        at += size


def _varint(content: bytes, at: int) -> tuple[int, int]:
    number = 0
    for place in range(_MAX_DEPTH_OF_VARINT):
        if at + place >= len(content):
            raise ValueError("it ends in the middle of a number")
        byte = content[at + place]
        number |= (byte & 0x7F) << 7 * place
        if byte < 0x80:
            return number, at + place + 1
    raise ValueError(f"byte {at:,}: a number of more than {_MAX_DEPTH_OF_VARINT} bytes")
