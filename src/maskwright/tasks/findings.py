"""What the measures of ``check`` say against a training: each finding with its reason and a remedy."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from maskwright.corpus.health import Finding, Severity
from maskwright.report.numbers import share
from maskwright.tasks.check import Checked, Repeat, overlaps, shared_texts
from maskwright.tasks.glueset import GlueSet
from maskwright.tasks.labelsets import names_of

__all__ = ["data_findings"]

FEW = 8
"""Rows of a label: with fewer, folds and held-out rows may hold none of it."""
UNEVEN = 0.8
"""Share of the most frequent label from which accuracy says little."""
OVERLAP = 0.005
"""Share of dev rows that stand in the training file too; from here on a warning.  GLUE's own sets stay below."""
CUT = 0.05
"""Share of rows that are longer than what is read."""
UNKNOWN = 0.01
"""Share of pieces."""
_DAMAGED = re.compile("\ufffd|Ã[\u0080-\u00bf]|â€")
"""Letters lost in a wrong encoding: the mark for them, and UTF-8 read as Latin-1."""
_QUOTED = re.compile('^".*"$', re.DOTALL)


@dataclass(frozen=True)
class _Seen:
    splits: Mapping[str, Checked]
    files: GlueSet | None
    length: int
    limit: int | None
    """Tokens in the model's longest input."""


def data_findings(
    splits: Mapping[str, Checked], files: GlueSet | None = None, *, length: int = 128, limit: int | None = None
) -> list[Finding]:
    """Return what is wrong with the splits of a data set or with files of one's own, or worth knowing.

    splits: by name; ``train`` is what the others are compared with.  length: tokens that a fine-tuning reads of a row.
    """
    seen = _Seen(splits, files, length, limit)
    return [found for look in _LOOKS for found in look(seen)]


def _sizes(seen: _Seen) -> list[Finding]:
    found = []
    for name, one in seen.splits.items():
        if seen.files is None:
            continue
        count = len(one.rows) + len(one.problems)
        published, noted = seen.files.sizes.get(name), seen.files.noted.get(name)
        if published is not None and count != published:
            fact = f"rows in {name}: {count:,}; published: {published:,}"
            why = "scores on other rows are not those of the benchmark"
            found.append(Finding("size", "warning", fact, why, "take the published files, or say which rows these are"))
        if noted is not None and noted != count and count == published:
            fact = f"rows in {name}: {count:,}; field notes on GLUE say {noted:,}"
            why = "some notes count header lines, lines of broken rows, or another release"
            found.append(Finding("size in notes", "note", fact, why, "none is needed: the files decide"))
    return found


def _unusable(seen: _Seen) -> list[Finding]:
    found = []
    for name, one in seen.splits.items():
        if one.problems:
            fact = f"rows of {name} that cannot be used: {len(one.problems):,}; they are listed below"
            why = "a training stops at the first of them"
            found.append(Finding("unusable rows", "warning", fact, why, "mend these lines, or take them out"))
        if one.left_out:
            lines = _lines([error.line or 0 for error in one.left_out])
            fact = f"rows of {name} that are left out: {len(one.left_out):,} ({lines})"
            why = "they have no label, or were cut in two when the files were published"
            found.append(Finding("rows left out", "note", fact, why, "none is needed"))
    return found


def _labels(seen: _Seen) -> list[Finding]:
    found = []
    train = next(iter(seen.splits.values()))
    for name, one in seen.splits.items():
        if not one.labels:
            continue
        most, count = next(iter(one.labels.items()))
        if len(one.labels) == 1 and count == len(one.rows):
            fact, why = f"every row of {name} is {most!r}", "there is nothing to tell apart"
            found.append(Finding("one label", "warning", fact, why, "look at the label column"))
        elif count / len(one.rows) >= UNEVEN:
            fact = f"{share(count / len(one.rows))} of {name} are {most!r}"
            why = "answering that label alone scores as much"
            several = sum(one.labels.values()) > len(one.rows)
            weigh = "the labels (--options.balance 0.5)" if several else "the classes (--class-weights balanced)"
            remedy = f"go by F1 or Matthews rather than accuracy; weigh {weigh}"
            found.append(Finding("uneven labels", "warning", fact, why, remedy))
        if rare := [f"{label!r} {n}" for label, n in one.labels.items() if n < FEW] if one is train else []:
            fact = f"fewer than {FEW} rows in {name}: {', '.join(rare[:8])}" + (" …" if len(rare) > 8 else "")
            why = "too few to learn from, and a held-out part may have none"
            found.append(Finding("rare labels", "warning", fact, why, "join them with others, or label more rows"))
        if one is not train and (new := [label for label in one.labels if label not in train.labels]):
            line = next(
                f"{p}, line {r.line:,}" for r, p in zip(one.rows, one.places, strict=True) if _has(r.label, new[0])
            )
            fact = f"{name} has labels that training never sees: {', '.join(map(repr, new[:8]))} (first: {line})"
            found.append(
                Finding("new labels", "warning", fact, "no model can predict them", "mend the label, or add rows")
            )
    return found


def _has(said: str | None, label: str) -> bool:
    """Whether a row's label is this one, or one of several."""
    return said == label or label in names_of(said or "")


def _repeats(seen: _Seen) -> list[Finding]:
    found = []
    for name, one in seen.splits.items():
        against = [repeat for repeat in one.repeats if not repeat.same_label]
        if against and one.labels:
            fact = f"rows of {name} that repeat an earlier one with another label: {len(against):,} ({_where(against)})"
            found.append(Finding("contradictions", "warning", fact, "one of the two must be wrong", "look at them"))
        if same := [repeat for repeat in one.repeats if repeat.same_label or not one.labels]:
            fact = f"rows of {name} that repeat an earlier one: {len(same):,} ({_where(same)})"
            why = "they count twice in the loss, or in the score"
            found.append(Finding("duplicates", "note", fact, why, "take them out, unless they are meant"))
    return found


def _leaks(seen: _Seen) -> list[Finding]:
    train = seen.splits.get("train")
    found: list[Finding] = []
    for name, one in seen.splits.items() if train is not None else ():
        if train is None or one is train or not one.rows:
            continue
        if hits := overlaps(train, one):
            part = len(hits) / len(one.rows)
            fact = f"rows of {name} that stand in train too: {len(hits):,}, {share(part)} ({_where(hits)})"
            severity: Severity = "warning" if part >= OVERLAP else "note"
            why = "a model that remembers them scores better there than on new text"
            found.append(Finding("overlap", severity, fact, why, "take them out of one of the files"))
        if count := shared_texts(train, one):
            fact = f"{share(count / len(one.rows))} of the pairs of {name} have a text that stands in a training pair"
            why = "that text is no surprise any more; usual where pairs are made of one passage"
            found.append(Finding("shared texts", "note", fact, why, "for own files: cut by passage, not by row"))
    return found


def _lengths(seen: _Seen) -> list[Finding]:
    found = []
    if seen.limit is not None and seen.length > seen.limit:
        fact = f"--length {seen.length} is more than the {seen.limit} tokens that the model takes"
        found.append(Finding("length", "warning", fact, "a training would refuse it", f"--length {seen.limit}"))
    for name, one in seen.splits.items():
        if one.tokens is None or not len(one.rows):
            continue
        lengths = one.tokens.lengths
        cut = float((lengths > seen.length).mean())
        if cut >= CUT:
            fact = f"{share(cut)} of {name} are longer than {seen.length} tokens; the longest has {lengths.max():,}"
            fits = int(np.quantile(lengths, 0.99, method="higher"))
            if seen.limit is None or fits <= seen.limit:
                more = f"--length {fits} reads 99 % whole"
            elif seen.length < seen.limit:
                more = f"--length {seen.limit}, which is the model's limit"
            else:
                more = f"cut texts into passages, or take a model that reads more than {seen.limit} tokens"
            found.append(Finding("long rows", "warning", fact, "what is cut off is never read", more))
        part = one.tokens.unknown_share
        if part is not None and part > UNKNOWN and one.tokens.unknown is not None:
            worst = [one.rows[n].line for n in np.argsort(-one.tokens.unknown, kind="stable")[:5]]
            fact = f"{share(part)} of the pieces of {name} are unknown to the model ({_lines(worst)})"
            why = "the model sees the same piece for all of them"
            remedy = "take a model of this language, or add words: maskwright tokenizer extend"
            found.append(Finding("unknown pieces", "warning", fact, why, remedy))
    return found


def _letters(seen: _Seen) -> list[Finding]:
    found = []
    for name, one in seen.splits.items():
        damaged = [row.line for row in one.rows if any(_DAMAGED.search(text) for text in row.texts)]
        if damaged:
            fact = f"rows of {name} with letters lost in a wrong encoding: {len(damaged):,} ({_lines(damaged)})"
            why = "words with them are unknown words"
            found.append(Finding("damaged letters", "note", fact, why, "read the source as UTF-8 and export it again"))
        if not one.files or not all(".tsv" in file or ".txt" in file for file in one.files):
            continue
        quoted = [row.line for row in one.rows if any(_QUOTED.match(text) for text in row.texts)]
        doubled = [row.line for row in one.rows if any('""' in text and _QUOTED.match(text) for text in row.texts)]
        if doubled or len(quoted) > 0.5 * len(one.rows):
            lines = doubled or quoted
            fact = f"rows of {name} that look quoted as in CSV: {len(lines):,} ({_lines(lines)})"
            why = "TSV knows no quoting: the marks are read as text"
            found.append(
                Finding("quoted fields", "note", fact, why, "rename to .csv with commas, or take the marks out")
            )
    return found


def _where(repeats: Sequence[Repeat]) -> str:
    return _lines([repeat.line for repeat in repeats])


def _lines(lines: Sequence[int]) -> str:
    some = ", ".join(f"{line:,}" for line in lines[:4])
    return f"line{'s' if len(lines) > 1 else ''} {some}" + (" …" if len(lines) > 4 else "")


_LOOKS: tuple[Callable[[_Seen], list[Finding]], ...] = (
    _unusable,
    _sizes,
    _labels,
    _repeats,
    _leaks,
    _lengths,
    _letters,
)
