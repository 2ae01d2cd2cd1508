"""The API as a WSGI application, built from the configuration, for servers such as uWSGI or mod_wsgi.

Its configuration is /etc/precache/precache.conf, or the files in PRECACHE_CONFIG_FILES, separated by colons; later
files take precedence.
"""

from __future__ import annotations

import atexit
import logging
import os
import sys
import threading
from collections.abc import Callable, Iterable
from contextlib import ExitStack
from pathlib import Path
from typing import TYPE_CHECKING, Any

from precache.config.load import Config, load_config
from precache.core.errors import InvalidConfiguration, PrecacheError
from precache.wiring.api_process import build_api
from precache.wiring.log_output import start_logging

if TYPE_CHECKING:
    from _typeshed.wsgi import StartResponse, WSGIApplication, WSGIEnvironment

FILES_VARIABLE = "PRECACHE_CONFIG_FILES"
CANNOT_START = 3
"""The exit code of a worker that can never start: gunicorn then ends instead of restarting it again and again."""

CANNOT_START_UWSGI = 22
"""The same for uWSGI with its option `need-app`."""

_log = logging.getLogger(__name__)


class PerProcess:
    """Passes requests to the application that `build` returns. `build` is called at once, and again in each forked
    process.

    By default uWSGI loads the application before it forks. The first call makes a wrong configuration end uWSGI at its
    start; the later calls give each process its own connections to the database and the message bus.
    """

    def __init__(self, build: Callable[[], WSGIApplication]) -> None:
        """Call `build`, and raise what it raises."""
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
                # Never deleted: that would close its connections, which are the parent's.
                self._inherited.append(self._app)
                self._app, self._pid = app, os.getpid()
        return self._app


def load_application() -> PerProcess:
    """Return the application. If it cannot be built, log one sentence and end the process."""
    logging.basicConfig(stream=sys.stderr, level=logging.INFO, format="%(asctime)s %(levelname)s %(name)s %(message)s")
    try:
        config = _configured()
        start_logging(config, process="api")
        return PerProcess(lambda: _build(config))
    except PrecacheError as error:
        _log.critical("the API cannot start: %s", error)
        sys.exit(CANNOT_START_UWSGI if "uwsgi" in sys.modules else CANNOT_START)


def _configured() -> Config:
    named = os.environ.get(FILES_VARIABLE, "")
    files = [Path(file) for file in named.split(os.pathsep) if file]
    config = load_config(files or None)
    if config.api.auth_strategy == "noauth":
        raise InvalidConfiguration(
            "[api] auth_strategy = noauth makes every client that can reach this server an administrator; "
            "set it to keystone, or run `precache serve api` on a loopback address"
        )
    return config


def _build(config: Config) -> Any:
    with ExitStack() as parts:
        app = build_api(config, parts)
        atexit.register(_close_in, os.getpid(), parts.pop_all())
    return app


def _close_in(pid: int, parts: ExitStack) -> None:
    """Close the parts when this process ends, but not when a forked child ends."""
    if os.getpid() == pid:
        parts.close()
