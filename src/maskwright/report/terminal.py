"""What a run looks like in a terminal: tables, bars, and one live line for a training.

Results go to stdout and progress to stderr, so that a pipe receives results alone.  Colours follow the terminal and
NO_COLOR.  Text is never read as markup: a label may be called ``[bold]``.
"""

from __future__ import annotations

import itertools
import math
import sys
import time
from collections.abc import Iterable, Iterator, Mapping, Sequence, Sized
from types import TracebackType
from typing import Literal, Self, TypeVar

import rich.live
from rich import box
from rich.console import Console, ConsoleOptions, RenderableType, RenderResult
from rich.table import Table
from rich.text import Text

from maskwright.report.numbers import cell, compact, duration, is_numeric, number, rate, share, size

__all__ = [
    "Live",
    "bar",
    "compact",
    "console",
    "duration",
    "key_values",
    "number",
    "progress",
    "rate",
    "share",
    "show",
    "size",
    "sparkline",
    "table",
]

Item = TypeVar("Item")

REDRAW_SECONDS = 0.1
PLAIN_SECONDS = 5.0
NARROWEST = 12
BETWEEN = 3
_EIGHTHS = " ▏▎▍▌▋▊▉█"
_LEVELS = "▁▂▃▄▅▆▇█"


def console(*, stderr: bool = False) -> Console:
    """Return a console on stdout, or on stderr for progress."""
    stream = sys.stderr if stderr else sys.stdout
    # Bars and dashes must not stop a run on a terminal that knows ASCII only.
    if "utf" not in (stream.encoding or "").lower() and hasattr(stream, "reconfigure"):
        stream.reconfigure(errors="replace")
    return Console(stderr=stderr, highlight=False, emoji=False, markup=False)


def show(*parts: RenderableType) -> None:
    """Print tables and text to stdout."""
    out = console()
    for part in parts:
        # A table of too many columns runs over the edge rather than lose some of them.
        out.print(part, crop=False)


class _Table(Table):
    """A table that is never drawn narrower than what its columns need: a number cut short reads as a smaller one."""

    narrowest = 0

    def __rich_console__(self, console: Console, options: ConsoleOptions) -> RenderResult:
        return super().__rich_console__(console, options.update_width(max(options.max_width, self.narrowest)))


def table(
    title: str, columns: Sequence[str], rows: Iterable[Sequence[object]], *, highlight: int | None = None
) -> Table:
    """Return a table: columns of numbers stand to the right and are never cut, text wraps inside its cell.

    ``highlight`` is the number of the row to set in bold, from 0.
    """
    written = [[cell(value) for value in row] for row in rows]
    out = _Table(
        title=Text(title, style="bold") if title else None,
        title_justify="left",
        box=box.SIMPLE_HEAD,
        pad_edge=False,
        header_style="dim",
    )
    for at, name in enumerate(columns):
        cells = [row[at] for row in written]
        numeric = bool(cells) and all(map(is_numeric, cells))
        least = max(map(len, cells), default=0) if numeric else min(max(map(len, [name, *cells])), NARROWEST)
        out.narrowest += least + BETWEEN
        side: Literal["left", "right"] = "right" if numeric else "left"
        out.add_column(Text(name), justify=side, no_wrap=numeric, overflow="fold", min_width=least)
    for at, row in enumerate(written):
        out.add_row(*map(Text, row), style="bold green" if at == highlight else None)
    return out


def key_values(items: Mapping[str, object] | Iterable[tuple[str, object]], title: str = "") -> Table:
    """Return names and values in two columns; long values fold, none is cut."""
    out = Table(title=Text(title, style="bold") if title else None, title_justify="left", box=None, show_header=False)
    out.add_column(style="dim", no_wrap=True)
    out.add_column(overflow="fold")
    for name, value in items.items() if isinstance(items, Mapping) else items:
        out.add_row(Text(name), Text(cell(value)))
    return out


def bar(value: float, width: int = 20) -> str:
    """Return a bar of ``width`` characters filled to a share from 0 to 1; a NaN is dotted, not empty."""
    if math.isnan(value):
        return "·" * width
    eighths = round(min(max(value, 0.0), 1.0) * width * 8)
    full, rest = divmod(eighths, 8)
    return ("█" * full + (_EIGHTHS[rest] if rest else "")).ljust(width)


def sparkline(values: Sequence[float], width: int = 30) -> str:
    """Return a curve one line high, each character the mean of its stretch; what is not finite shows as ×."""
    if not values:
        return ""
    width = min(width, len(values))
    cuts = [len(values) * at // width for at in range(width + 1)]
    means = [sum(values[a:b]) / (b - a) for a, b in itertools.pairwise(cuts)]
    finite = [mean for mean in means if math.isfinite(mean)]
    low, high = (min(finite), max(finite)) if finite else (0.0, 0.0)
    scale = (len(_LEVELS) - 1) / (high - low) if high > low else 0.0
    return "".join(_LEVELS[round((mean - low) * scale)] if math.isfinite(mean) else "×" for mean in means)


class Live:
    """One line on stderr that says how far a training is; a context manager.

    On a terminal the line is redrawn in place; elsewhere (a CI log, a pipe) a plain line is printed every few seconds.
    The line fits the width: the bar shrinks, then moves behind the step count, then the least important fields go.
    """

    def __init__(self, total_steps: int | None, label: str = "", *, out: Console | None = None) -> None:
        self.total, self.label = total_steps, label
        self.console = out or console(stderr=True)
        self._screen: rich.live.Live | None = None
        self._line: Text | None = None
        self._drawn: float | None = None
        self._first: tuple[float, int] | None = None

    def __enter__(self) -> Self:
        if self.console.is_terminal:
            # No refresh thread: nothing to clash with loader workers or with a signal.
            self._screen = rich.live.Live(console=self.console, auto_refresh=False)
            self._screen.start()
        return self

    def update(
        self,
        step: int,
        *,
        loss: float | None = None,
        accuracy: float | None = None,
        tokens_per_second: float | None = None,
        seconds_left: float | None = None,
    ) -> None:
        """Tell how far the run is; without ``seconds_left`` it is estimated from the steps seen so far."""
        now = time.monotonic()
        self._first = self._first or (now, step)
        if seconds_left is None and self.total is not None and step > self._first[1]:
            seconds_left = (now - self._first[0]) / (step - self._first[1]) * (self.total - step)
        fields = {
            "label": self.label,
            "count": f"{step:,}" if self.total is None else f"{step:,}/{self.total:,}",
            "loss": "" if loss is None else f"loss {number(float(loss))}",
            "accuracy": "" if accuracy is None else f"acc {share(accuracy)}",
            "speed": "" if tokens_per_second is None else rate(tokens_per_second),
            "left": "" if seconds_left is None else f"{duration(seconds_left)} left",
        }
        self._line = self._fit(step, {name: text for name, text in fields.items() if text})
        wait = REDRAW_SECONDS if self._screen else PLAIN_SECONDS
        if self._drawn is None or now - self._drawn >= wait:
            self._draw(now)

    def note(self, text: str) -> None:
        """Print a line that stays, above the live one."""
        self.console.print(Text(text))

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        if self._line is not None:
            self._draw(time.monotonic())
        if self._screen:
            self._screen.stop()

    def _draw(self, now: float) -> None:
        if self._line is None:
            return
        if self._screen:
            self._screen.update(self._line, refresh=True)
        else:
            self.console.print(self._line, no_wrap=True, overflow="ignore", crop=False)
            self._line = None
        self._drawn = now

    def _fit(self, step: int, fields: dict[str, str]) -> Text:
        width = self.console.width - 1
        for name in ("accuracy", "speed", "left", "label", "loss"):
            if len("  ".join(fields.values())) <= width:
                break
            fields.pop(name, None)
        rest = width - len("  ".join(fields.values())) - 2
        head = [fields.pop(name) for name in ("label", "count") if name in fields]
        line = Text().append("  ".join(head), style="bold")
        if self.total and self._screen:
            done = step / self.total
            if rest >= 8:
                line.append("  ").append(bar(done, min(rest, 24)), style="green on grey23")
            else:
                # No room for a bar: the words themselves fill up.
                line.stylize("white on dark_green", 0, round(done * len(line)))
        for name, text in fields.items():
            line.append("  ").append(text, style="cyan" if name == "loss" else None)
        line.truncate(width, overflow="ellipsis")
        return line


def progress(items: Iterable[Item], label: str = "", *, total: int | None = None) -> Iterator[Item]:
    """Yield the items, showing a live line meanwhile; the total is taken from ``len`` where there is one."""
    if total is None and isinstance(items, Sized):
        total = len(items)
    with Live(total, label) as live:
        for at, item in enumerate(items, start=1):
            yield item
            live.update(at)
