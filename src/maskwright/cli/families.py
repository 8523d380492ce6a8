"""``maskwright families``."""

from __future__ import annotations

from maskwright.report.terminal import show, table

__all__ = ["families"]


def families() -> None:
    """List the architectures: what each is, its published sizes, and what it can learn."""
    from maskwright.families import FAMILIES
    from maskwright.objectives import OBJECTIVES
    from maskwright.tasks import TASKS

    known = [(entry, entry.load()) for entry in FAMILIES]
    show(table("Architectures", ["family", "what it is"], [(entry.name, entry.summary) for entry, _ in known]))
    show(
        table("Published sizes", ["family", "sizes"], [(entry.name, ", ".join(each.presets)) for entry, each in known])
    )
    show(table("Heads", ["family", "heads"], [(entry.name, ", ".join(each.heads)) for entry, each in known]))
    learnt = {entry.name: set(entry.load().heads) for registry in (OBJECTIVES, TASKS) for entry in registry}
    rows = [
        (entry.name, *("yes" if heads <= set(each.heads) else "-" for heads in learnt.values()))
        for entry, each in known
    ]
    show(table("Objectives and tasks", ["family", *learnt], rows))
