"""A report that follows its run: the page on this machine's own address, drawn anew whenever it is asked for.

Nothing but ``GET /`` is answered, only to this machine, and only under this machine's name: a web page that was loaded from
elsewhere cannot read the report through a name that it has pointed here.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from functools import cache
from http import HTTPStatus
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from importlib import resources

from maskwright.errors import InputError, MaskwrightError
from maskwright.report import page
from maskwright.report.history import Followed
from maskwright.report.page import Page

__all__ = ["Watch", "pace"]

HERE = "127.0.0.1"
SOON, LATER = 5.0, 30.0
ENDED = 600.0
"""Seconds after the last record for which a run that is not going is still looked at: it may be scored or resumed."""
SHARE_OF_TIME = 0.05
_HEADERS = {
    "Content-Type": "text/html; charset=utf-8",
    "Cache-Control": "no-store",
    "X-Content-Type-Options": "nosniff",
    "Content-Security-Policy": "frame-ancestors 'none'",
}


class Watch:
    """Serves what ``draw`` returns, a page and the seconds after which to ask again (0: no more), until interrupted.

    ``port`` 0 takes any free one.  A context manager.  Raises InputError for a port that cannot be had.
    """

    def __init__(self, draw: Callable[[], tuple[Page, float]], port: int = 0) -> None:
        self._draw, self._lock = draw, threading.Lock()
        try:
            self._server = ThreadingHTTPServer((HERE, port), self._handler())
        except (OSError, OverflowError) as error:
            reason = f"port {port} cannot be had ({error}). Leave --port out to take any free one"
            raise InputError(reason) from error
        self._server.daemon_threads = True

    @property
    def url(self) -> str:
        """The page's address."""
        return f"http://{HERE}:{self._server.server_port}/"

    def serve(self) -> None:
        """Answer until ``close`` is called or KeyboardInterrupt comes."""
        self._server.serve_forever(poll_interval=0.2)

    def close(self) -> None:
        """Give the port back."""
        self._server.server_close()

    def __enter__(self) -> Watch:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def html(self) -> str:
        """Return the page as it is now; where the log cannot be read, a page that says why."""
        with self._lock:
            before = time.monotonic()
            try:
                drawn, again = self._draw()
            except MaskwrightError as error:
                drawn, again = Page("No report").add(page.callout(str(error), "warning")), LATER
            # A long log must not keep a core busy with drawing what few look at.
            drawn.again = max(again, (time.monotonic() - before) / SHARE_OF_TIME) if again else 0.0
            drawn.script = _script()
            return drawn.html()

    def _handler(self) -> type[BaseHTTPRequestHandler]:
        watch = self

        class Handler(BaseHTTPRequestHandler):
            def do_GET(self) -> None:
                port = watch._server.server_port
                if self.headers.get("Host", "") not in (f"{HERE}:{port}", f"localhost:{port}"):
                    self.send_error(HTTPStatus.MISDIRECTED_REQUEST)
                elif self.path != "/":
                    self.send_error(HTTPStatus.NOT_FOUND)
                else:
                    self._answer(watch.html().encode())

            def _answer(self, body: bytes) -> None:
                self.send_response(HTTPStatus.OK)
                for name, value in {**_HEADERS, "Content-Length": str(len(body))}.items():
                    self.send_header(name, value)
                self.end_headers()
                self.wfile.write(body)

            def version_string(self) -> str:
                return "maskwright"

            def log_message(self, format: str, *args: object) -> None:
                """The terminal is for the address alone."""

        return Handler


def pace(runs: list[Followed], now: float) -> float:
    """Return after how many seconds to look again; 0 when every run has ended for good."""
    waits = []
    for run in runs:
        if run.history.state(now).kind == "going":
            waits.append(SOON)
        elif run.history.newest is not None and now - run.history.newest["time"] < ENDED:
            waits.append(LATER)
    return min(waits, default=0.0)


@cache
def _script() -> str:
    return resources.files("maskwright.report").joinpath("watch.js").read_text("utf-8")
