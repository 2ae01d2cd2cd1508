"""A service of OpenStack for tests, as cloud operators run it: its WSGI application under uWSGI, on loopback."""

from __future__ import annotations

import contextlib
import http.client
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from tests.lab.process import ServerProcess, free_port
from tests.lab.server import Server
from tests.lab.venvs import Venv


@dataclass(frozen=True)
class Request:
    """A request that has arrived. path: without the query. range: what its header asked for, `-` without one."""

    method: str
    path: str
    range: str


class WsgiServer(Server):
    """One application, from `start` to `close`, as often as a test likes.

    module: whose `application` is served. environment: tells the application where its configuration is.
    threads: requests that it serves at the same time.
    """

    def __init__(
        self, *, name: str, module: str, venv: Venv, directory: Path, environment: Mapping[str, str], threads: int = 12
    ) -> None:
        self.name, self.port = name, free_port()
        self._venv, self._directory, self._threads = venv, directory, threads
        self._request_log = directory / f"{name}-requests.log"
        logged = {"LOGGED_APPLICATION": module, "REQUEST_LOG": str(self._request_log)}
        self._environment = {**venv.variables(directory), **environment, **logged}

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    @property
    def log(self) -> Path:
        return self._directory / f"{self.name}.out"

    def spawn(self) -> ServerProcess:
        self._venv.check()
        return ServerProcess(name=self.name, command=self._command(), environment=self._environment, log=self.log)

    def is_ready(self) -> bool:
        # uWSGI accepts connections long before the application has been loaded.
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=5)
        with contextlib.suppress(OSError, http.client.HTTPException), contextlib.closing(connection):
            connection.request("GET", "/")
            return connection.getresponse().status in (200, 300)
        return False

    def requests(self) -> list[Request]:
        """Return the requests that have arrived so far, in order; also those that still wait for their answer."""
        lines = self._request_log.read_text().splitlines() if self._request_log.exists() else []
        return [Request(*line.split(" ", 2)) for line in lines]

    def _command(self) -> Sequence[str | Path]:
        return [
            self._venv.program("uwsgi"),
            f"--http-socket=127.0.0.1:{self.port}",
            # As a file: its folder on the path would hide Keystone behind our keystone.py.
            f"--wsgi-file={Path(__file__).with_name('wsgi_request_log.py')}",
            f"--virtualenv={self._venv.path}",
            "--master",
            "--processes=1",
            f"--threads={self._threads}",
            "--enable-threads",
            "--lazy-apps",
            "--need-app",
            "--die-on-term",
            "--no-orphans",
            "--listen=100",
            "--buffer-size=65535",
            "--http-chunked-input",
            # Its default of 4 s ends a transfer that a test holds up, and a second request then brings the rest.
            "--socket-timeout=600",
            # uWSGI gives up kept connections without a word.
            "--add-header=Connection: close",
        ]
