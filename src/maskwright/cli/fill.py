"""``maskwright fill``."""

from __future__ import annotations

from maskwright.report.terminal import bar, show, table

__all__ = ["fill"]


def fill(model: str, text: str, *, top: int = 5) -> None:
    """Show what a model would put for each [MASK] of a text.

    Parameters
    ----------
    model
        Folder or org/name of a model with a masked LM head.
    text
        Such as "The capital of France is [MASK]."
    top
        Candidates for each place.
    """
    from maskwright.model import load
    from maskwright.objectives.fill import fill_masks

    for number, candidates in enumerate(fill_masks(load(model), text, top), 1):
        rows = [(c.piece, f"{100 * c.share:.1f} %", bar(c.share, 30)) for c in candidates]
        show(table(f"[MASK] {number}", ["piece", "probability", ""], rows))
