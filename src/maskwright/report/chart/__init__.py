"""Charts as SVG text: curves, bars with intervals, histograms and confusion matrices.

Drawn by hand so that a report needs no plotting library and no script.  A chart carries classes, not colours: those are
in page.css, as variables that follow light and dark mode (Okabe and Ito's colours, told apart by the colour-blind).
A value that is not finite leaves a gap and a marked spot; it is never drawn as 0.
"""

from maskwright.report.chart.bars import Bar, bar_chart, histogram
from maskwright.report.chart.curve import Series, line_chart
from maskwright.report.chart.drawing import SMALL, WIDE, Size
from maskwright.report.chart.matrix import confusion_matrix
from maskwright.report.chart.overlay import LABELLED, overlay_chart, swatch

__all__ = [
    "LABELLED",
    "SMALL",
    "WIDE",
    "Bar",
    "Series",
    "Size",
    "bar_chart",
    "confusion_matrix",
    "histogram",
    "line_chart",
    "overlay_chart",
    "swatch",
]
