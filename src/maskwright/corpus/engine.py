"""A function over many items, in order, on the cores of this machine.

At most ``processes`` + 1 items are on their way, so memory stays bounded, and results come back in the order of the items.
With one process there is no other: the same function runs here, and what processes need is not imported.
"""

from __future__ import annotations

import os
import signal
import threading
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from itertools import chain, islice
from typing import TYPE_CHECKING, Any, TypeVar

from maskwright.errors import MaskwrightError

if TYPE_CHECKING:
    from concurrent.futures import Future

__all__ = ["WorkerDiedError", "in_order"]

Item = TypeVar("Item")
Given = TypeVar("Given")
Result = TypeVar("Result")


class WorkerDiedError(MaskwrightError):
    """A process of ours was ended from outside, or could not start."""


def in_order(
    work: Callable[[Given], Result], items: Iterable[tuple[Item, Given]], processes: int
) -> Iterator[tuple[Item, Result]]:
    """Yield (item, work(given)) for each (item, given), in order.

    ``work`` must be picklable for more than one process, and is copied to each of them once.  What it raises is raised
    here.  Raises WorkerDiedError where a process is killed.
    """
    stream = iter(items)
    first = list(islice(stream, 2))
    if processes <= 1 or len(first) < 2:
        for item, given in chain(first, stream):
            yield item, work(given)
    else:
        yield from _on_processes(work, chain(first, stream), processes)


def _on_processes(
    work: Callable[[Given], Result], items: Iterable[tuple[Item, Given]], processes: int
) -> Iterator[tuple[Item, Result]]:
    import multiprocessing
    from concurrent.futures import ProcessPoolExecutor
    from concurrent.futures.process import BrokenProcessPool

    pool = ProcessPoolExecutor(processes, multiprocessing.get_context("spawn"), _begin, (work,))
    waiting: deque[tuple[Item, Future[Result]]] = deque()
    try:
        for item, given in items:
            waiting.append((item, pool.submit(_run, given)))
            if len(waiting) > processes + 1:
                yield _next(waiting)
        while waiting:
            yield _next(waiting)
    except BrokenProcessPool as error:
        raise WorkerDiedError(
            "corpus: a worker process died: killed, or out of memory (then fewer --processes or a smaller --memory help). "
            'In a script of your own, calls with processes > 1 belong under if __name__ == "__main__".'
        ) from error
    finally:
        pool.shutdown(cancel_futures=True)


def _next(waiting: deque[tuple[Item, Future[Result]]]) -> tuple[Item, Result]:
    item, future = waiting.popleft()
    return item, future.result()


_work: Callable[[Any], Any]


def _begin(work: Callable[[Any], Any]) -> None:
    global _work
    _work = work
    os.environ["TOKENIZERS_PARALLELISM"] = "false"  # the processes are the parallelism
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C reaches all; the first process ends the others
    threading.Thread(target=_leave_with_parent, daemon=True).start()


def _leave_with_parent() -> None:
    """A killed parent tells nobody, and a worker would wait for its next item for ever."""
    import multiprocessing
    from multiprocessing.connection import wait

    parent = multiprocessing.parent_process()
    if parent is not None:
        wait([parent.sentinel])
        os._exit(1)


def _run(given: Any) -> Any:
    return _work(given)
