"""What a masking really hides, as text: for the terminal before a run, and for its page."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from maskwright.report.numbers import share

__all__ = ["masking_rows"]


def masking_rows(facts: Mapping[str, Any]) -> dict[str, str]:
    """Return name and value of each fact of a ``masking`` record; empty where nothing is hidden.

    Holds what ``objectives.measure`` finds; under ``gazetteer`` what became of its lines, and how often entities were found.
    """
    if not facts:
        return {}
    kinds = ", ".join(f"{share(facts[kind])} {name}" for kind, name in _KINDS.items())
    rows = {
        "tokens hidden": f"{share(facts['hidden'])}, special ones counted",
        "of these": kinds,
        "side by side": f"{facts['span_tokens']:.2f} tokens, {facts['span_words']:.2f} words on average",
        "hidden words": f"{share(facts['words_partly'])} of them only in part",
    }
    if gazetteer := facts.get("gazetteer"):
        left_out = ", ".join(f"{count:,} {name}" for name, count in gazetteer.items() if name in _LEFT_OUT and count)
        found = f"{gazetteer['entities']:,} entities, found {gazetteer['found']:,} times"
        rows["gazetteer"] = found + (f"; left out: {left_out}" if left_out else "")
    rows["measured on"] = f"{facts['examples']:,} examples, {facts['tokens']:,} tokens"
    return rows


_KINDS = {"masked": "[MASK]", "random": "a random token", "kept": "kept"}
_LEFT_OUT = ("empty", "duplicate", "unknown", "too long")
