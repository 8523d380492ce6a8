"""What the content of a tokenizer.json says about how ids come about."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Sequence
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from maskwright.text.spans import CHINESE

__all__ = [
    "BEGIN_ID",
    "BYTES",
    "END_ID",
    "UNKNOWN_ID",
    "Borders",
    "bert_settings",
    "borders",
    "fingerprint",
    "is_bytes",
    "steps",
    "whole_words",
    "word_starts",
    "words_are_local",
]

Borders = Literal["bert", "bytes", "words"]
"""How a tokenizer cuts a text before it looks for pieces: as BERT, as GPT-2, or at white space alone."""

_LOCAL = {"NFC", "NFD", "NFKC", "NFKD", "Nmt", "StripAccents", "Lowercase", "Precompiled"}
"""Normalisers that change no character because of one beyond a space."""

BYTES = {chr(byte): byte for byte in (*range(0x21, 0x7F), *range(0xA1, 0xAD), *range(0xAE, 0x100))}
BYTES |= {chr(256 + place): byte for place, byte in enumerate(sorted(set(range(256)) - set(BYTES.values())))}
"""The characters by which byte BPE writes bytes.  Source: openai/gpt-2, src/encoder.py."""

END_ID, BEGIN_ID, UNKNOWN_ID = range(3)
"""Ids in a vocabulary of words; see text/vocabulary.py."""


def fingerprint(content: dict[str, Any]) -> str:
    """Return the sha256 of what decides the ids: not of file layout, framing, decoding or limits."""
    deciding = {name: content[name] for name in ("added_tokens", "normalizer", "pre_tokenizer", "model")}
    text = json.dumps(deciding, sort_keys=True, separators=(",", ":"), ensure_ascii=True)
    return hashlib.sha256(text.encode("ascii")).hexdigest()


def words_are_local(content: dict[str, Any]) -> bool:
    """Whether the ids of a text are those of its space-separated chunks in a row."""
    return borders(content) == "bert"


def borders(content: dict[str, Any]) -> Borders | None:
    """Return how texts are cut, where the ids on both sides of a space are known not to depend on each other."""
    normalizer, cutter = content["normalizer"], steps(content["pre_tokenizer"])
    kinds = [step["type"] for step in cutter]
    if not all(token["special"] for token in content["added_tokens"]):
        return None  # such a piece is found in a text before anything else
    if isinstance(normalizer, dict) and normalizer["type"] == "BertNormalizer" and kinds == ["BertPreTokenizer"]:
        return "bert" if content["pre_tokenizer"]["type"] == "BertPreTokenizer" else None
    if not all(_is_local(step) for step in steps(normalizer)):
        return None
    if any(character.isspace() for token in content["added_tokens"] for character in token["content"]):
        return None
    if kinds == ["ByteLevel"] and cutter[0]["use_regex"]:
        return "bytes"
    if kinds == ["WhitespaceSplit", "Metaspace"] and cutter[1]["prepend_scheme"] == "always" and cutter[1]["split"]:
        return "words"
    return None


def steps(rule: dict[str, Any] | None) -> list[dict[str, Any]]:
    """Return the steps of a normaliser or pre-tokenizer, sequences taken apart."""
    if rule is None:
        return []
    inner = rule.get("normalizers", rule.get("pretokenizers")) if rule["type"] == "Sequence" else None
    return [rule] if inner is None else [step for part in inner for step in steps(part)]


def is_bytes(content: dict[str, Any]) -> bool:
    """Whether pieces are written in bytes."""
    return any(step["type"] == "ByteLevel" for step in steps(content["pre_tokenizer"]))


def whole_words(content: dict[str, Any]) -> int:
    """Return how many pieces of a vocabulary of words are words, borders and the unknown one included; 0 for any other."""
    model = content["model"]
    if model["type"] != "BPE" or not model.get("ignore_merges") or model["merges"]:
        return 0
    first = [model["vocab"].get(piece) for piece in ("</S>", "<S>", "Ġ")]
    return len(model["vocab"]) - len(BYTES) + 1 if first == [END_ID, BEGIN_ID, UNKNOWN_ID] else 0


def word_starts(content: dict[str, Any], pieces: Sequence[str]) -> NDArray[np.bool_]:
    """Return for each piece whether it begins a word, (V,).

    WordPiece: it is not marked as continuing.  Byte BPE and Unigram: it begins with a space, with a Chinese character (in
    bytes: with the first byte of one), or is special.  So punctuation belongs to the word it stands at, as in
    RoBERTa's whole-word masking.  In a vocabulary of words all but the bytes begin one.  The first piece of a text begins a
    word whatever is said here.
    """
    if words := whole_words(content):
        return np.arange(len(pieces)) < words
    if content["model"]["type"] == "WordPiece":
        prefix = content["model"]["continuing_subword_prefix"]
        return np.array([not piece.startswith(prefix) for piece in pieces], dtype=np.bool_)
    special = {token["content"] for token in content["added_tokens"] if token["special"]}
    begins = _bytes_begin if is_bytes(content) else _text_begins
    return np.array([piece in special or begins(piece) for piece in pieces], dtype=np.bool_)


def bert_settings(normalizer: dict[str, Any] | None) -> dict[str, bool | None]:
    """What a reader that knows only vocab.txt must be told."""
    if normalizer is None or normalizer["type"] != "BertNormalizer":
        return {}
    return {
        "do_lower_case": normalizer["lowercase"],
        "strip_accents": normalizer["strip_accents"],
        "tokenize_chinese_chars": normalizer["handle_chinese_chars"],
    }


def _is_local(step: dict[str, Any]) -> bool:
    if step["type"] != "Replace":
        return step["type"] in _LOCAL
    pattern = step["pattern"].get("String", " ")
    return not any(character.isspace() for character in pattern + step["content"])


def _text_begins(piece: str) -> bool:
    return piece.startswith("▁") or _is_chinese(ord(piece[0]))


def _bytes_begin(piece: str) -> bool:
    data = bytes(BYTES[character] for character in piece[:4] if character in BYTES)
    first = data[:1]
    if first.isspace() or not first or first >= b"\xf1":
        return first.isspace()
    # All characters of E4 … E9 are Chinese; of the others one must see more.
    if b"\xe4" <= first <= b"\xe9":
        return True
    size = 3 if first >= b"\xe0" else 0
    character = data[: size + (first >= b"\xf0")].decode("utf-8", errors="ignore") if size else ""
    return bool(character) and _is_chinese(ord(character))


def _is_chinese(code: int) -> bool:
    return any(first <= code <= last for first, last in CHINESE)
