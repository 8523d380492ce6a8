"""What a step sees, and how many steps there are.

Numbers that were measured (steps that fit the minutes, tokens that fit the memory) are kept in the run folder: a resumed run
must not measure again.
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

from maskwright.config import TrainConfig
from maskwright.data.loader import Loader
from maskwright.data.plan import Budget
from maskwright.errors import ConfigError
from maskwright.model import Model
from maskwright.objective import Objective
from maskwright.train.calibrate import steps_in
from maskwright.train.memory import micro_tokens_for
from maskwright.train.world import ALONE, World

__all__ = ["budget_of", "micro_tokens_of", "steps_of"]


def budget_of(train: TrainConfig) -> Budget:
    """Return what a step sees; ConfigError unless just one of tokens and examples is set."""
    return Budget(train.tokens, train.examples)


def micro_tokens_of(
    train: TrainConfig,
    model: Model,
    length: int,
    folder: Path,
    world: World = ALONE,
    objective: Objective | None = None,
) -> int:
    """Return the most tokens computed at once; objective: of a pre-training."""
    if train.micro_tokens != "auto":
        return train.micro_tokens
    return _kept(
        folder / "micro-tokens.txt", lambda: micro_tokens_for(model, train, length, objective=objective), world
    )


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
