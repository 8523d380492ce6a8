"""Text that can be written down.

A Python string may hold half of a surrogate pair (JSON lets one in as ``\\ud800``); neither UTF-8 nor a tokenizer can.
"""

from __future__ import annotations

import re

__all__ = ["sound"]

_SURROGATE = re.compile("[\ud800-\udfff]")


def sound(text: str) -> str:
    """Put U+FFFD for each half of a surrogate pair; positions stay."""
    return text if text.isascii() else _SURROGATE.sub("\ufffd", text)
