"""Counts requests for data of each image since the service started, and serves the counts. Thread-safe."""

from __future__ import annotations

import threading
from collections import Counter

import falcon


class DataCounts:
    """Counts requests for data (`GET .../file`, with any range) and the bytes sent for them, by image id."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._requests: Counter[str] = Counter()
        self._bytes: Counter[str] = Counter()

    def note_request(self, image_id: str) -> None:
        with self._lock:
            self._requests[image_id] += 1

    def note_bytes(self, image_id: str, number: int) -> None:
        with self._lock:
            self._bytes[image_id] += number

    def on_get(self, _req: falcon.Request, resp: falcon.Response) -> None:
        """Answer `GET /requests`: `{"data_requests": {id: number}, "data_bytes": {id: number}}`."""
        with self._lock:
            resp.media = {"data_requests": dict(self._requests), "data_bytes": dict(self._bytes)}

    on_head = on_get
