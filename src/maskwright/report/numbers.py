"""How a number is written for people, alike in the terminal, in charts and on pages.

Four significant digits where a value was measured, thousands separated, and what is not finite said by name: a NaN that
reads like a small number has cost more than one week of training.
"""

from __future__ import annotations

import math
import re

__all__ = ["cell", "compact", "duration", "is_numeric", "number", "rate", "share", "size", "tick"]

MISSING = "–"
_NUMERIC = re.compile(
    r"\d+ [dhm] \d\d [hms]"
    r"|[+\-−]?[\d.,]+(e[+\-−]?\d+)?( ?(%|[kMGT]?B|[kMGT]|ms|s|m|h|tok/s|×))?( ?± ?[\d.,]+| \[[\d.,e+\-− ]+\])?"
    r"|NaN|[+\-−]?∞|–|"
)


def _special(value: float | None) -> str | None:
    """Return how a value without digits is written, or None for a finite number."""
    if value is None:
        return MISSING
    if math.isnan(value):
        return "NaN"
    if math.isinf(value):
        return "∞" if value > 0 else "−∞"
    return None


def _scientific(value: float, digits: int) -> str:
    mantissa, exponent = f"{value:.{digits}e}".split("e")
    if "." in mantissa:
        mantissa = mantissa.rstrip("0").rstrip(".")
    return f"{mantissa}e{int(exponent)}"


def number(value: float | None) -> str:
    """Write integers in full (1,234) and measured values with four significant digits (0.1234, 12.35, 5e-5)."""
    special = _special(value)
    if special is not None or value is None:
        return special or MISSING
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, int) or value == 0:
        return f"{int(value):,}"
    if abs(value) < 1e-3:
        return _scientific(value, 3)
    decimals = 3 - math.floor(math.log10(abs(value)))
    return f"{value:,.{min(max(decimals, 0), 4)}f}"


def compact(value: float | None) -> str:
    """Write a count with three significant digits and a letter: 950, 12.3k, 4.56M, 1.20G."""
    special = _special(value)
    if special is not None or value is None:
        return special or MISSING
    scaled, letters = float(value), iter(" kMGT")
    letter = next(letters)
    # 999.5 would be rounded up to four digits.
    while abs(scaled) >= 999.5 and letter != "T":
        scaled, letter = scaled / 1000, next(letters)
    if letter == " ":
        return number(value if abs(value) < 1 else round(value))
    decimals = 2 if abs(scaled) < 9.995 else 1 if abs(scaled) < 99.95 else 0
    return f"{scaled:.{decimals}f}{letter}"


def size(count: float | None) -> str:
    """Write a number of bytes in decimal units: 512 B, 12.3 kB, 4.56 GB."""
    text = compact(count)
    if text[-1] in "kMGT":
        return f"{text[:-1]} {text[-1]}B"
    return f"{text} B" if text[-1].isdigit() else text


def rate(per_second: float | None, unit: str = "tok") -> str:
    """Write a speed: 12.3k tok/s."""
    return f"{compact(per_second)} {unit}/s"


def share(value: float | None) -> str:
    """Write a share from 0 to 1 in per cent, with one decimal: 41.2 %."""
    special = _special(value)
    if special is not None or value is None:
        return special or MISSING
    return f"{100 * value:.1f} %"


def duration(seconds: float | None) -> str:
    """Write a time span in its two largest units: 420 ms, 8.4 s, 3 m 05 s, 1 h 02 m, 2 d 03 h."""
    special = _special(seconds)
    if special is not None or seconds is None:
        return special or MISSING
    if seconds < 0.9995:
        return f"{1000 * max(seconds, 0):.0f} ms"
    if seconds < 9.95:
        return f"{seconds:.1f} s"
    whole = round(seconds)
    if whole < 60:
        return f"{whole} s"
    if whole < 3600:
        return f"{whole // 60} m {whole % 60:02d} s"
    minutes = round(seconds / 60)
    if minutes < 24 * 60:
        return f"{minutes // 60} h {minutes % 60:02d} m"
    hours = round(seconds / 3600)
    return f"{hours // 24} d {hours % 24:02d} h"


def tick(value: float) -> str:
    """Write the number beside an axis mark, as short as it can be: 0, 0.5, 1,500, 20k, 5e-5."""
    if value == 0:
        return "0"
    if abs(value) < 1e-3:
        return _scientific(value, 6)
    if abs(value) < 10_000:
        return f"{value:,.10g}"
    exponent, letter = (9, "G") if abs(value) >= 1e9 else (6, "M") if abs(value) >= 1e6 else (3, "k")
    return f"{value / 10**exponent:.10g}{letter}"


def cell(value: object) -> str:
    """Write whatever stands in a table: numbers by ``number``, None as a dash, the rest as it is."""
    return number(value) if value is None or isinstance(value, int | float) else str(value)


def is_numeric(text: str) -> bool:
    """Say whether a written cell reads as a number, with or without a unit, and so belongs to the right."""
    return _NUMERIC.fullmatch(text) is not None
