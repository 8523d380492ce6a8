"""Byte BPE and Unigram tokenizers built around the files that the models were published with.

``vocab.json`` with ``merges.txt`` (GPT-2, RoBERTa, BART) and ``spiece.model`` (ALBERT, XLNet, T5) hold pieces, not
rules; the rules are those of the models' own code, put together as the transformers library does.
"""

from __future__ import annotations

import struct
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
from tokenizers import Tokenizer, decoders, models, normalizers, pre_tokenizers, processors

from maskwright.errors import InputError
from maskwright.text.special import CONVENTIONS, Convention, convention_of
from maskwright.text.spiece import CONTROL, PieceModel, read_pieces

__all__ = [
    "SPACE",
    "byte_backend",
    "check_charsmap",
    "frame_backend",
    "read_merges",
    "read_spiece",
    "short",
    "unigram_backend",
]

SPACE = "▁"
"""Begins a word in a Unigram vocabulary."""

_SENTINELS = 100
"""T5's ``<extra_id_…>``, which its spiece.model has not."""


def byte_backend(
    vocabulary: dict[str, int],
    merges: list[tuple[str, str]],
    *,
    prefix_space: bool,
    normalizer: normalizers.Normalizer | None = None,
) -> Tokenizer:
    """Build GPT-2's tokenizer, which reads bytes: no text is unknown to it.

    ``prefix_space`` puts a space before a text, so that its first word is spelt as in the middle of one.
    Source: openai/gpt-2, src/encoder.py.
    """
    backend = Tokenizer(models.BPE(vocabulary, merges, continuing_subword_prefix="", end_of_word_suffix=""))
    if normalizer is not None:
        backend.normalizer = normalizer
    backend.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=prefix_space)
    backend.decoder = decoders.ByteLevel()
    return backend


def unigram_backend(pieces: list[tuple[str, float]], unk: int, normalizer: normalizers.Normalizer | None) -> Tokenizer:
    """Build a tokenizer that cuts at white space and spells each word, ``▁`` before it, with its likeliest pieces.

    Kudo 2018, https://arxiv.org/abs/1804.10959.
    """
    backend = Tokenizer(models.Unigram([(piece, short(score)) for piece, score in pieces], unk_id=unk))
    if normalizer is not None:
        backend.normalizer = normalizer
    backend.pre_tokenizer = pre_tokenizers.Sequence(
        [pre_tokenizers.WhitespaceSplit(), pre_tokenizers.Metaspace(replacement=SPACE, prepend_scheme="always")]
    )
    backend.decoder = decoders.Metaspace(replacement=SPACE, prepend_scheme="always")
    return backend


def short(score: float) -> float:
    """Round to the 15 digits that the tokenizers library reads back unchanged; of 17 it may lose the last bit."""
    return float(f"{score:.15g}")


def frame_backend(backend: Tokenizer, convention: Convention) -> Tokenizer:
    """Lay the special pieces of a convention around texts; every piece that it names must be there."""
    backend.add_special_tokens(list(dict.fromkeys(convention.roles.values())))
    template = f"{convention.single} {convention.pair}"
    framing = [piece for piece in dict.fromkeys(convention.roles.values()) if f"{piece}:" in template]
    backend.post_processor = processors.TemplateProcessing(
        single=convention.single,
        pair=convention.pair,
        special_tokens=[(piece, backend.token_to_id(piece)) for piece in framing],
    )
    return backend


def read_merges(folder: Path, config: Mapping[str, Any], parse: Any) -> Tokenizer:
    """Read vocab.json and merges.txt; raises InputError naming file and line."""
    file, merging = folder / "vocab.json", folder / "merges.txt"
    vocabulary = parse(file)
    for piece, number in vocabulary.items():
        if not isinstance(number, int) or isinstance(number, bool) or number < 0:
            raise InputError(f"text/tokenizer: {file}: the id of {piece!r} is {number!r}; a number from 0 is expected.")
    try:
        lines = merging.read_bytes().decode("utf-8").removeprefix("\ufeff").split("\n")
    except UnicodeDecodeError as error:
        raise InputError(f"text/tokenizer: {merging} is not UTF-8 text (byte {error.start:,}).") from error
    merges: list[tuple[str, str]] = []
    for number, line in enumerate(lines, start=1):
        line = line.removesuffix("\r")
        if not line or (number == 1 and line.startswith("#version")):
            continue
        parts = line.split(" ")
        if len(parts) != 2 or not all(parts):
            raise InputError(f"text/tokenizer: {merging}, line {number:,}: {line[:60]!r}; two pieces are expected.")
        unknown = [piece for piece in (*parts, "".join(parts)) if piece not in vocabulary]
        if unknown:
            raise InputError(
                f"text/tokenizer: {merging}, line {number:,}: {unknown[0]!r} is no piece of {file.name}; "
                "the two files are not of one model."
            )
        merges.append((parts[0], parts[1]))
    convention = _convention(file, config, vocabulary, ("roberta", "gpt2"))
    missing = sorted(set(pre_tokenizers.ByteLevel.alphabet()) - set(vocabulary))
    if missing:
        raise InputError(
            f"text/tokenizer: {file} has no piece for {len(missing)} bytes ({missing[0]!r} …): no byte BPE."
        )
    backend = byte_backend(vocabulary, merges, prefix_space=config.get("add_prefix_space") is True)
    return frame_backend(backend, convention)


def read_spiece(file: Path, config: Mapping[str, Any]) -> Tokenizer:
    """Read a spiece.model with the rules of ALBERT, XLNet or T5, whichever its pieces show.

    A number and the comma behind it are kept apart as in ALBERT's and XLNet's code: such a piece loses 100 of its score,
    which is how the published tokenizer.json files have it.  Pieces that SentencePiece calls user-defined are ordinary
    pieces, of the highest score.
    """
    model = read_pieces(file)
    check_charsmap(file, model.charsmap)
    names = [piece for piece, _ in model.pieces]
    convention = _convention(file, config, names, ("albert", "xlnet", "t5"))
    pieces = list(model.pieces)
    steps: list[normalizers.Normalizer] = []
    if convention is CONVENTIONS["t5"]:
        pieces += [(f"<extra_id_{number}>", 0.0) for number in reversed(range(_SENTINELS))]
    else:
        pieces = [(piece, score - 100 if _number_comma(piece) else score) for piece, score in pieces]
        steps = [normalizers.Replace("``", '"'), normalizers.Replace("''", '"')]
        if config.get("keep_accents") is not True:
            steps += [normalizers.NFKD(), normalizers.StripAccents()]
        if config.get("do_lower_case", convention is CONVENTIONS["albert"]) is True:
            steps.append(normalizers.Lowercase())
    if model.charsmap:
        steps.append(normalizers.Precompiled(model.charsmap))
    backend = unigram_backend(pieces, model.unk, normalizers.Sequence(steps) if steps else None)
    backend.add_special_tokens(_controls(model) + [piece for piece, _ in pieces[len(model.pieces) :]])
    return frame_backend(backend, convention)


def _convention(file: Path, config: Mapping[str, Any], pieces: Any, names: tuple[str, ...]) -> Convention:
    found = convention_of(config, pieces)
    known = [CONVENTIONS[name] for name in names]
    missing = [piece for piece in found.roles.values() if piece not in pieces] if found else []
    if found not in known or missing:
        absent = f" lacks {', '.join(dict.fromkeys(missing))}" if missing else " has special pieces of no known model"
        raise InputError(
            f"text/tokenizer: {file}{absent}. Without a tokenizer.json Maskwright reads this file for "
            f"{', '.join(names)} only; save the tokenizer with the library it comes from to get a tokenizer.json."
        )
    return found


def _controls(model: PieceModel) -> list[str]:
    return [piece for (piece, _), kind in zip(model.pieces, model.types, strict=True) if kind == CONTROL]


def _number_comma(piece: str) -> bool:
    return len(piece) > 1 and piece[-1] == "," and piece[-2].isdigit()


def check_charsmap(file: Path, charsmap: bytes) -> None:
    """Refuse a table of replacements that points outside itself, on which the library would break off.

    The table is a double array (Yata et al. 2007, as in darts-clone) and, behind it, the replacements it points to.
    """
    if not charsmap:
        return
    size = struct.unpack_from("<I", charsmap)[0] if len(charsmap) >= 4 else 1
    if size % 4 or not 0 < size <= len(charsmap) - 4:
        raise _damaged(file)
    units = np.frombuffer(charsmap, "<u4", size // 4, 4).astype(np.int64)
    text = np.frombuffer(charsmap, np.uint8, offset=4 + size)
    inner = np.flatnonzero(units >> 31 == 0)
    base = inner ^ ((units[inner] >> 10) << ((units[inner] & 512) >> 6))
    if len(base) and base.max() | 255 >= len(units):
        raise _damaged(file)
    values = units[base[(units[inner] & 256) != 0]] & 0x7FFFFFFF
    if len(values) and (values.max() >= len(text) or (text[values] & 0xC0 == 0x80).any() or text[-1] != 0):
        raise _damaged(file)
    try:
        text.tobytes().decode("utf-8")
    except UnicodeDecodeError as error:
        raise _damaged(file) from error


def _damaged(file: Path) -> InputError:
    return InputError(f"text/tokenizer: {file}: its table of character replacements is damaged. Copy it again.")
