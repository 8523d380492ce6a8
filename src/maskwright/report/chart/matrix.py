"""A confusion matrix: which label was taken for which."""

from __future__ import annotations

import math
from collections.abc import Sequence

from maskwright.report.chart.drawing import Drawing, Size, cut, width_of
from maskwright.report.numbers import tick

__all__ = ["confusion_matrix"]


def confusion_matrix(title: str, labels: Sequence[str], counts: Sequence[Sequence[int]]) -> str:
    """Return counts[true][predicted] as a matrix, shaded by the share of each true label's row.

    Counts are written in the cells for up to 12 labels; every cell tells its count when pointed at.
    """
    many = len(labels)
    side = 54.0 if many <= 6 else 40.0 if many <= 12 else max(420.0 / max(many, 1), 4.0)
    named = side >= 12
    room = min(150.0, 14 + max((width_of(label) for label in labels), default=0)) if named else 44.0
    turn = -45 if room - 14 > side else 0
    top = 48 + (room * 0.72 if turn else 14)
    width = room + 10 + side * many + (room * 0.6 if turn else 8)
    draw = Drawing(Size(math.ceil(max(width, 300)), math.ceil(top + side * many + 8)), left=room + 10, top=top)
    draw.text(draw.left, 36, "predicted →", "caption")
    draw.text(0, draw.top - 6, "true ↓", "caption")
    for row, label in enumerate(labels):
        total = sum(counts[row])
        x, y = draw.left + side * (row + 0.5), draw.top + side * (row + 0.5)
        if named:
            draw.text(draw.left - 8, y + 4, cut(label, room - 8), "tick end")
            draw.text(x, draw.top - 6, cut(label, room - 8), "tick" if turn else "tick middle", turn=turn)
        for column, count in enumerate(counts[row]):
            portion = count / total if total else 0.0
            left, top = draw.left + side * column, draw.top + side * row
            tip = f"true {label}, predicted {labels[column]}: {count:,} ({100 * portion:.1f} % of the row)"
            draw.rect(left, top, side - 1.5, side - 1.5, "heat", tip, f"fill-opacity:{0.06 + 0.94 * portion:.3f}")
            if many <= 12:
                css = "cell strong" if portion > 0.65 else "cell"
                draw.text(left + side / 2 - 0.75, top + side / 2 + 4, tick(count), f"{css} middle")
    right = sum(counts[at][at] for at in range(many))
    total = sum(map(sum, counts))
    return draw.svg(title, f"{right:,} of {total:,} on the diagonal, over {many} labels.")
