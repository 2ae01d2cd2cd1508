"""Counts requests for data of each image since the service started. Thread-safe."""

from __future__ import annotations

import threading
from collections import Counter
from typing import Any


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

    def as_json(self) -> dict[str, Any]:
        with self._lock:
            return {"data_requests": dict(self._requests), "data_bytes": dict(self._bytes)}
