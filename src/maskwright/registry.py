"""Names that a user can type, each with a summary and the import path of what it stands for.

A registry imports nothing until an entry is used, so that ``--help`` and shell completion never wait for torch.
Adding an objective, a task or a family is one file and one ``add`` line in its room's ``__init__``.
"""

from __future__ import annotations

import importlib
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from maskwright.errors import ConfigError, did_you_mean

__all__ = ["Entry", "Registry"]


@dataclass(frozen=True)
class Entry:
    """One registered name."""

    name: str
    summary: str
    path: str
    """``package.module:Name`` of the class or function."""

    def load(self) -> Any:
        """Import the module and return what the entry stands for."""
        module, _, attribute = self.path.partition(":")
        return getattr(importlib.import_module(module), attribute)


class Registry:
    """Entries of one kind, in the order in which they were added."""

    def __init__(self, kind: str) -> None:
        self.kind = kind
        self._entries: dict[str, Entry] = {}

    def add(self, name: str, summary: str, path: str) -> None:
        """Register ``name``; a second entry of the same name is a programming error."""
        if name in self._entries:
            raise ValueError(f"{self.kind} {name!r} is registered twice: {self._entries[name].path} and {path}")
        self._entries[name] = Entry(name, summary, path)

    def __getitem__(self, name: str) -> Entry:
        """Return the entry, or raise ConfigError naming the known ones."""
        if name not in self._entries:
            known = ", ".join(self._entries)
            raise ConfigError(f"no {self.kind} {name!r}.{did_you_mean(name, self._entries)} Known: {known}.")
        return self._entries[name]

    def __iter__(self) -> Iterator[Entry]:
        return iter(self._entries.values())

    def __contains__(self, name: object) -> bool:
        return name in self._entries

    def __len__(self) -> int:
        return len(self._entries)
