"""SIGINT and SIGTERM as something that the main thread waits for."""

from __future__ import annotations

import os
import signal
from contextlib import suppress

ENDING = frozenset({signal.SIGINT, signal.SIGTERM})


class EndSignals:
    """From its making on neither signal ends the process; `wait` tells of them. For the main thread, once.

    A pipe and not a lock: of two signals in quick succession both may be handled by another thread, and a main thread
    that sleeps on a lock would not notice. The pipe is written to by whichever thread it is.
    """

    def __init__(self) -> None:
        self._reader, self._writer = os.pipe()
        os.set_blocking(self._writer, False)
        signal.set_wakeup_fd(self._writer, warn_on_full_buffer=False)
        for number in ENDING:
            signal.signal(number, lambda *_: None)

    def wait(self) -> None:
        """Return when one of the signals has come, be it before the call."""
        while os.read(self._reader, 1)[0] not in ENDING:
            pass

    def end(self) -> None:
        """Have `wait` return as if a signal had come; from any thread."""
        with suppress(BlockingIOError):  # The pipe is full of signals already.
            os.write(self._writer, bytes([signal.SIGTERM]))
