"""Rows for similarity: one, two or three texts each, and perhaps a label, as a loss needs them."""

from __future__ import annotations

from maskwright.errors import ConfigError, DataError, InputError
from maskwright.tasks.formats import records
from maskwright.tasks.rows import Rows, text_of
from maskwright.tasks.similar_config import SimilarityConfig
from maskwright.tasks.similar_losses import LOSSES, SimilarityLoss

__all__ = ["read_examples"]


def read_examples(config: SimilarityConfig) -> Rows:
    """Read the training rows; ``Rows.texts`` are the K texts that the loss compares.

    ConfigError for a column that the loss needs and that is not named, or that it has no use for; InputError for a file without
    rows; DataError (file, line) for a row that cannot be used.
    """
    kind: type[SimilarityLoss] = LOSSES[config.loss].load()
    wanted = [*kind.columns, *(name for name in kind.optional if getattr(config, name) is not None)]
    labelled = kind.labels not in ("texts", "none")
    needed = {*kind.columns, *(["label"] if labelled else [])}
    for name in ("pair", "negative", "label"):
        if name in needed and getattr(config, name) is None:
            raise ConfigError(f"{name}: the loss {config.loss!r} needs it; name the column")
        if name not in needed and name not in kind.optional and getattr(config, name) is not None:
            raise ConfigError(f"{name}: the loss {config.loss!r} has no use for it; leave it out")
    texts, labels, lines = [], [], []
    for line, row in records(config.data):
        if isinstance(row, DataError):
            raise row
        texts.append(tuple(text_of(row, getattr(config, name), config.data, line, option=name) for name in wanted))
        if labelled:
            labels.append(text_of(row, str(config.label), config.data, line, option="label"))
        lines.append(line)
    if not texts:
        raise InputError(f"{config.data}: there are no rows in it")
    return Rows(tuple(texts), tuple(labels) if labelled else None, tuple(lines), str(config.data))
