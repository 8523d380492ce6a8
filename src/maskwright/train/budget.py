"""What a step sees, and how many steps there are."""

from __future__ import annotations

from pathlib import Path

from maskwright.config import TrainConfig
from maskwright.data.loader import Loader
from maskwright.data.plan import Budget
from maskwright.errors import ConfigError
from maskwright.model import Model
from maskwright.objective import Objective
from maskwright.train.calibrate import steps_in

__all__ = ["budget_of", "steps_of"]


def budget_of(train: TrainConfig) -> Budget:
    """Return what a step sees; ConfigError unless just one of tokens and examples is set."""
    return Budget(train.tokens, train.examples)


def steps_of(train: TrainConfig, loader: Loader, model: Model, objective: Objective, folder: Path) -> int:
    """Return the number of steps; ConfigError unless just one of steps, epochs and minutes is set.

    A number that was measured to fit ``minutes`` is kept in the run folder: a resumed run must not measure again.
    """
    given = [name for name in ("steps", "epochs", "minutes") if getattr(train, name) is not None]
    if len(given) != 1:
        raise ConfigError(f"train: give one of steps, epochs and minutes, not {' and '.join(given) or 'none'}")
    if train.steps is not None:
        return train.steps
    if train.epochs is not None:
        return max(1, round(train.epochs * loader.plan(0).steps))
    kept = folder / "steps.txt"
    if not kept.exists():
        steps = steps_in(model, objective, loader, train)
        folder.mkdir(parents=True, exist_ok=True)
        kept.write_text(f"{steps}\n")
    return int(kept.read_text())
