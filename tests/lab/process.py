"""One server that a test started: its log, the wait until it is ready, and its end with everything below it.

The kernel ends it when the thread that started it has gone, so a test run that is killed leaves no server behind.
"""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import time
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from pathlib import Path

LOG_END_CHARACTERS = 3000
POLL_INTERVAL_S = 0.05


class ServerFailed(Exception):
    """A server did not start or do what it should; the text has the end of its log."""


class ServerProcess:
    """A process in a session of its own, whose output goes into `log`.

    environment: the whole of what it gets. Made by a thread that lives as long as the server shall, which is to say the
    main one.
    """

    def __init__(self, *, name: str, command: Sequence[str | Path], environment: Mapping[str, str], log: Path) -> None:
        self.name, self.log = name, log
        with log.open("ab") as out:
            self._process = subprocess.Popen(
                ["setpriv", "--pdeathsig=KILL", "--", *(str(word) for word in command)],
                env=dict(environment),
                cwd=log.parent,
                stdin=subprocess.DEVNULL,
                stdout=out,
                stderr=out,
                start_new_session=True,
            )

    @property
    def pid(self) -> int:
        return self._process.pid

    def wait_until(self, is_ready: Callable[[], bool], timeout_s: float) -> None:
        """Wait until it is ready. Raises ServerFailed if it ended before, or is not ready in time."""
        deadline = time.monotonic() + timeout_s
        while not is_ready():
            ended = self._process.poll()
            if ended is not None:
                raise ServerFailed(f"{self.name} ended with {ended}: {self._log_end()}")
            if time.monotonic() > deadline:
                raise ServerFailed(f"{self.name} was not ready after {timeout_s:.0f} s: {self._log_end()}")
            time.sleep(POLL_INTERVAL_S)

    def ask_to_stop(self) -> None:
        """Tell it to stop and return at once; several servers that are told first stop side by side."""
        if self._process.poll() is None:
            self._process.terminate()

    def stop(self, patience_s: float) -> None:
        """Have it gone, and whatever it started in its session; it is killed where it takes too long."""
        self.ask_to_stop()
        with suppress(subprocess.TimeoutExpired):
            self._process.wait(patience_s)
        self.kill()

    def kill(self) -> None:
        """End it and its session at once."""
        # The session's number stays taken while anybody is left in it, and names nobody else when nobody is.
        with suppress(ProcessLookupError):
            os.killpg(self._process.pid, signal.SIGKILL)
        self._process.wait()

    def _log_end(self) -> str:
        return self.log.read_text(errors="replace")[-LOG_END_CHARACTERS:]


def listens(port: int) -> bool:
    """Say whether somebody accepts connections on this port of loopback."""
    with suppress(OSError), socket.create_connection(("127.0.0.1", port), timeout=1):
        return True
    return False


def free_port() -> int:
    """Give a port of loopback that nobody uses at the moment."""
    with socket.create_server(("127.0.0.1", 0)) as found:
        return int(found.getsockname()[1])
