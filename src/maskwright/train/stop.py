"""Ctrl-C and SIGTERM: finish the step, save, and leave with the exit code that the sender expects."""

from __future__ import annotations

import signal
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from types import FrameType

__all__ = ["Stopper", "stopper"]

_CAUGHT = (signal.SIGINT, signal.SIGTERM)


class Stopper:
    """Whether the run was asked to stop, and by what."""

    def __init__(self) -> None:
        self.signal: signal.Signals | None = None


@contextmanager
def stopper() -> Iterator[Stopper]:
    """Catch the first SIGINT or SIGTERM inside; a second one acts as if uncaught.

    Signals can be caught in a process's main thread only; elsewhere nothing is caught.
    """
    stop = Stopper()
    if threading.current_thread() is not threading.main_thread():
        yield stop
        return
    before = {number: signal.getsignal(number) for number in _CAUGHT}

    def note(number: int, frame: FrameType | None) -> None:
        stop.signal = signal.Signals(number)
        for each, handler in before.items():
            signal.signal(each, handler)

    for number in _CAUGHT:
        signal.signal(number, note)
    try:
        yield stop
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
