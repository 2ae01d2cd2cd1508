"""Notifications in a list, in the order in which they were sent."""

import threading
from datetime import timedelta

from precache.ports.notifier import Notification


class MemoryNotifier:
    """The port `Notifier` in memory; `sent` returns a copy."""

    def __init__(self) -> None:
        self._sent: list[Notification] = []
        self._lock = threading.Lock()

    def emit(self, notification: Notification) -> None:
        with self._lock:
            self._sent.append(notification)

    def wait_until_sent(self, patience: timedelta) -> bool:  # noqa: ARG002  it is sent at once
        return True

    @property
    def sent(self) -> list[Notification]:
        with self._lock:
            return list(self._sent)
