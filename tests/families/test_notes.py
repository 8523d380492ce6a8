"""The field notes' own formulas for BERT's parameters, line by line, against what is built."""

import pytest

from maskwright.families.bert import BERT


@pytest.mark.parametrize("size", BERT.presets)
def test_the_notes_formulas_add_up_but_for_their_last_line(size: str) -> None:
    spec = BERT.presets[size]
    v, d, layers = spec.vocabulary, spec.width, spec.stack.layers
    parts = {part: count for part, (_, count) in BERT.parameters(spec, {"pooler": 0, "mlm": 0, "nsp": 0}).items()}
    notes = {
        "a. three tables": (v * d + 512 * d + 2 * d, ["token embeddings", "position embeddings", "segment embeddings"]),
        "b. attention": ((4 * d**2 + 4 * d) * layers, ["attention: query, key, value, output"]),
        "c. LayerNorms": (2 * d + 2 * 2 * d * layers, ["embedding LayerNorm", "two LayerNorms"]),
        "d. feed-forward": ((8 * d**2 + 5 * d) * layers, ["feed-forward"]),
        "e. pooler": (d**2 + d, ["pooler"]),
    }
    for line, (formula, named) in notes.items():
        assert formula == sum(parts.pop(name) for name in named), line
    # f. says D·V + D·2 for both heads.  The D·V is the token table again; what is new is the rest.
    assert sum(parts.values()) == (d**2 + d) + 2 * d + v + (2 * d + 2)
