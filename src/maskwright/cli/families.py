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
    for title, registry in (("Objectives", OBJECTIVES), ("Tasks", TASKS)):
        learnt = {entry.name: entry.load() for entry in registry}
        rows = [
            (
                entry.name,
                *("-" if kind.misfit(each, next(iter(each.presets.values()))) else "yes" for kind in learnt.values()),
            )
            for entry, each in known
        ]
        show(table(title, ["family", *learnt], rows))
