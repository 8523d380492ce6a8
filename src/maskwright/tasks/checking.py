"""``check-data``: look through a file, or a data set's folder, before anything is trained on it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from maskwright.checkpoint.folder import read_spec
from maskwright.checkpoint.hub import resolve
from maskwright.corpus.health import Finding
from maskwright.errors import InputError, UsageError
from maskwright.tasks import DATASETS, task_named
from maskwright.tasks.check import Checked, Layout, check_files
from maskwright.tasks.findings import data_findings
from maskwright.tasks.glueset import GlueSet
from maskwright.tasks.rows import Columns
from maskwright.tasks.suggest import Suggestion, suggest
from maskwright.text.tokenizer import Tokenizer

__all__ = ["Report", "check_data", "data_sets_in"]


@dataclass(frozen=True)
class Report:
    """What a check found."""

    task: str
    columns: Columns
    files: GlueSet | None
    """The named data set, if it is one."""
    splits: Mapping[str, Checked]
    findings: tuple[Finding, ...]
    suggestions: tuple[Suggestion, ...]
    """Tasks that the file fits, where none was named; the first was checked for."""
    limit: int | None
    """Tokens in the model's longest input, where a model was named."""


def check_data(
    data: str | Path,
    *,
    task: str | None = None,
    model: str | Path | None = None,
    dev: str | Path | None = None,
    columns: Columns | None = None,
    length: int = 128,
) -> Report:
    """Look through a file of rows, or through every split of a named data set in a folder.

    task: a task or a data set such as glue/rte; found from the file where it is None.  model: a folder or org/name, whose
    tokenizer counts lengths.  dev: a second file, compared with the first.  columns: of a file for a task that is no named
    data set.  length: tokens that a fine-tuning would read.  Rows that cannot be used are in the splits' ``problems``.

    Raises InputError for files that cannot be read at all, for a folder without such a data set, and where no task was named
    and none fits.
    """
    where = Path(data)
    if not where.exists():
        raise InputError(f"{where}: no such file or folder")
    suggestions = () if task or columns or where.is_dir() else tuple(suggest(where))
    if task is None and columns is None and not suggestions:
        if where.is_dir():
            raise UsageError(_which(where))
        raise InputError(
            f"{where}: no task fits it. Its first line must name the columns (a .jsonl names them in each row); then say which "
            "are which: --task classify --text COLUMN --label COLUMN"
        )
    name = task or (suggestions[0].task if suggestions else "classify")
    tokenizer, limit = _model(model)
    files: GlueSet | None = DATASETS[name].load() if name in DATASETS else None
    if files is None:
        task_named(name)  # an unknown name is refused with the nearest known one
        if where.is_dir():
            raise UsageError(f"check-data: {where} is a folder and {name} reads a file; name the file, or a data set")
        own = columns or (suggestions[0].columns if suggestions else Columns("text", None, "label"))
        layout = Layout(own, values=name in ("regress", "bins"), several=name == "multilabel")
        paths = {"train": where} | ({"dev": Path(dev)} if dev else {})
        splits = {split: check_files(split, [path], [layout], tokenizer) for split, path in paths.items()}
    else:
        splits = _data_set(files, where, None if dev is None else Path(dev), tokenizer)
        own = files.columns[0]
    findings = tuple(data_findings(splits, files if where.is_dir() else None, length=length, limit=limit))
    return Report(name, own, files, splits, findings, suggestions, limit)


def data_sets_in(folder: Path) -> dict[str, tuple[str, ...]]:
    """Return data set -> splits, for those that lie in a folder under their own names."""
    found = {}
    for entry in DATASETS:
        files: GlueSet = entry.load()
        below = [folder / name for name in (files.folder, files.hub) if (folder / name).is_dir()]
        if folder.resolve().name.lower() in (files.folder.lower(), files.hub):
            below.append(folder)
        splits = tuple(split for split in files.splits if any(files.find(each, split) for each in below))
        if splits and not files.bins:
            found[entry.name] = splits
    return found


def _which(folder: Path) -> str:
    """What to give instead of a folder."""
    if known := ", ".join(data_sets_in(folder)):
        return f"check-data: name the data set in {folder} by --task; there: {known}"
    there = ", ".join(sorted(path.name for path in folder.iterdir() if path.is_file())[:6])
    return (
        f"check-data: {folder} holds no data set that is known by name; give one of its files ({there or 'it has none'}), and "
        "say which columns are which: --text COLUMN --label COLUMN"
    )


def _model(model: str | Path | None) -> tuple[Tokenizer | None, int | None]:
    """Its tokenizer and the tokens that it takes; no weight is read."""
    if model is None:
        return None, None
    folder = resolve(model)
    tokenizer = Tokenizer.load(folder)
    return tokenizer, min(read_spec(folder)[1].longest, tokenizer.max_length)


def _data_set(files: GlueSet, where: Path, dev: Path | None, tokenizer: Tokenizer | None) -> dict[str, Checked]:
    if where.is_dir():
        paths = {split: found for split in files.splits if (found := files.find(where, split))}
        if not paths:
            files.rows(where, next(iter(files.splits)))  # says what is missing, and where
    else:
        paths = {"train": (where,)}
    if dev is not None:
        paths["dev"] = (dev,)
    return {
        split: check_files(
            split, found, [Layout.of(files, path, labelled=files.labelled(split)) for path in found], tokenizer
        )
        for split, found in paths.items()
    }
