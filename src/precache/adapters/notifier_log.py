"""Notifications as lines of the log: one JSON document each, as on the message bus."""

import json
import logging
from datetime import timedelta

from precache.ports.notifier import Notification

_log = logging.getLogger("precache.notifications")


class LogNotifier:
    """The port `Notifier` on the logger `precache.notifications`, at INFO."""

    def emit(self, notification: Notification) -> None:
        body = {
            "priority": notification.priority,
            "event_type": notification.event_type,
            "publisher_id": notification.publisher_id,
            "payload": notification.payload,
        }
        _log.info("%s", json.dumps(body, ensure_ascii=False))

    def wait_until_sent(self, patience: timedelta) -> bool:  # noqa: ARG002  a line is written at once
        return True
