"""One self-contained HTML page: what a run, a study or a quickstart has to show, in one file that can be mailed.

A page is a list of sections; each function below makes one.  No font, no picture from elsewhere and, but for the page that
follows a run, no script: a strict content security policy forbids them, and everything that comes from outside (texts,
labels, commands) is escaped.
"""

from __future__ import annotations

import base64
import hashlib
import html
import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cache
from importlib import resources
from pathlib import Path
from typing import Any, Literal, Self

from maskwright.report.files import write_atomic
from maskwright.report.numbers import cell, is_numeric, share

__all__ = [
    "Candidate",
    "MaskedSentence",
    "Page",
    "Section",
    "Stat",
    "callout",
    "chart",
    "charts",
    "code",
    "details",
    "escape",
    "fill_mask",
    "heading",
    "key_values",
    "leaf",
    "paragraph",
    "stats",
    "table",
]

POLICY = "default-src 'none'; style-src 'unsafe-inline'; img-src data:; base-uri 'none'; form-action 'none'"
CONTENTS_FROM = 3
# A short line of words, one of them hidden.
MARK = (
    '<svg viewBox="0 0 52 16" aria-hidden="true"><rect class="known" y="3" width="14" height="10" rx="3"/>'
    '<rect class="masked" x="17" y="1" width="18" height="14" rx="4"/>'
    '<rect class="known" x="38" y="3" width="14" height="10" rx="3"/></svg>'
)
_FORBIDDEN = re.compile("[\x00-\x08\x0b\x0c\x0e-\x1f\x7f\ud800-\udfff]")

# A number and its per cent sign stay on one line.
_PER_CENT = re.compile(r"(?<=\d) (?=%)")


@dataclass(frozen=True)
class Section:
    """A finished piece of a page.  ``markup`` is safe HTML; ``anchor`` and ``title`` name a chapter."""

    markup: str
    anchor: str = ""
    title: str = ""


@dataclass(frozen=True)
class Stat:
    """One tile: what it is, how much, and a remark."""

    label: str
    value: str
    remark: str = ""


@dataclass(frozen=True)
class Candidate:
    """A word offered for the hidden one, and its probability from 0 to 1."""

    word: str
    share: float


@dataclass(frozen=True)
class MaskedSentence:
    """A sentence with a hidden word, and ranked candidates under one or more names (before, after)."""

    left: str
    answer: str
    right: str
    offers: Mapping[str, Sequence[Candidate]]


def escape(text: object) -> str:
    """Return a text that HTML cannot mistake for markup; characters that HTML forbids become �."""
    return html.escape(_FORBIDDEN.sub("\ufffd", _PER_CENT.sub("\u00a0", str(text))))


def heading(text: str, level: Literal[2, 3] = 2) -> Section:
    """Return a chapter's heading (level 2, listed in the contents) or one inside it (level 3)."""
    anchor = re.sub(r"\W+", "-", text.lower()).strip("-")
    if level == 3:
        return Section(f"<h3>{escape(text)}</h3>")
    return Section(f'<h2 id="{escape(anchor)}">{escape(text)}</h2>', anchor, text)


def paragraph(text: str) -> Section:
    """Return a paragraph of plain text."""
    return Section(f"<p>{escape(text)}</p>")


def callout(text: str, tone: Literal["note", "good", "warning"] = "note") -> Section:
    """Return a remark that must not be missed: what won, or what to be wary of."""
    return Section(f'<aside class="callout {tone}"><p>{escape(text)}</p></aside>')


def stats(tiles: Iterable[Stat]) -> Section:
    """Return the few numbers that matter most, as tiles."""
    written = (
        f'<div><dt>{escape(tile.label)}</dt><dd class="value">{escape(tile.value)}</dd>'
        f'<dd class="remark">{escape(tile.remark)}</dd></div>'
        for tile in tiles
    )
    return Section(f'<dl class="stats">{"".join(written)}</dl>')


def key_values(items: Mapping[str, object] | Iterable[tuple[str, object]]) -> Section:
    """Return names and values."""
    return Section(_pairs(items.items() if isinstance(items, Mapping) else items))


def table(
    columns: Sequence[str | Section],
    rows: Iterable[Sequence[object]],
    *,
    caption: str = "",
    highlight: int | None = None,
) -> Section:
    """Return a table; columns of numbers stand to the right, and a Section in a cell is put there as it is.

    ``highlight`` is the number of the best row, from 0.
    """
    written = [[value if isinstance(value, Section) else cell(value) for value in row] for row in rows]
    right = [bool(written) and all(_is_numeric(row[at]) for row in written) for at in range(len(columns))]
    css = [' class="right"' if numeric else "" for numeric in right]
    head = "".join(f'<th scope="col"{c}>{_inside(name)}</th>' for name, c in zip(columns, css, strict=True))
    body = "".join(
        ('<tr class="best">' if at == highlight else "<tr>")
        + "".join(f"<td{c}>{_inside(text)}</td>" for text, c in zip(row, css, strict=True))
        + "</tr>"
        for at, row in enumerate(written)
    )
    below = f"<caption>{escape(caption)}</caption>" if caption else ""
    return Section(
        f'<div class="scroll"><table>{below}<thead><tr>{head}</tr></thead><tbody>{body}</tbody></table></div>'
    )


def chart(svg: str, caption: str = "") -> Section:
    """Return a chart made by maskwright.report.chart."""
    below = f"<figcaption>{escape(caption)}</figcaption>" if caption else ""
    return Section(f"<figure>{svg}{below}</figure>")


def charts(svgs: Iterable[str]) -> Section:
    """Return small charts side by side, as many in a row as the page is wide."""
    return Section(f'<div class="charts">{"".join(f"<figure>{svg}</figure>" for svg in svgs)}</div>')


def code(text: str) -> Section:
    """Return a command or a listing, as it is."""
    return Section(f"<pre><code>{escape(text)}</code></pre>")


def details(title: str, value: Mapping[str, Any]) -> Section:
    """Return a nested dict that unfolds, branch by branch."""
    return Section(_branch(title, value))


def fill_mask(examples: Iterable[MaskedSentence]) -> Section:
    """Return sentences with a hidden word and what was offered for it, side by side for each name.

    A candidate equal to the hidden word, but for case and space around it, is marked.
    """
    return Section("".join(map(_masked, examples)))


@dataclass
class Page:
    """A title, a subtitle and sections in the order in which they are added."""

    title: str
    subtitle: str = ""
    sections: list[Section] = field(default_factory=list)
    wide: bool = False
    """For tables of many columns."""
    script: str = ""
    """What lets the page follow a run; a page that is a file has none."""
    again: float = 0.0
    """Seconds after which the script asks for the page again; 0: no more."""

    def add(self, *sections: Section) -> Self:
        """Append sections and return the page."""
        self.sections.extend(sections)
        return self

    def html(self) -> str:
        """Return the whole page."""
        chapters = [one for one in self.sections if one.anchor]
        policy, footer = POLICY, "This page is one file: no script, nothing loaded from elsewhere."
        script = ""
        if self.script:
            digest = base64.b64encode(hashlib.sha256(self.script.encode()).digest()).decode()
            policy = f"{POLICY}; script-src 'sha256-{digest}'; connect-src 'self'"
            footer = "This page follows the run: it is drawn anew while new records come."
            script = f"<script>{self.script}</script>"
        again = f' data-again="{self.again:.0f}"' if self.again else ""
        links = "".join(f'<a href="#{escape(one.anchor)}">{escape(one.title)}</a>' for one in chapters)
        return (
            '<!doctype html>\n<html lang="en"><head><meta charset="utf-8">'
            f'<meta http-equiv="Content-Security-Policy" content="{policy}">'
            '<meta name="viewport" content="width=device-width, initial-scale=1">'
            '<meta name="referrer" content="no-referrer">'
            f"<title>{escape(self.title)} · Maskwright</title><style>{_style()}</style></head>\n"
            f'<body><div class="sheet{" wide" * self.wide}"{again}><header><div class="brand">{MARK}Maskwright</div>'
            f"<h1>{escape(self.title)}</h1>"
            + (f'<p class="subtitle">{escape(self.subtitle)}</p>' if self.subtitle else "")
            + (f'<nav aria-label="Contents">{links}</nav>' if len(chapters) >= CONTENTS_FROM else "")
            + "</header>\n<main>\n"
            + "\n".join(one.markup for one in self.sections)
            + f"\n</main>\n<footer>Made by Maskwright. {footer}</footer></div>{script}</body></html>\n"
        )

    def write(self, path: str | Path) -> Path:
        """Write the page to one file, atomically; InputError where the system refuses."""
        return write_atomic(path, self.html().encode("utf-8"))


def _inside(value: str | Section) -> str:
    return value.markup if isinstance(value, Section) else escape(value)


def _is_numeric(value: str | Section) -> bool:
    return isinstance(value, str) and is_numeric(value.removeprefix("★ "))


@cache
def _style() -> str:
    return resources.files("maskwright.report").joinpath("page.css").read_text("utf-8")


def _pairs(items: Iterable[tuple[str, object]]) -> str:
    written = (f"<dt>{escape(name)}</dt><dd>{escape(cell(value))}</dd>" for name, value in items)
    return f'<dl class="pairs">{"".join(written)}</dl>'


def _branch(title: str, value: Mapping[str, Any]) -> str:
    leaves = [(name, leaf(inner)) for name, inner in value.items() if not _is_branch(inner)]
    inside = _pairs(leaves) if leaves else ""
    inside += "".join(_branch(name, inner) for name, inner in value.items() if _is_branch(inner))
    return f'<details><summary>{escape(title)}<span class="count">{len(value)}</span></summary>{inside}</details>'


def _is_branch(value: object) -> bool:
    return isinstance(value, Mapping) and bool(value)


def leaf(value: object) -> str:
    """Write a setting as it was given: 5e-05 is what belongs in a recipe, not a rounded value."""
    if isinstance(value, list | tuple):
        return ", ".join(map(leaf, value)) or "none"
    return "none" if value is None else str(value).lower() if isinstance(value, bool) else str(value)


def _masked(example: MaskedSentence) -> str:
    columns = []
    for name, offers in example.offers.items():
        rows = []
        for offer in offers:
            hit = offer.word.strip().casefold() == example.answer.strip().casefold()
            width = 100 * min(max(offer.share, 0.0), 1.0)
            rows.append(
                f'<li class="{"hit" if hit else "miss"}"><span class="word">{escape(offer.word)}{" ✓" * hit}</span>'
                f'<span class="track"><span style="width:{width:.1f}%"></span></span>'
                f'<span class="share">{share(offer.share)}</span></li>'
            )
        columns.append(f"<div><h4>{escape(name)}</h4><ol>{''.join(rows)}</ol></div>")
    sentence = f'{escape(example.left)}<span class="blank">{escape(example.answer)}</span>{escape(example.right)}'
    return f'<div class="masked-sentence"><p>{sentence}</p><div class="offers">{"".join(columns)}</div></div>'
