"""``maskwright bench``."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from maskwright.cli.common import command_line, note, warn_if_busy
from maskwright.report.terminal import show, table

__all__ = ["bench"]


def bench(
    *,
    only: str = "",
    rounds: int = 3,
    seconds: float = 20.0,
    threads: int = 0,
    data: Path | None = None,
    model: Path | None = None,
    out: Path = Path("bench"),
    seed: int = 0,
    resume: bool = False,
) -> None:
    """Measure how fast this is here, beside transformers, sentence-transformers and others where they are installed.

    Fine-tuning, masked language modelling, encoding, tokenising and starting, each side in a process of its own, in turns. The
    whole takes about three quarters of an hour on two cores; let nothing else run meanwhile. Needs no network and no files.

    Parameters
    ----------
    only
        Names with commas, or beginnings of names: finetune-pairs, finetune-long, mlm-mini-128, mlm-mini-512, mlm-base-128,
        encode, single, tokenise, ready.
    rounds
        How often each is measured; ratios are formed within a round.
    seconds
        How long a measurement of training lasts, unless its epoch ends before.
    threads
        Threads for every side; default: as many as torch takes.
    data
        Your own texts instead of this Python's documentation: any file that corpus build reads, each document a text.
    model
        Folder of your own encoder instead of a fresh one of MiniLM's size, for fine-tuning, encoding and starting.
    out
        Folder for bench.json (every measurement, as soon as it is there) and bench.html.
    seed
        Of the texts' lengths and of fresh weights.
    resume
        Go on with the measurements in --out.
    """
    from maskwright.bench.cases import chosen
    from maskwright.errors import UsageError

    cases = chosen(only)
    if rounds < 1 or seconds <= 0 or threads < 0:
        raise UsageError("maskwright bench: --rounds is at least 1, --seconds more than 0, --threads not negative")
    warn_if_busy()
    from maskwright.bench.rounds import Settings, measure

    settings = Settings(cases, out, rounds, seconds, threads, data, model, seed, command_line())
    try:
        record = measure(settings, note, resume=resume)
    except KeyboardInterrupt:
        if settings.file.exists():
            _show(json.loads(settings.file.read_text("utf-8")), out)
            note("Stopped; --resume measures the rest.")
        raise
    _show(record, out)


def _show(record: dict[str, Any], out: Path) -> None:
    from maskwright.bench.sheet import COLUMNS, bench_page, ceiling_rows, remarks, rows

    show(table("", COLUMNS, rows(record)))
    if found := ceiling_rows(record):
        show(table("Against the ceiling, on real tokens", ("work", "TFLOP/s", "share"), found))
    for remark in remarks(record):
        note(f"Note: {remark}.")
    show(f"measured  {out / 'bench.json'}", f"page      {bench_page(record).write(out / 'bench.html')}")
