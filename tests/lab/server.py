"""What the servers of tests have in common: each may be stopped, killed, paused and started again, on the same port."""

from __future__ import annotations

import signal
import time
from abc import ABC, abstractmethod
from collections.abc import Iterator
from contextlib import contextmanager

from tests.lab.process import ServerFailed, ServerProcess


class Server(ABC):
    """One server, from `start` to `close`."""

    name: str

    start_timeout_s: float = 90
    """Two workers of a parallel run may start theirs at the same time."""

    stop_patience_s: float = 30

    stop_signal = signal.SIGTERM
    """With which an administrator stops it at once."""

    _process: ServerProcess | None = None

    @abstractmethod
    def spawn(self) -> ServerProcess:
        """Start its process, and nothing more."""

    @abstractmethod
    def is_ready(self) -> bool:
        """Return whether it can be worked with. Asked over and over while it starts."""

    def start(self) -> None:
        """Have it running and ready; nothing happens if it is. Raises ServerFailed."""
        if self._process is None:
            self._process = self.spawn()
            self._process.wait_until(self.is_ready, self.start_timeout_s)

    def stop(self) -> None:
        """Stop it as an administrator would; connections are cut. Raises ServerFailed if it had to be killed."""
        process, self._process = self._process, None
        if process is not None and not process.stop(self.stop_patience_s, self.stop_signal):
            raise ServerFailed(f"{self.name} did not stop within {self.stop_patience_s:.0f} s and was killed")

    def kill(self) -> None:
        """End it in the middle of whatever it does."""
        process, self._process = self._process, None
        if process is not None:
            process.kill()

    def restart(self, after_s: float = 0) -> None:
        """Stop it, keep it stopped for that long, and start it again."""
        self.stop()
        time.sleep(after_s)
        self.start()

    @contextmanager
    def paused(self) -> Iterator[None]:
        """Pause it: connections stay open, but nothing is answered."""
        assert self._process is not None
        self._process.pause()
        try:
            yield
        finally:
            self._process.resume()

    def close(self) -> None:
        """End it at once; its unfinished work is not needed."""
        self.kill()
