"""``maskwright report``."""

from __future__ import annotations

import itertools
import time
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import TYPE_CHECKING

from maskwright.report.terminal import show

if TYPE_CHECKING:
    from maskwright.report.export import Column, Row
    from maskwright.report.history import Followed
    from maskwright.report.page import Page

__all__ = ["report"]

_BATCH = 10_000


def report(*runs: Path, out: Path | None = None, data: Path | None = None, watch: bool = False, port: int = 0) -> None:
    """Draw a run from its log, also while it is going; compare several runs; export their numbers.

    Parameters
    ----------
    runs
        Folders that pretrain or finetune wrote to. One: its page. Several: a page that compares them.
    out
        File for the page; by default report.html in the run's folder, or comparison.html here.
    data
        Write every step and evaluation as a table instead (with --out: as well): .csv, .jsonl or .parquet.
    watch
        Serve the page to this machine's browser and follow the runs, until Ctrl-C.
    port
        For --watch; by default any free one.
    """
    from maskwright.errors import InputError, UsageError
    from maskwright.report.export import SUFFIXES
    from maskwright.report.runs import find_logs, open_runs

    if not runs:
        raise UsageError("maskwright report: name the folder of at least one run")
    if watch and (out or data):
        raise UsageError("maskwright report: --watch serves the page and writes no file; leave out --out and --data")
    if data is not None and data.suffix not in SUFFIXES:
        raise InputError(f"--data {data}: the suffix says the format, and must be one of {', '.join(SUFFIXES)}")
    if watch:
        _serve(open_runs(runs), port)
        return
    if data is not None:
        _export(find_logs(runs), data)
        show(f"data    {data}")
    if out is not None or data is None:
        opened = open_runs(runs)
        own = opened[0].path.parent / "report.html" if len(opened) == 1 else Path("comparison.html")
        show(f"report  {_draw(opened).write(out or own)}")


def _draw(runs: list[Followed]) -> Page:
    from maskwright.report.compare import compare_page
    from maskwright.report.run import run_page

    now = time.time()
    if len(runs) == 1:
        return run_page(runs[0].history, now=now)
    return compare_page([(run.name, run.history) for run in runs], now=now)


def _serve(runs: list[Followed], port: int) -> None:
    from maskwright.report.watch import Watch, pace

    def draw() -> tuple[Page, float]:
        for run in runs:
            run.look()
        return _draw(runs), pace(runs, time.time())

    with Watch(draw, port) as watch:
        show(f"{watch.url}  follows {', '.join(run.name for run in runs)}; Ctrl-C ends it")
        watch.serve()


def _export(logs: Mapping[str, Path], path: Path) -> None:
    # Twice through the logs, so that a long one is never held: for the columns, then for the rows.
    from maskwright.report.export import columns_of, rows_of, write_csv, write_jsonl

    columns = columns_of(rows_of(logs))
    if path.suffix == ".csv":
        write_csv(path, columns, rows_of(logs))
    elif path.suffix == ".jsonl":
        write_jsonl(path, rows_of(logs))
    else:
        _write_parquet(path, columns, rows_of(logs))


def _write_parquet(path: Path, columns: Mapping[str, Column], rows: Iterator[Row]) -> None:
    import pyarrow as pa
    from pyarrow import parquet

    from maskwright.report.files import drafted

    types = {bool: pa.bool_(), int: pa.int64(), float: pa.float64(), str: pa.string()}
    schema = pa.schema([(name, types[kind]) for name, kind in columns.items()])
    with drafted(path) as draft, parquet.ParquetWriter(draft, schema) as writer:
        while batch := list(itertools.islice(rows, _BATCH)):
            values = {
                n: [None if (v := row.get(n)) is None else kind(v) for row in batch] for n, kind in columns.items()
            }
            writer.write_table(pa.table(values, schema))
