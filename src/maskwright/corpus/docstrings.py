"""English that every Python installation holds: the docstrings of its standard library and of its packages.

Files are read with ``ast`` and never imported.  The standard library comes first, up to half of the limit; then the
packages take turns, so that a giant one gets no more room than the others.  A package's files come in an order drawn from
a hash of their paths, so that what is read of a giant one comes from all over it.  The bound is in bytes of text, so the
same installation gives the same text.

What is kept is prose: paragraphs, unwrapped to one line each, each counted once.  Every byte of the docstrings that were
found is either kept or dropped for a stated reason.

The same docstrings, as passages with a label, make a labelled task: see ``corpus.passages``.
"""

from __future__ import annotations

import ast
import hashlib
import importlib.metadata
import inspect
import os
import re
import sysconfig
import time
import warnings
from collections import Counter, defaultdict, deque
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from pathlib import Path

from maskwright.corpus.passages import Passage, cut_text

__all__ = ["Harvest", "harvest"]

LARGEST_FILE = 1 << 20  # bytes; larger modules are tables that a program wrote
LEAST_SHARE = 0.2  # of a file in triple quotes; parsing costs the same where there is little to find
TURN = 32 << 10  # bytes that a package may add before it is the next one's turn
SHORTEST, LONGEST = 8, 120  # words of a function's passage
LEAST_WORDS, LEAST_PLAIN = 6, 0.7  # a paragraph is prose with so many plain words, and such a share of them

_SKIPPED_FOLDERS = frozenset(
    {"test", "tests", "idlelib", "lib2to3", "turtledemo", "ensurepip", "site-packages", "dist-packages", "__pycache__"}
    | {"_vendor", "_vendored", "vendor", "vendored", "third_party", "externals"}
)
_QUOTED = re.compile(rb'"""(.*?)"""|\'\'\'(.*?)\'\'\'', re.DOTALL)
_WITH_DOCSTRING = (ast.Module, ast.ClassDef, ast.FunctionDef, ast.AsyncFunctionDef)

_UNDERLINE = re.compile(r"[-=~^*#+|_.\s]{3,}$")
_ADMONITION = re.compile(r"\.\. (?:note|warning|tip|hint|important|caution|attention|danger|admonition)::\s*")
_DIRECTIVE = re.compile(r"\.\. ")
_ITEM = re.compile(r"(?:[-*+•] |\d+[.)] |:\w+[^:]*: |[`*\w.]+(?: \([^)]*\))?: )")
_INLINE = re.compile(r":[\w:]+:(?=`)|`+|\[[\d#]+\]_")
_BULLET = re.compile(r"(?:[-*+•] |\d+[.)] |:\w+[^:]*: )")
_PLAIN_WORD = re.compile(r"[\"'(]*[A-Za-z]+(?:['’-][A-Za-z]+)*[\"')]*[.,;:!?]?[\"')]*$")


@dataclass
class Harvest:
    """What was found, and an account of it.

    ``files_seen`` = ``files_parsed`` + the files of ``files_skipped``; ``bytes_in`` = ``bytes_kept`` + the bytes of
    ``bytes_dropped``.  Bytes are UTF-8; those kept are the paragraphs', without the line ends between them.
    """

    documents: list[tuple[str, str]] = field(default_factory=list)
    """(dotted module name, text) with a paragraph a line, in the order of the names."""
    functions: list[Passage] = field(default_factory=list)
    """The prose of functions and classes; the label is the package, or the standard library's module."""
    files_seen: int = 0
    files_parsed: int = 0
    files_skipped: Counter[str] = field(default_factory=Counter)
    docstrings: int = 0
    bytes_in: int = 0
    bytes_kept: int = 0
    bytes_dropped: Counter[str] = field(default_factory=Counter)
    seconds: float = 0.0
    out_of_time: bool = False
    """True where the time limit struck, so that another run may read more or less."""


def harvest(
    limit_bytes: int = 8_000_000, seconds: float = 60.0, *, stdlib: Path | None = None, packages: Path | None = None
) -> Harvest:
    """Read the docstrings of the running installation.

    limit_bytes: reading stops with the file that reaches so many bytes of text.  seconds: a safety net; a harvest that it
    cut short says ``out_of_time``.  stdlib, packages: the folders to read, where not those of the running Python.
    """
    begun = time.monotonic()
    stdlib = stdlib or Path(sysconfig.get_path("stdlib"))
    packages = packages or Path(sysconfig.get_path("purelib"))
    result = Harvest()
    reader = _Reader(result, deadline=begun + seconds)
    standard, installed = _modules(stdlib), _modules(packages)
    result.files_seen = sum(len(files) for files in [*standard.values(), *installed.values()])

    files = _spread([path for paths in standard.values() for path in paths], stdlib)
    reader.take(files, stdlib, until=limit_bytes // 2)
    turns = deque(_spread(paths, packages) for paths in installed.values())
    while turns and result.bytes_kept < limit_bytes and not result.out_of_time:
        files = turns.popleft()
        if reader.take(files, packages, until=min(limit_bytes, result.bytes_kept + TURN)):
            turns.append(files)

    untouched = result.files_seen - result.files_parsed - result.files_skipped.total()
    if untouched:
        result.files_skipped["out of time" if result.out_of_time else "beyond the limit"] = untouched
    result.documents.sort()
    result.seconds = time.monotonic() - begun
    return result


def _modules(root: Path) -> dict[str, list[Path]]:
    """Return the Python files below a folder by the top-level name that they belong to, in the order of the names."""
    found: defaultdict[str, list[Path]] = defaultdict(list)
    for folder, below, names in os.walk(root):
        below[:] = sorted(name for name in below if name.isidentifier() and name not in _SKIPPED_FOLDERS)
        for name in sorted(names):
            if name.endswith(".py"):
                path = Path(folder, name)
                found[_label(path, root)].append(path)
    return dict(sorted(found.items()))


def _label(path: Path, root: Path) -> str:
    name = path.relative_to(root).parts[0].removesuffix(".py")
    return name.strip("_") or name


def _spread(paths: Iterable[Path], root: Path) -> Iterator[Path]:
    """Order files by a hash of their place, so that the first of them come from all over."""
    return iter(sorted(paths, key=lambda path: hashlib.blake2b(path.relative_to(root).as_posix().encode()).digest()))


class _Reader:
    """Reads one file after another into a harvest."""

    def __init__(self, result: Harvest, deadline: float) -> None:
        self.result, self.deadline = result, deadline
        self.known = importlib.metadata.packages_distributions()
        self.paragraphs: set[str] = set()

    def take(self, files: Iterator[Path], root: Path, until: int) -> bool:
        """Read files until so many bytes are kept in all; False where the files or the time have run out."""
        while self.result.bytes_kept < until:
            path = next(files, None)
            if path is None:
                return False
            if time.monotonic() > self.deadline:
                self.result.out_of_time = True
                return False
            self.read(path, root)
        return True

    def read(self, path: Path, root: Path) -> None:
        tree = _parse(path)
        if isinstance(tree, str):
            self.result.files_skipped[tree] += 1
            return
        self.result.files_parsed += 1
        label = _label(path, root)
        names = tuple(sorted({label, *self.known.get(label, ())}))
        module = ".".join(path.relative_to(root).with_suffix("").parts).removesuffix(".__init__")
        lines = []
        for name, docstring in _docstrings(tree):
            prose = self.account(docstring)
            lines += [paragraph for paragraph in prose if self.is_new(paragraph)]
            text = next(cut_text(" ".join(prose)), "")
            if name and SHORTEST <= len(text.split()) <= LONGEST:
                group = f"{module}:{name.partition('.')[0]}"
                self.result.functions.append(Passage(text, label, group, f"{module}:{name}", names))
        if lines:
            self.result.documents.append((module, "\n".join(lines)))

    def account(self, docstring: str) -> list[str]:
        """Return a docstring's paragraphs of prose, and enter all that is not in them as dropped."""
        result, prose = self.result, []
        size = rest = len(docstring.encode())
        for reason, text in _paragraphs(docstring):
            rest -= len(text.encode())
            if reason:
                result.bytes_dropped[reason] += len(text.encode())
            else:
                prose.append(text)
        result.docstrings += 1
        result.bytes_in += size
        result.bytes_dropped["layout"] += rest
        return prose

    def is_new(self, paragraph: str) -> bool:
        """Keep a paragraph, or drop one that was met before."""
        size = len(paragraph.encode())
        if paragraph in self.paragraphs:
            self.result.bytes_dropped["repeated"] += size
            return False
        self.paragraphs.add(paragraph)
        self.result.bytes_kept += size
        return True


def _parse(path: Path) -> ast.Module | str:
    """Return the parsed file, or the reason why it is skipped."""
    try:
        if path.stat().st_size > LARGEST_FILE:
            return "over 1 MiB"
        source = path.read_bytes()
    except OSError:
        return "not readable"
    if sum(len(match.group()) for match in _QUOTED.finditer(source)) < LEAST_SHARE * len(source) or not source:
        return "few docstrings"
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # other people's invalid escapes
            return ast.parse(source)
    except (SyntaxError, ValueError, RecursionError, MemoryError):
        return "not this Python"


def _docstrings(tree: ast.Module) -> Iterator[tuple[str, str]]:
    """Yield (qualified name, docstring) of a module, whose name is empty, and of its classes and functions in order."""
    pending: list[tuple[str, ast.AST]] = [("", tree)]
    while pending:
        name, node = pending.pop()
        if isinstance(node, _WITH_DOCSTRING):
            docstring = ast.get_docstring(node, clean=False)
            if docstring:
                # A lone surrogate can be written in a source file but not in UTF-8.
                yield name, docstring.encode("utf-8", "replace").decode()
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
            continue  # what is defined inside is nobody's interface
        within = [*getattr(node, "body", ()), *getattr(node, "handlers", ()), *getattr(node, "orelse", ())]
        for child in reversed(within):
            own = getattr(child, "name", None) if isinstance(child, _WITH_DOCSTRING) else None
            pending.append((".".join(filter(None, (name, own))), child))


def _paragraphs(docstring: str) -> Iterator[tuple[str, str]]:
    """Yield (reason to drop it, text) for each piece of a docstring; the reason of prose is empty."""
    for reason, text in _pieces(docstring):
        if reason:
            yield reason, text
            continue
        text = _BULLET.sub("", _INLINE.sub("", text))
        words = text.split()
        plain = sum(1 for word in words if _PLAIN_WORD.match(word))
        yield ("" if plain >= LEAST_WORDS and plain >= LEAST_PLAIN * len(words) else "not prose"), text


def _pieces(docstring: str) -> Iterator[tuple[str, str]]:
    """Yield (reason, text) for each paragraph, unwrapped, and for each line that is no part of one."""
    block: list[str] = []
    start = 0  # the indentation of the block's first line
    literal: int | None = None  # inside a literal block: the indentation that ends it
    fenced = doctest = False
    for line in [*inspect.cleandoc(docstring).splitlines(), ""]:
        text = " ".join(line.split())
        indent = len(line) - len(line.lstrip())
        if text and literal is not None and indent <= literal:
            literal = None
        doctest = bool(text) and (doctest or text.startswith(">>>"))
        reason = ""
        if doctest or text.startswith("... "):
            reason = "doctest"
        elif text.startswith("```"):
            reason, fenced = "markup", not fenced
        elif fenced or literal is not None or _UNDERLINE.match(text):
            reason = "markup"
        elif _DIRECTIVE.match(text) and not _ADMONITION.match(text):
            reason, literal = "markup", indent
        within = indent == start or (indent > start and block and _ITEM.match(block[0]))
        if block and (reason or not text or not within or _ITEM.match(text)):
            yield "", " ".join(block)
            block = []
        if reason and text:
            yield reason, text
        elif text:
            start = start if block else indent
            text = _ADMONITION.sub("", text)
            if text.endswith("::"):
                text, literal = text[:-1], indent
            block.append(text)
