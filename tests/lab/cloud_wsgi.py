"""A service of OpenStack for tests, as cloud operators run it: its WSGI application under uWSGI, on loopback.

The port stays the same over stops and starts. Services keep their data in SQLite; a freshly migrated database is made
once for a set of installed versions, and copied for every start.
"""

from __future__ import annotations

import contextlib
import fcntl
import hashlib
import http.client
import os
import shutil
import signal
import subprocess
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from tests.lab.process import ServerFailed, ServerProcess, free_port

ROOT = Path(__file__).parents[2]
CLOUD = ROOT / "var/cloud"
VENV = CLOUD / "venv"
CONSTRAINTS = Path(__file__).with_name("cloud-constraints.txt")
START_TIMEOUT_S = 90  # two workers of a parallel run may start theirs at the same time
STOP_PATIENCE_S = 5


@dataclass(frozen=True)
class Request:
    """A request that has arrived. path: without the query. range: what its header asked for, `-` without one."""

    method: str
    path: str
    range: str


class WsgiServer:
    """One application, from `start` to `stop`, as often as a test likes.

    module: whose `application` is served. environment: tells the application where its configuration is.
    """

    def __init__(self, *, name: str, module: str, directory: Path, environment: Mapping[str, str]) -> None:
        self.name, self.port, self._directory = name, free_port(), directory
        self._request_log = directory / "requests.log"
        logged = {"LOGGED_APPLICATION": module, "REQUEST_LOG": str(self._request_log)}
        self._environment = {**tool_environment(directory), **environment, **logged}
        self._process: ServerProcess | None = None

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    @property
    def log(self) -> Path:
        return self._directory / "server.log"

    def start(self) -> None:
        """Have it running and ready for requests."""
        if self._process is None:
            self._process = ServerProcess(
                name=self.name, command=_command(self.port), environment=self._environment, log=self.log
            )
            self._process.wait_until(lambda: _answers(self.port), START_TIMEOUT_S)

    def stop(self) -> None:
        """Have it gone; connections are refused from now on."""
        process, self._process = self._process, None
        if process is not None:
            process.stop(STOP_PATIENCE_S)

    def restart(self, after_s: float = 0) -> None:
        """Stop it, leave it away for that long, and have it running again."""
        self.stop()
        time.sleep(after_s)
        self.start()

    @contextlib.contextmanager
    def paused(self) -> Iterator[None]:
        """Have it alive and silent: it accepts connections and says nothing."""
        assert self._process is not None
        os.killpg(self._process.pid, signal.SIGSTOP)
        try:
            yield
        finally:
            os.killpg(self._process.pid, signal.SIGCONT)

    def requests(self) -> list[Request]:
        """Give the requests that have arrived so far, in order; also those that still wait for their answer."""
        lines = self._request_log.read_text().splitlines() if self._request_log.exists() else []
        return [Request(*line.split(" ", 2)) for line in lines]


def tool_environment(home: Path) -> dict[str, str]:
    """Give what programs of the cloud's environment get to see, and nothing of the test run's own."""
    path = os.pathsep.join([str(VENV / "bin"), os.environ["PATH"]])
    return {"PATH": path, "LANG": "C.UTF-8", "HOME": str(home), "PYTHONWARNINGS": "ignore"}


def run_tool(*command: str | Path, directory: Path) -> None:
    """Run a program of the cloud's environment to its end. Raises ServerFailed with what it said if it fails."""
    done = subprocess.run(
        [str(VENV / "bin" / command[0]), *map(str, command[1:])],
        env=tool_environment(directory),
        cwd=directory,
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        check=False,
    )
    if done.returncode != 0:
        raise ServerFailed(f"{command[0]} failed: {done.stdout[-2000:]}{done.stderr[-2000:]}")


def copy_prepared(name: str, target: Path, make: Callable[[Path], None]) -> None:
    """Put a copy of a prepared database at `target`; `make` makes it where these versions have none yet."""
    if not VENV.exists():
        raise ServerFailed(f"{VENV} is not there: run `make setup-cloud`")
    versions = hashlib.sha256(CONSTRAINTS.read_bytes()).hexdigest()[:12]
    prepared = CLOUD / f"{name}-{versions}.sqlite"
    with (CLOUD / f"{name}.lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if not prepared.exists():
            make(target)
            shutil.copy(target, scratch := prepared.with_suffix(".part"))
            scratch.rename(prepared)
    shutil.copy(prepared, target)


def database_options(path: Path) -> dict[str, object]:
    """Give the options of a service's database; it need not outlive the machine, so nothing is flushed to the disk."""
    return {"connection": f"sqlite:///{path}", "sqlite_synchronous": "false"}


def _command(port: int) -> Sequence[str | Path]:
    return [
        VENV / "bin/uwsgi",
        f"--http-socket=127.0.0.1:{port}",
        # As a file: its folder on the path would hide Keystone behind our keystone.py.
        f"--wsgi-file={Path(__file__).with_name('cloud_request_log.py')}",
        f"--virtualenv={VENV}",
        "--master",
        "--processes=1",
        "--threads=12",
        "--lazy-apps",
        "--need-app",
        "--die-on-term",
        "--no-orphans",
        "--listen=100",
        "--buffer-size=65535",
        "--http-chunked-input",
        # uWSGI gives up kept connections without a word.
        "--add-header=Connection: close",
    ]


def _answers(port: int) -> bool:
    """Say whether the application answers; uWSGI accepts connections long before it has been loaded."""
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=5)
    with contextlib.suppress(OSError, http.client.HTTPException), contextlib.closing(connection):
        connection.request("GET", "/")
        return connection.getresponse().status in (200, 300)
    return False
