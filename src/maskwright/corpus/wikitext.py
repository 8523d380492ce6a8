"""The prose of a Wikipedia article: wikitext without its markup, in one pass over its brackets.

Left out with all that is in them: templates, tables, references, comments, files, categories, formulas.  Links keep
their label, headings that have text under them their words.  A template whose result is prose (``{{convert|5|km}}``)
is lost, as no template is expanded.  Written here because a parser that builds a tree is some thirty times slower, and
a dump is large.  What each mark means: https://www.mediawiki.org/wiki/Help:Formatting
"""

from __future__ import annotations

import html
import re
from collections import Counter

__all__ = ["wikitext"]

_HIDDEN = (
    "ref|references|gallery|math|chem|ce|score|timeline|imagemap|syntaxhighlight|source|templatedata|templatestyles|graph|"
    "categorytree|inputbox|hiero|mapframe|maplink|includeonly|style|script|section"
)
_TOKEN = re.compile(
    r"\{\{|\}\}|^[ \t]*:*\{\||^[ \t]*\|\}|<!--|-->"
    rf"|<(?:{_HIDDEN})\b[^<>]*>|</(?:{_HIDDEN})\s*>",
    re.MULTILINE | re.IGNORECASE,
)
_LINK = re.compile(r"\[\[([^\[\]]*)\]\]")
_MAX_NESTING = 8
"""Links within links: those in the caption of a picture, and the picture."""
_LEFT_OUT = frozenset((
    "file", "image", "media", "category", "datei", "bild", "kategorie", "fichier", "catégorie", "archivo", "imagen",
    "categoría", "immagine", "categoria", "ficheiro", "imagem", "bestand", "afbeelding", "categorie", "plik",
    "grafika", "kategoria", "fil", "kategori", "файл", "изображение", "категория", "зображення", "категорія", "文件",
    "檔案", "图像", "圖像", "分类", "分類", "ファイル", "画像", "カテゴリ", "파일", "그림", "분류", "ملف", "صورة", "تصنيف",
))  # fmt: skip
"""Namespaces whose links are no part of a sentence, as Wikipedias name them."""
_INTERWIKI = re.compile(r"[a-z]{2,3}(?:-[a-z]+)?\Z")
_EXTERNAL = re.compile(r"\[(?:https?:|ftp:|mailto:|//)[^\s\[\]]*[ \t]*([^\[\]\n]*)\]")
_VARIANT = re.compile(r"-\{([^{}]*)\}-")
_SWITCH = re.compile(r"__[A-Z]{3,}__")
_BREAK = re.compile(r"<(?:br|hr|p|/p|li|div|/div|poem|/poem)\b[^<>]*>", re.IGNORECASE)
_TAG = re.compile(r"</?[a-zA-Z][^<>]*>")
_EMPHASIS = re.compile(r"'{2,}")
_EMPTY = re.compile(r"[ \t]?[(（][\s,;:，；：、]*[)）]")
"""What is left of a bracket that held a template, mostly how a name is said."""
_HEADING = re.compile(r"(={1,6})(.+?)\1\s*\Z")


def wikitext(text: str) -> str:
    """Return the prose of an article, a line for each paragraph, list item and heading that has text under it."""
    text = _without_hidden(text)
    text = _SWITCH.sub("", _VARIANT.sub(_first_variant, text))
    for _ in range(_MAX_NESTING):
        text, count = _LINK.subn(_label, text)
        if not count:
            break
    text = _EXTERNAL.sub(r"\1", text)
    text = _TAG.sub("", _BREAK.sub("\n", text))
    return _prose(_EMPTY.sub("", html.unescape(_EMPHASIS.sub("", text))))


def _without_hidden(text: str) -> str:
    """Leave out what stands between brackets that hide; one that is never closed stands as it is."""
    pieces: list[str] = []
    opened: list[tuple[str, int]] = []
    held: Counter[str] = Counter()
    end = 0
    for found in _TOKEN.finditer(text):
        pieces.append(text[end : found.start()])
        end = found.end()
        kind, opens = _kind(found[0].strip().lstrip(":").lower())
        if opens is None:
            continue
        if opens:
            opened.append((kind, len(pieces)))
            held[kind] += 1
        elif held[kind]:
            # What is open within it was never closed, and goes with it.
            other = ""
            while other != kind:
                other, place = opened.pop()
                held[other] -= 1
            del pieces[place:]
            continue
        pieces.append(found[0])
    pieces.append(text[end:])
    return "".join(pieces)


def _kind(token: str) -> tuple[str, bool | None]:
    """Return what a token belongs to and whether it opens it; None for one that is whole in itself."""
    if token in ("{{", "}}", "{|", "|}", "<!--", "-->"):
        return {"}}": "{{", "|}": "{|", "-->": "<!--"}.get(token, token), token in ("{{", "{|", "<!--")
    name = re.split(r"[\s/>]", token.lstrip("</"), maxsplit=1)[0]
    return name, None if token.endswith("/>") else not token.startswith("</")


def _label(link: re.Match[str]) -> str:
    target, _, label = link[1].partition("|")
    space, colon, _ = target.partition(":")
    if colon and space.strip().lower() in _LEFT_OUT:
        return ""
    if colon and not label and _INTERWIKI.match(space):
        return ""
    return label or target.lstrip(":")


def _first_variant(found: re.Match[str]) -> str:
    """Chinese: ``-{zh-hans:…;zh-hant:…}-`` gives the first script's words; flags that show nothing give none."""
    flags, bar, body = found[1].rpartition("|")
    if bar and any(flag in flags for flag in "HTA"):
        return ""
    first = body.split(";")[0]
    name, colon, words = first.partition(":")
    return words if colon and name.strip().startswith("zh") else first


def _prose(text: str) -> str:
    lines: list[str] = []
    heading: str | None = None
    for line in text.split("\n"):
        line = " ".join(line.split())
        found = _HEADING.match(line) if line.startswith("=") else None
        if found:
            heading = found[2].strip()
            continue
        line = line.lstrip("*#:; ")
        if any(map(str.isalnum, line)):
            if heading:
                lines.append(heading)
                heading = None
            lines.append(line)
    return "\n".join(lines)
