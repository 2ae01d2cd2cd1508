"""One server that a test started: its log, the wait until it is ready, and its end with everything below it.

A test run that is killed leaves no server behind: the guardian (`guardian.py`) ends them.
"""

from __future__ import annotations

import os
import random
import signal
import socket
import subprocess
import time
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from pathlib import Path

from tests.lab.account import identity
from tests.lab.guardian import guardian

LOG_END_CHARACTERS = 3000
POLL_INTERVAL_S = 0.05
PORTS = range(12_000, 32_000)
"""Below the ports that the kernel assigns to clients: a port must still be free when its server restarts, and a client
that connects meanwhile must not be connected to itself."""


class ServerFailed(Exception):
    """A server did not start, stop or do what it should; the text has the end of its log."""


class ServerProcess:
    """A process in a session of its own, whose output goes into `log`.

    environment: the whole of what it gets. account: the user that it runs as where root runs the tests.
    """

    def __init__(
        self,
        *,
        name: str,
        command: Sequence[str | Path],
        environment: Mapping[str, str],
        log: Path,
        account: str | None = None,
    ) -> None:
        self.name, self._log = name, log
        with log.open("ab") as out:
            self._log_start = out.tell()
            self._process = subprocess.Popen(
                [str(word) for word in command],
                env=dict(environment),
                cwd=log.parent,
                stdin=subprocess.DEVNULL,
                stdout=out,
                stderr=out,
                start_new_session=True,
                **identity(account),
            )
        guardian().guard_session(self.pid)

    @property
    def pid(self) -> int:
        return self._process.pid

    def said(self) -> str:
        """Return its output so far; the log may also have what others said before it."""
        with self._log.open("rb") as log:
            log.seek(self._log_start)
            return log.read().decode(errors="replace")

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

    def ask_to_stop(self, number: signal.Signals = signal.SIGTERM) -> None:
        """Tell it to stop and return at once; several servers that are told first stop side by side."""
        if self._process.poll() is None:
            self._process.send_signal(number)

    def stop(self, patience_s: float, number: signal.Signals = signal.SIGTERM) -> bool:
        """Have it gone, and whatever it started in its session; it is killed where it takes too long.

        Returns whether it ended by itself.
        """
        self.ask_to_stop(number)
        with suppress(subprocess.TimeoutExpired):
            self._process.wait(patience_s)
        has_ended = self._process.poll() is not None
        self.kill()
        return has_ended

    def kill(self) -> None:
        """End it and its session at once."""
        self._signal_all(signal.SIGKILL)
        self._process.wait()
        guardian().forget_session(self.pid)

    def pause(self) -> None:
        """Have it alive and silent: it accepts connections and says nothing."""
        self._signal_all(signal.SIGSTOP)

    def resume(self) -> None:
        self._signal_all(signal.SIGCONT)

    def _signal_all(self, number: signal.Signals) -> None:
        # PostgreSQL puts each of its children into a session of its own.
        children = _children(self.pid) if self._process.poll() is None else []
        # The session's number stays in use while a process is left in it, and is not reused at once.
        with suppress(ProcessLookupError):
            os.killpg(self.pid, number)
        for child in children:
            with suppress(ProcessLookupError):
                os.kill(child, number)

    def _log_end(self) -> str:
        return self.said()[-LOG_END_CHARACTERS:]


def listens(port: int) -> bool:
    """Return whether a server accepts connections on this port of loopback."""
    with suppress(OSError), socket.create_connection(("127.0.0.1", port), timeout=1):
        return True
    return False


def free_port() -> int:
    """Return a free port of loopback that the kernel does not assign to clients."""
    for port in random.SystemRandom().sample(PORTS, 1000):
        with suppress(OSError), socket.create_server(("127.0.0.1", port)):
            return port
    raise ServerFailed(f"no port between {PORTS.start} and {PORTS.stop} is free")


def _children(pid: int) -> list[int]:
    with suppress(OSError):
        return [int(child) for child in Path(f"/proc/{pid}/task/{pid}/children").read_text().split()]
    return []
