"""The paper that charts are drawn on: a plot with margins, text whose width is guessed, a frame with ticks."""

from __future__ import annotations

import html
import unicodedata
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field

from maskwright.report.chart.axis import Axis
from maskwright.report.numbers import tick

__all__ = ["SMALL", "WIDE", "Drawing", "Size", "cut", "frame", "width_of"]


@dataclass(frozen=True)
class Size:
    """Width and height of a chart's drawing space; it is scaled to the width of the page."""

    width: int
    height: int


WIDE = Size(640, 290)
SMALL = Size(260, 180)


@dataclass
class Drawing:
    """Elements of one chart in the order of drawing, with the margins around its plot."""

    size: Size
    left: float = 56
    right: float = 14
    top: float = 34
    bottom: float = 42
    parts: list[str] = field(default_factory=list)

    @property
    def plot(self) -> tuple[float, float, float, float]:
        """Left, top, right and bottom of what the margins leave."""
        return self.left, self.top, self.size.width - self.right, self.size.height - self.bottom

    def text(self, x: float, y: float, text: str, css: str, *, turn: float = 0) -> None:
        """Write a text from (x, y) on; the classes ``end`` and ``middle`` say which of its points lies there."""
        turned = f' transform="rotate({turn:g} {x:.1f} {y:.1f})"' if turn else ""
        self.parts.append(f'<text x="{x:.1f}" y="{y:.1f}" class="{css}"{turned}>{html.escape(text)}</text>')

    def line(self, x1: float, y1: float, x2: float, y2: float, css: str) -> None:
        """Draw a straight line."""
        self.parts.append(f'<line x1="{x1:.1f}" y1="{y1:.1f}" x2="{x2:.1f}" y2="{y2:.1f}" class="{css}"/>')

    def rect(self, x: float, y: float, width: float, height: float, css: str, tip: str = "", style: str = "") -> None:
        """Fill a rectangle; ``tip`` is told when it is pointed at."""
        tip, style = f"<title>{html.escape(tip)}</title>" if tip else "", f' style="{style}"' if style else ""
        self.parts.append(
            f'<rect x="{x:.1f}" y="{y:.1f}" width="{max(width, 0):.1f}" height="{max(height, 0):.1f}" class="{css}"'
            f"{style}>{tip}</rect>"
        )

    def path(self, points: Iterable[tuple[float, float]], css: str, tip: str = "") -> None:
        """Draw a line through points; ``tip`` is told when it is pointed at."""
        route = "L".join(f"{x:.1f} {y:.1f}" for x, y in points)
        end = f"><title>{html.escape(tip)}</title></path>" if tip else "/>"
        self.parts.append(f'<path d="M{route}" class="{css}"{end}')

    def dot(self, x: float, y: float, css: str, tip: str) -> None:
        """Draw a point that tells ``tip`` when it is pointed at."""
        self.parts.append(
            f'<circle cx="{x:.1f}" cy="{y:.1f}" r="3" class="{css}"><title>{html.escape(tip)}</title></circle>'
        )

    def svg(self, title: str, description: str) -> str:
        """Return the whole as SVG, with its title above and a description for those who do not see it."""
        kind = {SMALL.width: "small", WIDE.width: "wide"}.get(self.size.width, "own")
        # A drawing of its own size must not be blown up to the width of the page.
        natural = f' style="max-width:{self.size.width}px"' if kind == "own" else ""
        return (
            f'<svg class="chart {kind}"{natural} role="img" '
            f'viewBox="0 0 {self.size.width} {self.size.height:.0f}" xmlns="http://www.w3.org/2000/svg">'
            f"<title>{html.escape(title)}</title><desc>{html.escape(description)}</desc>"
            f'<text x="0" y="15" class="title">{html.escape(title)}</text>{"".join(self.parts)}</svg>'
        )


def width_of(text: str) -> float:
    """Estimate the width of a text in drawing units: an ideograph is twice as wide as a letter."""
    return sum(15.0 if unicodedata.east_asian_width(letter) in "WF" else 8.2 for letter in text)


def cut(text: str, room: float) -> str:
    """Shorten a text to a width, marking the cut."""
    while text and width_of(text) > room:
        text = text[:-2] + "…" if len(text) > 1 else ""
    return text


def frame(
    draw: Drawing,
    x_axis: Axis,
    y_axis: Axis,
    y_format: Callable[[float], str],
    label: str,
    x_format: Callable[[float], str] = tick,
) -> None:
    """Draw both axes with their ticks, and what they show below the right end."""
    left, top, right, bottom = draw.plot
    for value in y_axis.ticks:
        y = bottom - y_axis.place(value) * (bottom - top)
        draw.line(left, y, right, y, "axis" if value == y_axis.low else "grid")
        draw.text(left - 8, y + 4, y_format(value), "tick end")
    for value in x_axis.ticks:
        x = left + x_axis.place(value) * (right - left)
        text = x_format(value)
        # The last mark is kept inside the drawing.
        draw.text(min(x, draw.size.width - width_of(text) / 2), bottom + 17, text, "tick middle")
    draw.text(right, draw.size.height - 6, label, "caption end")
