"""Lets the main thread wait for SIGINT and SIGTERM."""

from __future__ import annotations

import os
import signal
from contextlib import suppress

ENDING = frozenset({signal.SIGINT, signal.SIGTERM})


class EndSignals:
    """Catches both signals from its construction on; `wait` returns after one. Create it once, in the main thread.

    It uses a pipe instead of a lock: two signals in quick succession may both arrive in another thread, and a main
    thread that waits for a lock would not wake up. Any thread can write to the pipe.
    """

    def __init__(self) -> None:
        self._reader, self._writer = os.pipe()
        os.set_blocking(self._writer, False)
        signal.set_wakeup_fd(self._writer, warn_on_full_buffer=False)
        for number in ENDING:
            signal.signal(number, lambda *_: None)

    def wait(self) -> None:
        """Return when one of the signals has arrived, also if it arrived before the call."""
        while os.read(self._reader, 1)[0] not in ENDING:
            pass

    def end(self) -> None:
        """Make `wait` return as if a signal had arrived; from any thread."""
        with suppress(BlockingIOError):  # The pipe is full, so `wait` returns in any case.
            os.write(self._writer, bytes([signal.SIGTERM]))
