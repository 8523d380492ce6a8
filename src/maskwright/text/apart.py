"""Text is only text: a Unigram model finds every piece in a text, and so its special pieces too."""

from __future__ import annotations

import re

from tokenizers import Regex, Tokenizer, pre_tokenizers

__all__ = ["cut_names"]


def cut_names(backend: Tokenizer) -> Tokenizer:
    """Return a tokenizer under which what reads like the name of a special piece is two words, cut behind its first character.

    Everything else has the ids that ``backend`` gives.
    """
    rests: dict[str, list[str]] = {}
    for token in backend.get_added_tokens_decoder().values():
        if token.special and len(token.content) > 1:
            rests.setdefault(token.content[0], []).append(token.content[1:])
    if not rests:
        return backend
    names = (f"{re.escape(first)}(?={'|'.join(map(re.escape, rest))})" for first, rest in rests.items())
    cut = Tokenizer.from_str(backend.to_str())
    split = pre_tokenizers.Split(Regex("|".join(names)), "merged_with_previous")
    cut.pre_tokenizer = pre_tokenizers.Sequence([*([cut.pre_tokenizer] if cut.pre_tokenizer else []), split])
    return cut
