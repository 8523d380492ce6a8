"""``maskwright verify``."""

from __future__ import annotations

from pathlib import Path

from rich.padding import Padding

from maskwright.report.terminal import show

__all__ = ["verify"]

_INDENT = 9


def verify(*folders: Path) -> None:
    """Check every hash of models, runs, corpora and plans: is all of it what was written?

    Ends with 0 when all is sound and with 1 when something is damaged.

    Parameters
    ----------
    folders
        Model, run, corpus or tokenizer folders, or folders that hold some.
    """
    from maskwright.errors import CheckpointError, UsageError
    from maskwright.verify import examine

    if not folders:
        raise UsageError("maskwright verify: name at least one folder")
    found = [finding for folder in folders for finding in examine(folder)]
    for each in found:
        show(f"{'DAMAGED' if each.damage else 'sound':<9}{each.kind:<14}{each.path}")
        if said := each.damage or each.remark:
            show(Padding(said, (0, 0, 0, _INDENT)))
    if damaged := [finding.path for finding in found if finding.damage]:
        more = f" and {len(damaged) - 1} more" if len(damaged) > 1 else ""
        raise CheckpointError(f"{damaged[0]}{more} of {len(found)} looked at: damaged; the remarks say which file")
