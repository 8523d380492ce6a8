"""Sentinels for a tokenizer that has none: the special pieces <extra_id_0>, <extra_id_1>, … of T5.

Raffel et al. 2020, section 3.1.4, https://arxiv.org/abs/1910.10683
"""

from __future__ import annotations

import tokenizers

from maskwright.errors import InputError
from maskwright.text.tokenizer import Tokenizer

__all__ = ["with_sentinels"]


def with_sentinels(tokenizer: Tokenizer, count: int = 100) -> Tokenizer:
    """Return the tokenizer with ``count`` sentinels behind its pieces; old pieces keep their ids.

    Raises InputError where it has the first of them already.
    """
    content, max_length = tokenizer.__getstate__()
    backend = tokenizers.Tokenizer.from_str(content)
    names = [f"<extra_id_{number}>" for number in range(count)]
    if backend.token_to_id(names[0]) is not None:
        raise InputError(f"text/sentinels: the tokenizer has {names[0]} already.")
    backend.add_special_tokens([tokenizers.AddedToken(name, normalized=False, special=True) for name in names])
    roles = {role: tokenizer.pieces([number])[0] for role, number in tokenizer.roles.items()}
    return Tokenizer(backend, max_length, roles)
