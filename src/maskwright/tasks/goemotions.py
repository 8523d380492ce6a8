"""GoEmotions: 28 labels of Reddit comments, several of which a comment may have.

Demszky et al. 2020, https://arxiv.org/abs/2005.00547.  Its own files have no header: text, numbers of its labels with commas,
id; the hub's are tables with lists of numbers.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from maskwright.tasks.glueset import GlueSet
from maskwright.tasks.labelsets import read_sets
from maskwright.tasks.multilabel import MultiLabel
from maskwright.tasks.rows import Columns, Rows

__all__ = ["GOEMOTIONS", "GoEmotions"]

EMOTIONS = (
    "admiration", "amusement", "anger", "annoyance", "approval", "caring", "confusion", "curiosity", "desire",
    "disappointment", "disapproval", "disgust", "embarrassment", "excitement", "fear", "gratitude", "grief", "joy", "love",
    "nervousness", "optimism", "pride", "realization", "relief", "remorse", "sadness", "surprise", "neutral",
)  # fmt: skip


@dataclass(frozen=True, kw_only=True)
class GoEmotions(GlueSet):
    """The data set's files, which are found as those of GLUE's are."""

    def task(self) -> MultiLabel:
        """Return the task that these files are for."""
        return MultiLabel(EMOTIONS)

    def read(self, path: Path, *, labelled: bool = True) -> Rows:
        """Read one file."""
        names = self.names if labelled else None
        return read_sets(path, self.columns_of(path, labelled), order=self.order, names=names)


GOEMOTIONS = GoEmotions(
    title="GoEmotions",
    folder="goemotions",
    hub="simplified",
    columns=(Columns("text", None, "labels"),),
    order=("text", "labels", "id"),
    labels=EMOTIONS,
    metric="multilabel",
    several=True,
    open_test=True,
    unlabelled=(),
    sizes={"train": 43_410, "dev": 5_426, "test": 5_427},
)
