"""A WSGI application of OpenStack under uWSGI, as its packagers run it."""

from __future__ import annotations

import os
from collections.abc import Mapping
from pathlib import Path

from tests.lab.process import ServerProcess, free_port, listens

START_TIMEOUT_S = 60


class UwsgiServer:
    """One application on a free port of loopback; `module` is importable in the environment `venv`."""

    def __init__(self, *, name: str, module: str, venv: Path, environment: Mapping[str, str], log: Path) -> None:
        self._name, self._module, self._venv, self._log = name, module, venv, log
        self._environment = environment
        self._port = free_port()
        self._process: ServerProcess | None = None

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self._port}"

    def start(self) -> None:
        """Have it accept connections. Raises ServerFailed."""
        command: list[str | Path] = [
            self._venv / "bin" / "uwsgi",
            f"--http-socket=127.0.0.1:{self._port}",
            f"--module={self._module}",
            f"--virtualenv={self._venv}",
            "--add-header=Connection: close",  # clients take it for an error when it drops idle ones
            "--master", "--no-orphans", "--die-on-term", "--need-app", "--lazy-apps",
            "--processes=1", "--threads=4", "--enable-threads", "--buffer-size=65535",
        ]  # fmt: skip
        environment = {"PATH": f"{self._venv}/bin:{os.environ['PATH']}", "LANG": "C.UTF-8", **self._environment}
        self._process = ServerProcess(name=self._name, command=command, environment=environment, log=self._log)
        self._process.wait_until(lambda: listens(self._port), START_TIMEOUT_S)

    def stop(self) -> None:
        """End it; nobody needs what it has in hand."""
        if self._process is not None:
            self._process.kill()
