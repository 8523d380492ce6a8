"""GoEmotions: 28 labels of Reddit comments, several of which a comment may have.

Demszky et al. 2020, https://arxiv.org/abs/2005.00547.  Files without a header: text, numbers of its labels with commas, id.
"""

from __future__ import annotations

from pathlib import Path

from maskwright.errors import InputError
from maskwright.tasks.labelsets import read_sets
from maskwright.tasks.multilabel import MultiLabel
from maskwright.tasks.rows import Columns, Rows

__all__ = ["GOEMOTIONS", "GoEmotions"]

EMOTIONS = (
    "admiration", "amusement", "anger", "annoyance", "approval", "caring", "confusion", "curiosity", "desire",
    "disappointment", "disapproval", "disgust", "embarrassment", "excitement", "fear", "gratitude", "grief", "joy", "love",
    "nervousness", "optimism", "pride", "realization", "relief", "remorse", "sadness", "surprise", "neutral",
)  # fmt: skip


class GoEmotions:
    """The data set's files."""

    def task(self) -> MultiLabel:
        """Return the task that these files are for."""
        return MultiLabel(EMOTIONS)

    def rows(self, where: Path, split: str) -> Rows:
        """Read ``train``, ``dev`` or ``test`` from the data set's folder."""
        for ending in ("", ".xz", ".gz"):
            if (path := where / f"{split}.tsv{ending}").is_file():
                return self.read(path)
        raise InputError(f"{where}: no {split}.tsv there (.xz and .gz are read too)")

    def read(self, path: Path) -> Rows:
        """Read one file."""
        names = {str(number): name for number, name in enumerate(EMOTIONS)}
        return read_sets(path, Columns(0, None, 1), header=False, names=names)


GOEMOTIONS = GoEmotions()
