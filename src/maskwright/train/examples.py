"""Examples of a corpus as objectives would show them, without a training."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from maskwright.config import EncoderConfig, PretrainConfig
from maskwright.data.plan import Budget
from maskwright.errors import ConfigError, InputError, did_you_mean
from maskwright.families import FAMILIES
from maskwright.keys import Key
from maskwright.objective import Together
from maskwright.objectives import OBJECTIVES
from maskwright.objectives.example import example_of
from maskwright.objectives.measure import measure
from maskwright.report.example import Example
from maskwright.train.setup import Pretraining, make_objective

__all__ = ["Examples", "deal_options", "examples_of"]

_DOCUMENTS = 64
"""Documents that examples are made of."""
_MEASURED = 400
"""Examples on which a masking is measured."""


@dataclass(frozen=True)
class Examples:
    """What a user looks at before a run."""

    examples: Sequence[Example]
    masking: Mapping[str, Any]
    """As ``objectives.measure`` finds it; empty for objectives that hide no tokens."""
    mask: str
    """How the tokenizer writes a hidden token; empty where it has none."""


def deal_options(names: str, options: Mapping[str, Any]) -> dict[str, dict[str, Any]]:
    """Give each option to the first of the named objectives that has it; ConfigError where none has."""
    dealt: dict[str, dict[str, Any]] = {}
    fields = {name: OBJECTIVES[name].load().Config.model_fields for name in map(str.strip, names.split(",")) if name}
    for option, value in options.items():
        owner = next((name for name, known in fields.items() if option in known), None)
        if owner is None:
            known = [field for each in fields.values() for field in each]
            raise ConfigError(
                f"no option --{option} of {names}.{did_you_mean(option, known)} Known: {', '.join(known) or 'none'}."
            )
        dealt.setdefault(owner, {})[option] = value
    return dealt


def examples_of(
    folder: Path,
    names: str,
    options: Mapping[str, Mapping[str, Any]],
    *,
    length: int = 128,
    count: int = 3,
    seed: int = 0,
) -> Examples:
    """Return some examples of random documents of a corpus, as the named objectives would show them to a model.

    ConfigError for objectives and options that do not go together, InputError for a corpus that gives no example.
    """
    objective = make_objective(names, options)
    config = {
        "corpus": folder,
        "out": Path(),  # nothing is written
        "objectives": names,
        "objective": {name: dict(values) for name, values in options.items()},
        "length": length,
        "held_out": 0.0,
        "train": {"seed": seed},
    }
    parts = _carried(objective, config, max(length, EncoderConfig().positions))
    chosen = np.sort(Key(seed).stream("corpus.examples").order(parts.column.documents)[:_DOCUMENTS])
    source, stages, key = parts.source(chosen), parts.collator().stages, Key(seed)
    plan = source.plan(Budget(examples=1), key)
    if not len(plan.order):
        raise InputError(f"{folder} gives no example at length {length}")
    pairs = []
    for number in plan.order[: max(count, _MEASURED)].tolist():
        before = after = source.sample(plan, number)
        for stage in stages:
            after = stage(after, key.at(before.number))
        pairs.append((before, after))
    tokenizer = parts.model.stored
    classes = {member.name: member.class_names for member in objective.members if member.class_names}
    mask_id = tokenizer.roles.get("mask", -1)
    return Examples(
        [
            example_of(f"Example {at}, {len(after.ids)} tokens", before, after, tokenizer, classes)
            for at, (before, after) in enumerate(pairs[:count], start=1)
        ],
        measure(pairs, mask_id),
        tokenizer.pieces([mask_id])[0] if mask_id >= 0 else "",
    )


def _carried(objective: Together, config: dict[str, Any], positions: int) -> Pretraining:
    """The objectives with a tiny model of the first architecture that can learn them: stages are made for a model."""
    first: ConfigError | None = None
    for entry in FAMILIES:
        if set(objective.heads) <= set(entry.load().heads):
            encoder = {"family": entry.name, "layers": 1, "width": 16, "heads": 1, "positions": positions}
            try:
                return Pretraining.of(PretrainConfig.of({**config, "encoder": encoder}))
            except ConfigError as error:
                first = first or error
    raise first or ConfigError(f"no architecture carries all heads of {objective.name}: {', '.join(objective.heads)}")
