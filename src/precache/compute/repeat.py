"""Does one thing of a compute over and over: its heartbeat, its pass over the cache."""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable
from datetime import timedelta

from precache.core.errors import PrecacheError

_log = logging.getLogger(__name__)


class Repeat:
    """Calls `action` at once and then every `interval`, in a thread of its own, until stopped.

    An action that fails is logged and comes round again: a missed beat or pass is no reason to end.
    """

    def __init__(self, *, action: Callable[[], None], interval: timedelta, name: str) -> None:
        self._action = action
        self._interval = interval
        self._name = name
        self._stopping = threading.Event()
        self._thread = threading.Thread(target=self._run, name=name, daemon=True)

    def start(self) -> None:
        self._thread.start()

    def ask_to_stop(self) -> None:
        """Have it not come round again; does not wait."""
        self._stopping.set()

    def stop(self, patience: timedelta) -> None:
        """Ask to stop, and wait for what is under way that long. Harmless if it was never started."""
        self.ask_to_stop()
        if self._thread.is_alive():
            self._thread.join(patience.total_seconds())

    def _run(self) -> None:
        while not self._stopping.is_set():
            self._act()
            self._stopping.wait(self._interval.total_seconds())

    def _act(self) -> None:
        try:
            self._action()
        except PrecacheError as error:
            _log.warning("%s failed and will be tried again in %s: %s", self._name, self._interval, error)
        except Exception:  # noqa: BLE001  the process loop
            _log.exception("%s failed and will be tried again in %s", self._name, self._interval)
