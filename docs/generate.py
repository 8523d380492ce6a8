"""Write docs/reference/cli.md: what every ``maskwright … --help`` prints, 80 columns wide.

Run it after a change to the command line: .venv/bin/python docs/generate.py.  A test compares the file with the program.
"""

from __future__ import annotations

import io
from collections.abc import Iterator
from pathlib import Path

import cyclopts
from rich.console import Console

from maskwright.cli import app

__all__ = ["PAGE", "commands", "reference"]

PAGE = Path(__file__).parent / "reference" / "cli.md"
_HEAD = """# Command line

Written by [docs/generate.py](../generate.py) from the program's own help; do not edit.

Exit codes: 0 done, 1 the input, 2 usage, 3 a fault of Maskwright's own, 130 Ctrl-C, 143 SIGTERM (both after saving).
`pretrain`, `finetune` and `similarity` also take `--recipe FILE`: its fields become the defaults, and options still win.
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


if __name__ == "__main__":
    PAGE.parent.mkdir(exist_ok=True)
    PAGE.write_text(reference(), "utf-8")
