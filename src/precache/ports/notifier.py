"""Notifications in Nova's format."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import timedelta
from typing import Any, Protocol


@dataclass(frozen=True, slots=True)
class Notification:
    """One versioned notification. payload: the object as it is sent (nova_object.*)."""

    event_type: str
    publisher_id: str
    payload: Mapping[str, Any]
    priority: str = "INFO"


class Notifier(Protocol):
    def emit(self, notification: Notification) -> None:
        """Send it. Never raises: a notification that cannot be sent is logged and must not delay a job."""
        ...

    def wait_until_sent(self, patience: timedelta) -> bool:
        """Wait at most that long; return whether everything that was emitted has been sent.

        False also if something was dropped since the last call: the caller may then emit it again.
        """
        ...
