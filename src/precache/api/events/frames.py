"""The text of server-sent events, as https://html.spec.whatwg.org/multipage/server-sent-events.html describes it."""

from __future__ import annotations

import json
from typing import Any

CONTENT_TYPE = "text/event-stream"

HEARTBEAT = b": heartbeat\n\n"
"""A comment, which clients ignore. It keeps proxies from closing a silent connection."""

RECONNECT = b"retry: 2000\n\n"
"""How many milliseconds a browser waits before it connects again."""


def frame(event: str, data: Any, event_id: str) -> bytes:
    """Return one event. Pure ASCII, so that a line break in a text cannot end the data."""
    return f"id: {event_id}\nevent: {event}\ndata: {json.dumps(data, separators=(',', ':'))}\n\n".encode("ascii")
