"""HAProxy for tests: a real one on loopback, with a configuration of ours."""

from __future__ import annotations

import os
import subprocess
from pathlib import Path

from tests.lab.process import ServerFailed, ServerProcess, listens

PROGRAM = "/usr/sbin/haproxy"
START_TIMEOUT_S = 60
STOP_TIMEOUT_S = 10


class HaProxy:
    """One HAProxy, from `start` to `stop`. port: where `configuration`, the whole of it, listens."""

    def __init__(self, directory: Path, *, port: int, configuration: str) -> None:
        self._directory, self._port = directory, port
        self._server: ServerProcess | None = None
        self._file = directory / "haproxy.cfg"
        self._file.write_text(configuration)

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self._port}"

    def check(self) -> str:
        """Return what `haproxy -c` says of the configuration. Raises ServerFailed if it refuses it."""
        command = [PROGRAM, "-c", "-f", str(self._file)]
        done = subprocess.run(command, capture_output=True, text=True, timeout=START_TIMEOUT_S)
        if done.returncode != 0:
            raise ServerFailed(f"haproxy refuses its configuration: {done.stderr}")
        return done.stdout + done.stderr

    def start(self) -> None:
        """Have it running and ready for connections."""
        log = self._directory / "server.log"
        command = [PROGRAM, "-db", "-f", str(self._file)]  # -db: in the foreground
        self._server = ServerProcess(name="haproxy", command=command, environment=os.environ, log=log)
        self._server.wait_until(lambda: listens(self._port), START_TIMEOUT_S)

    def stop(self) -> None:
        if self._server is not None:
            self._server.stop(STOP_TIMEOUT_S)
