"""Write docs/reference/cli.md, what every ``maskwright … --help`` prints, 80 columns wide, and docs/reference/objectives.md.

Run it after a change to the command line or to an objective's options: .venv/bin/python docs/generate.py.  A test compares
the files with the program.
"""

from __future__ import annotations

import io
import types
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Literal, Union, get_args, get_origin

import cyclopts
from rich.console import Console

from maskwright.cli import app
from maskwright.config import Config

__all__ = ["OBJECTIVES_PAGE", "PAGE", "commands", "objectives", "reference"]

PAGE = Path(__file__).parent / "reference" / "cli.md"
OBJECTIVES_PAGE = Path(__file__).parent / "reference" / "objectives.md"
_HEAD = """# Command line

Written by [docs/generate.py](../generate.py) from the program's own help; do not edit.

Exit codes: 0 done, 1 the input, 2 usage, 3 a fault of Maskwright's own, 130 Ctrl-C, 143 SIGTERM (both after saving).
`pretrain`, `finetune`, `glue`, `similarity`, `few-shot` and `zero-shot` also take `--recipe FILE`: its fields become the
defaults, and options still win.
"""


def commands(within: cyclopts.App = app, before: tuple[str, ...] = ()) -> Iterator[tuple[str, ...]]:
    """Yield the words of every command, groups before what is in them."""
    for name in within:
        if not name.startswith("-"):
            yield (*before, name)
            yield from commands(within[name], (*before, name))


def reference() -> str:
    """Return the page."""
    parts = [_HEAD]
    for words in [(), *commands()]:
        text = io.StringIO()
        app.help_print(list(words), console=Console(file=text, width=80, color_system=None))
        body = "\n".join(line.rstrip() for line in text.getvalue().strip().splitlines())
        parts.append(f"## {' '.join(['maskwright', *words])}\n\n```text\n{body}\n```\n")
    return "\n".join(parts)


_OBJECTIVES_HEAD = """# Objectives and their options

Written by [docs/generate.py](../generate.py) from the program itself; do not edit.

`maskwright pretrain --objectives NAME,NAME` names them. An option is `--objective.NAME.OPTION` there, the same under
`objective` in a recipe, and `--OPTION` for `maskwright corpus show DIR --objective NAME`, which prints examples of your own
corpus. What the units of masking are: [masking](../masking.md).
"""
_KINDS = {float: "number", int: "whole number", bool: "yes or no", str: "text", Path: "file"}


def objectives() -> str:
    """Return the page of the objectives."""
    from maskwright.objectives import OBJECTIVES

    parts = [_OBJECTIVES_HEAD]
    for entry in OBJECTIVES:
        kind = entry.load()
        heads = ", ".join(f"`{head}`" for head in kind.heads) or "none"
        parts.append(
            f"## {entry.name}\n\n{entry.summary[0].upper()}{entry.summary[1:]} Heads: {heads}.\n\n{_options(kind.Config)}"
        )
    return "\n".join(parts)


def _options(config: type[Config]) -> str:
    rows = ["| Option | Value | Default | |", "|---|---|---|---|"]
    for name, field in config.model_fields.items():
        default = field.get_default(call_default_factory=True)
        if isinstance(default, Config):
            shown = (
                ", ".join(f"{each} {getattr(default, each)}" for each in sorted(default.model_fields_set)) or "as there"
            )
        else:
            shown = "" if default is None else str(default).lower() if isinstance(default, bool) else str(default)
        rows.append(
            f"| `{name}` | {_values(field.annotation)} | {shown} | {' '.join((field.description or '').split())} |"
        )
    return "\n".join(rows) + "\n" if len(rows) > 2 else "No options.\n"


def _sentence(description: str | None) -> str:
    return " ".join((description or "").split()).replace("``", "`")


def _values(annotation: Any) -> str:
    if get_origin(annotation) is Literal:
        return ", ".join(f"`{value}`" for value in get_args(annotation))
    if get_origin(annotation) in (Union, types.UnionType):
        return " or ".join(_values(each) for each in get_args(annotation) if each is not type(None))
    if isinstance(annotation, type) and issubclass(annotation, Config):
        return "options"
    return _KINDS.get(annotation, str(annotation).replace("|", "or"))


if __name__ == "__main__":
    PAGE.parent.mkdir(exist_ok=True)
    PAGE.write_text(reference(), "utf-8")
    OBJECTIVES_PAGE.write_text(objectives(), "utf-8")
