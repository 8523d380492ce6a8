"""What a step sees, how many steps there are, and the shorter or smaller steps that a run may begin with.

Numbers that were measured (steps that fit the minutes, tokens that fit the memory) are kept in the run folder: a resumed run
must not measure again.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

from maskwright.config import TrainConfig
from maskwright.data.loader import Loader, Phase
from maskwright.data.plan import Budget
from maskwright.data.source import Source
from maskwright.errors import ConfigError
from maskwright.model import Model
from maskwright.objective import Objective
from maskwright.train.calibrate import steps_in
from maskwright.train.memory import micro_tokens_for
from maskwright.train.world import ALONE, World

__all__ = ["budget_of", "micro_tokens_of", "steps_of", "warmed_up"]

_EARLY = ((0.0, 4), (0.5, 2))
"""(share of the warm-up after which it holds, divisor of the full size)."""
SHORTEST = 16
"""Tokens of an example, special ones included."""


def budget_of(train: TrainConfig) -> Budget:
    """Return what a step sees; ConfigError unless just one of tokens and examples is set."""
    return Budget(train.tokens, train.examples)


def micro_tokens_of(train: TrainConfig, model: Model, length: int, folder: Path, world: World = ALONE) -> int:
    """Return the most tokens computed at once."""
    if train.micro_tokens != "auto":
        return train.micro_tokens
    return _kept(folder / "micro-tokens.txt", lambda: micro_tokens_for(model, train, length), world)


def _kept(file: Path, measure: Callable[[], int], world: World = ALONE) -> int:
    """Return the number in a file of the run folder, measured and written first where there is none."""
    if not world.of_first(file.exists()):
        number = min(world.gather(measure()))
        if world.first:
            file.parent.mkdir(parents=True, exist_ok=True)
            file.write_text(f"{number}\n")
        world.wait()
    return int(file.read_text())


def steps_of(
    train: TrainConfig, loader: Loader, model: Model, objective: Objective, folder: Path, world: World = ALONE
) -> int:
    """Return the number of steps; ConfigError unless just one of steps, epochs and minutes is set."""
    given = [name for name in ("steps", "epochs", "minutes") if getattr(train, name) is not None]
    if len(given) != 1:
        raise ConfigError(f"train: give one of steps, epochs and minutes, not {' and '.join(given) or 'none'}")
    if train.steps is not None:
        return train.steps
    if train.epochs is not None:
        return max(1, round(train.epochs * loader.full_plan().steps))
    return _kept(folder / "steps.txt", lambda: steps_in(model, objective, loader, train, world), world)


def warmed_up(
    loader: Loader,
    steps: int,
    *,
    batch: float,
    length: float = 0.0,
    full_length: int = 0,
    shorter: Callable[[int], Source] | None = None,
) -> Loader:
    """Return the loader with its warm-up phases: of the size of a step, and of the length of examples.

    batch, length: shares of ``steps``; shorter: from a length to the source of examples of that length.
    """
    ends = sorted({round(warm * steps * end) for warm in (batch, length) if warm for end in (0.5, 1.0)} - {0})
    phases, begin = [], 0
    for end in ends:
        source, budget = loader.source, loader.budget
        if shorter is not None and (divisor := _divisor(begin, length * steps)) > 1:
            source = shorter(max(SHORTEST, full_length // divisor))
        if (divisor := _divisor(begin, batch * steps)) > 1:
            # A step must still hold the longest example.
            least = full_length if budget.tokens else 1
            budget = Budget(
                *(None if n is None else max(least, n // divisor) for n in (budget.tokens, budget.examples))
            )
        phases.append(Phase(source, budget, end))
        begin = end
    return replace(loader, warmup=tuple(phases))


def _divisor(step: int, warm: float) -> int:
    """1 beyond the warm-up of ``warm`` steps; before, what a full size is divided by."""
    if step >= round(warm):
        return 1
    return next(divisor for begin, divisor in reversed(_EARLY) if step >= round(begin * warm))
