"""What the content of a tokenizer.json says about how ids come about."""

from __future__ import annotations

import hashlib
import json
from typing import Any

__all__ = ["bert_settings", "fingerprint", "words_are_local"]


def fingerprint(content: dict[str, Any]) -> str:
    """Return the sha256 of what decides the ids: not of file layout, framing, decoding or limits."""
    deciding = {name: content[name] for name in ("added_tokens", "normalizer", "pre_tokenizer", "model")}
    text = json.dumps(deciding, sort_keys=True, separators=(",", ":"), ensure_ascii=True)
    return hashlib.sha256(text.encode("ascii")).hexdigest()


def words_are_local(content: dict[str, Any]) -> bool:
    """Whether the ids of a text are those of its space-separated chunks in a row."""
    return (
        isinstance(content["normalizer"], dict)
        and content["normalizer"]["type"] == "BertNormalizer"
        and isinstance(content["pre_tokenizer"], dict)
        and content["pre_tokenizer"]["type"] == "BertPreTokenizer"
        and all(token["special"] for token in content["added_tokens"])
    )


def bert_settings(normalizer: dict[str, Any] | None) -> dict[str, bool | None]:
    """What a reader that knows only vocab.txt must be told."""
    if normalizer is None or normalizer["type"] != "BertNormalizer":
        return {}
    return {
        "do_lower_case": normalizer["lowercase"],
        "strip_accents": normalizer["strip_accents"],
        "tokenize_chinese_chars": normalizer["handle_chinese_chars"],
    }
