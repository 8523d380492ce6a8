"""Pieces of pages that follow or compare runs: how far a run is, buttons that choose a view, charts two abreast."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence

from maskwright.report.numbers import share
from maskwright.report.page import Section, escape

__all__ = ["beside", "status", "switch", "switched"]


def status(head: str, facts: Sequence[str], done: float | None = None) -> Section:
    """Return the line that says how far something is which is still going; ``done`` is the share of it, 0 to 1."""
    said = "".join(f"<span>{escape(fact)}</span>" for fact in facts)
    part = 100 * min(max(done or 0.0, 0.0), 1.0)
    track = "" if done is None else f'<div class="track"><span style="width:{part:.2f}%"></span></div>'
    share_done = "" if done is None else f'<span class="done">{share(part / 100)}</span>'
    return Section(
        f'<div class="status"><p><strong>{escape(head)}</strong>{share_done}</p>{track}<p class="facts">{said}</p></div>'
    )


def switch(name: str, choices: Mapping[str, str]) -> Section:
    """Return buttons of which one is pressed: choice → its text.  Every ``switched`` of this name shows that choice.

    page.css has a line for each choice.
    """
    buttons = "".join(
        f'<input type="radio" name="{escape(name)}" id="{escape(name)}-{escape(key)}"{" checked" * (at == 0)}>'
        f'<label for="{escape(name)}-{escape(key)}">{escape(text)}</label>'
        for at, (key, text) in enumerate(choices.items())
    )
    return Section(f'<div class="switch">{buttons}</div>')


def switched(name: str, views: Mapping[str, Section]) -> Section:
    """Return several views of one thing, of which the switch of this name shows one."""
    return Section("".join(f'<div class="{name} {name}-{key}">{view.markup}</div>' for key, view in views.items()))


def beside(sections: Iterable[Section]) -> Section:
    """Return sections two abreast where the page is wide enough."""
    return Section(f'<div class="beside">{"".join(f"<div>{one.markup}</div>" for one in sections)}</div>')
