"""A WSGI application that every process builds for itself, however the server makes its processes."""

from __future__ import annotations

import logging
import os
import threading
from collections.abc import Callable, Iterable
from typing import TYPE_CHECKING

from precache.core.errors import PrecacheError

if TYPE_CHECKING:
    from _typeshed.wsgi import StartResponse, WSGIApplication, WSGIEnvironment

_log = logging.getLogger(__name__)


class PerProcess:
    """Passes requests to what `build` gives, which is built at once, and again in each process forked off later.

    A server that loads the application before it forks (uWSGI, unless told otherwise) so finds a start that cannot be
    at its own start, and yet no two processes share a connection to the database or the message bus.
    """

    def __init__(self, build: Callable[[], WSGIApplication]) -> None:
        """Raises what `build` does."""
        self._build = build
        self._lock = threading.Lock()
        self._pid, self._app = os.getpid(), build()
        self._inherited: list[WSGIApplication] = []

    def __call__(self, environ: WSGIEnvironment, start_response: StartResponse) -> Iterable[bytes]:
        try:
            app = self._of_this_process()
        except PrecacheError as error:
            _log.error("this process cannot answer yet: %s", error)
            start_response("503 Service Unavailable", [("Content-Type", "text/plain"), ("Content-Length", "0")])
            return []
        return app(environ, start_response)

    def _of_this_process(self) -> WSGIApplication:
        if self._pid == os.getpid():
            return self._app
        with self._lock:
            if self._pid != os.getpid():
                app = self._build()
                # Kept for good: what is let go of closes its connections, and those are the parent's.
                self._inherited.append(self._app)
                self._app, self._pid = app, os.getpid()
        return self._app
