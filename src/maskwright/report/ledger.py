"""The ledger of a corpus: what was read is what was kept and what was dropped, by reason, to the last byte."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from maskwright.report.numbers import share
from maskwright.report.page import Section, callout, escape

__all__ = ["ledger_sections"]


def ledger_sections(ledger: Mapping[str, Any]) -> list[Section]:
    """Return the ledger's table, with the sum drawn up for each unit, and a warning where a sum does not come out.

    ``ledger``: unit (documents, bytes …) → ``{"read": n, "kept": n, "dropped": {reason: n}}``; plain counts beside them
    (sentences, tokens) are told below the table.  Empty where there is no unit.
    """
    units = {
        name: value for name, value in ledger.items() if isinstance(value, Mapping) and {"read", "kept"} <= {*value}
    }
    if not units:
        return []
    dropped = {name: _dropped(unit) for name, unit in units.items()}
    reasons = sorted({reason: None for row in dropped.values() for reason in row}, key=lambda r: _rank(r, dropped))
    rows = [_row("Read", {name: unit["read"] for name, unit in units.items()})]
    rows += [_row("kept", {name: unit["kept"] for name, unit in units.items()}, "reason")]
    rows += [_row(f"dropped: {r}", {name: dropped[name].get(r, 0) for name in units}, "reason") for r in reasons]
    sums = {name: unit["kept"] + sum(dropped[name].values()) for name, unit in units.items()}
    marks = {name: sums[name] == unit["read"] for name, unit in units.items()}
    rows += [_row("Kept + dropped", sums, "total", marks)]
    head = "".join(f'<th scope="col" class="right">{escape(name)}</th>' for name in units)
    counts = [f"{value:,} {name}" for name, value in ledger.items() if isinstance(value, int)]
    caption = f"<caption>Kept: {escape(', '.join(counts))}.</caption>" if counts else ""
    meters = "".join(_meter(name, unit["read"], unit["kept"]) for name, unit in units.items())
    sections = [
        Section(
            f'{meters}<div class="scroll"><table class="ledger">{caption}<thead><tr><th></th>{head}</tr></thead>'
            f"<tbody>{''.join(rows)}</tbody></table></div>"
        )
    ]
    for name, even in marks.items():
        if not even:
            lost = units[name]["read"] - sums[name]
            sections.append(callout(f"The {name} do not add up: {lost:+,} are unexplained.", "warning"))
    return sections


def _dropped(unit: Mapping[str, Any]) -> dict[str, int]:
    dropped = unit.get("dropped", {})
    return dict(dropped) if isinstance(dropped, Mapping) else {"no reason given": dropped}


def _rank(reason: str, dropped: Mapping[str, Mapping[str, int]]) -> tuple[list[int], str]:
    """Order reasons by what they cost in the first unit, then in the next, dearest first."""
    return [-row.get(reason, 0) for row in dropped.values()], reason


def _row(name: str, values: Mapping[str, int], css: str = "", marks: Mapping[str, bool] | None = None) -> str:
    cells = ""
    for unit, value in values.items():
        mark = ""
        if marks is not None:
            mark = ' <span class="sound">✓</span>' if marks[unit] else ' <span class="unsound">✗</span>'
        cells += f'<td class="right">{value:,}{mark}</td>'
    return f'<tr class="{css}"><td>{escape(name)}</td>{cells}</tr>'


def _meter(name: str, read: int, kept: int) -> str:
    portion = kept / read if read else 0.0
    rest = f'<span style="width:{100 - 100 * portion:.2f}%"></span>' if kept < read else ""
    return (
        f'<div class="meter-label"><span>{escape(name)}</span><span>{share(portion)} kept</span></div>'
        f'<div class="meter"><span class="kept" style="width:{100 * portion:.2f}%"></span>{rest}</div>'
    )
