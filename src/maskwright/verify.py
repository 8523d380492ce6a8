"""Is everything on disk what was written?  Every hash of a model, a run, a corpus or a plan, checked.

Nothing is changed, and one damaged thing does not hide the next.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path

from maskwright.checkpoint.folder import CARD, read_folder
from maskwright.checkpoint.hub import TOKENIZER_FILES
from maskwright.checkpoint.seal import verify
from maskwright.corpus.manifest import MANIFEST
from maskwright.corpus.store import Corpus
from maskwright.data.plan import Plan
from maskwright.errors import InputError, MaskwrightError
from maskwright.report.log import read_log
from maskwright.static.folder import SEAL as STATIC
from maskwright.text.tokenizer import Tokenizer

__all__ = ["Examined", "examine"]

STATE, BEST, LOG = "state.json", "best.json", "log.jsonl"
_DEPTH = 3
"""Folders within folders that are searched for something known."""


@dataclass(frozen=True)
class Examined:
    """One thing that was looked at."""

    kind: str
    path: Path
    damage: str = ""
    """Which file and why; empty when all is as it was written."""
    remark: str = ""


def examine(folder: str | Path) -> list[Examined]:
    """Look at a model, run, checkpoint, corpus or tokenizer folder, or at a folder that holds some of these.

    InputError where there is no such folder, or nothing in it that Maskwright writes.
    """
    folder = Path(folder)
    if not folder.is_dir():
        raise InputError(f"{folder}: no such folder; give one that Maskwright wrote, such as a run's --out")
    found = list(_search(folder, _DEPTH))
    if not found:
        raise InputError(
            f"{folder}: nothing in it that Maskwright writes: a model ({CARD}), a run ({LOG}), a corpus ({MANIFEST}), a "
            "tokenizer (tokenizer.json). Is this the right folder?"
        )
    return found


def _search(folder: Path, depth: int) -> Iterator[Examined]:
    """What the folder is, else what the folders in it are."""
    for known, look in _KINDS:
        if known(folder):
            yield from look(folder)
            return
    for inner in sorted(folder.iterdir()) if depth else ():
        if inner.is_dir() and not inner.name.startswith("."):
            yield from _search(inner, depth - 1)


def _finding(kind: str, path: Path, check: Callable[[], object]) -> Examined:
    """Run a check; what it returns, if it is a text, becomes the remark."""
    try:
        said = check()
    except MaskwrightError as error:
        return Examined(kind, path, damage=str(error).removeprefix(f"{path}/").removeprefix(f"{path}: "))
    return Examined(kind, path, remark=said if isinstance(said, str) else "")


def _sealed(kind: str, seal: str) -> Callable[[Path], Iterator[Examined]]:
    def look(folder: Path) -> Iterator[Examined]:
        yield _finding(kind, folder, lambda: verify(folder, seal))

    return look


_STATES = _sealed("checkpoint", STATE)


def _foreign(folder: Path) -> Iterator[Examined]:
    def check() -> str:
        read_folder(folder)
        return "it loads; there are no hashes to compare with"

    yield _finding("model", folder, check)


def _tokenizer(folder: Path) -> Iterator[Examined]:
    def check() -> str:
        return f"it loads, {Tokenizer.load(folder).vocab_size:,} pieces; there are no hashes to compare with"

    yield _finding("tokenizer", folder, check)


def _corpus(folder: Path) -> Iterator[Examined]:
    def check() -> None:
        corpus = Corpus.open(folder)
        corpus.ledger.check()
        corpus.verify()
        for column in corpus.manifest.columns:
            column.ledger.check(corpus.ledger)
            if corpus.tokenizer(column.fingerprint).fingerprint != column.fingerprint:
                raise InputError(f"{column.folder}: not the tokenizer whose tokens the corpus holds")

    yield _finding("corpus", folder, check)


def _plans(folder: Path) -> Iterator[Examined]:
    for path in sorted(folder.glob("*.arrow")):
        yield _finding("plan", path, partial(Plan.load, path))


def _run(folder: Path) -> Iterator[Examined]:
    if (folder / LOG).exists():
        yield _finding("log", folder / LOG, lambda: sum(1 for _ in read_log(folder / LOG)))
    yield from _checkpoints(folder / "checkpoints")
    for kind, name, seal in (("best weights", "best", BEST), ("model", "model", CARD)):
        if (folder / name).exists() or any(folder.glob(f".{name}.*.old")):
            yield from _sealed(kind, seal)(folder / name)
    yield from _plans(folder / "plans")


def _checkpoints(folder: Path) -> Iterator[Examined]:
    """Newest first: the first sound one is what a resume takes."""
    found = [finding for path in sorted(folder.glob("step-*"), reverse=True) for finding in _STATES(path)]
    sound = next((finding for finding in found if not finding.damage), None)
    for finding in found:
        yield replace(finding, remark="a resume goes on from here") if finding is sound else finding


_KINDS: tuple[tuple[Callable[[Path], bool], Callable[[Path], Iterator[Examined]]], ...] = (
    (lambda folder: (folder / CARD).exists(), _sealed("model", CARD)),
    (lambda folder: (folder / STATE).exists(), _STATES),
    (lambda folder: (folder / BEST).exists(), _sealed("best weights", BEST)),
    (lambda folder: (folder / STATIC).exists(), _sealed("vectors", STATIC)),
    (lambda folder: (folder / MANIFEST).exists() or any(folder.glob("text-*.arrow*")), _corpus),
    (lambda folder: (folder / LOG).exists() or (folder / "checkpoints").is_dir(), _run),
    (lambda folder: any(folder.glob("step-*/")), _checkpoints),
    (lambda folder: any(folder.glob("epoch-*.arrow")), _plans),
    (lambda folder: (folder / "config.json").exists() and any(folder.glob("*.safetensors")), _foreign),
    (lambda folder: any((folder / name).exists() for name in TOKENIZER_FILES), _tokenizer),
)
"""How each kind of folder is told, the surest sign first, and how it is looked at."""
