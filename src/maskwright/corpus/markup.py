"""Texts without their markup: HTML, Markdown, Wikipedia's wikitext.

Slow beside reading, so a function of its own that workers run.  Blocks (paragraphs, headings, list items, table cells)
become lines; what is not prose to a reader is left out: scripts, styles, templates, references, tables of wikitext.
"""

from __future__ import annotations

import re
from typing import Any

from maskwright.corpus.wikitext import wikitext
from maskwright.errors import InputError, MissingExtra

__all__ = ["plain"]

_FRONT_MATTER = re.compile(r"\A---[ \t]*\r?\n.*?\n(?:---|\.\.\.)[ \t]*(?:\r?\n|\Z)", re.DOTALL)
_TAG = re.compile(r"<!--.*?-->|<[^<>]*>", re.DOTALL)
_BREAK = "\u2029"
"""Stands between blocks until white space is collapsed."""
_BLOCKS = frozenset((
    "address", "article", "aside", "blockquote", "body", "br", "caption", "dd", "details", "dialog", "div", "dl",
    "dt", "fieldset", "figcaption", "figure", "footer", "form", "h1", "h2", "h3", "h4", "h5", "h6", "header", "hr",
    "li", "main", "nav", "ol", "option", "p", "pre", "section", "summary", "table", "tbody", "td", "tfoot", "th",
    "thead", "tr", "ul",
))  # fmt: skip
_UNREAD = frozenset((
    "head", "iframe", "math", "noscript", "object", "script", "style", "svg", "template",
))  # fmt: skip


def plain(text: str, markup: str) -> str:
    """Return the text without its markup, which is "", "html", "markdown" or "wiki".

    Pure and without state.  Raises MissingExtra where the library for a markup is not installed.
    """
    match markup:
        case "":
            return text
        case "html":
            return _html(text)
        case "markdown":
            return _markdown(text)
        case "wiki":
            return wikitext(text)
        case _:
            raise InputError(f"corpus/markup: {markup!r} is not known; html, markdown and wiki are.")


def _html(text: str) -> str:
    try:
        from selectolax.lexbor import LexborHTMLParser
    except ImportError as error:
        raise MissingExtra("selectolax", "formats", "corpus/markup: reading .html files") from error
    pieces: list[str] = []
    body = LexborHTMLParser(text).body
    # Not recursive: pages nest deeper than Python does.
    waiting: list[Any] = [] if body is None else [body.first_child]
    while waiting:
        node = waiting.pop()
        if isinstance(node, str):
            pieces.append(node)
        elif node is not None:
            waiting.append(node.next)
            tag = node.tag
            if tag == "-text":
                pieces.append(node.text_content or "")
            elif tag == "pre":
                pieces.append(_BREAK + node.text(deep=True).replace("\n", _BREAK) + _BREAK)
            elif tag not in _UNREAD:
                if tag in _BLOCKS:
                    pieces.append(_BREAK)
                    waiting.append(_BREAK)
                waiting.append(node.first_child)
    return _lines("".join(pieces).split(_BREAK))


def _markdown(text: str) -> str:
    try:
        from markdown_it import MarkdownIt
    except ImportError as error:
        raise MissingExtra("markdown-it-py", "formats", "corpus/markup: reading .md files") from error
    lines: list[str] = []
    for token in MarkdownIt("commonmark").enable("table").parse(_FRONT_MATTER.sub("", text, count=1)):
        if token.type == "inline":
            lines.extend("".join(map(_inline, token.children or ())).split(_BREAK))
        elif token.type in ("fence", "code_block"):
            lines.extend(token.content.splitlines())
        elif token.type == "html_block":
            lines.extend(_TAG.sub("", token.content).splitlines())
    return _lines(lines)


def _inline(token: Any) -> str:
    if token.type in ("text", "code_inline", "image", "text_special"):
        return str(token.content)
    return {"softbreak": " ", "hardbreak": _BREAK, "html_inline": ""}.get(token.type, "")


def _lines(lines: list[str]) -> str:
    """Join what is left of the lines when white space is collapsed."""
    return "\n".join(filter(None, (" ".join(line.split()) for line in lines)))
