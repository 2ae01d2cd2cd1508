"""Waiting for what threads, processes and servers do in their own time."""

from __future__ import annotations

import time
from collections.abc import Callable

PATIENCE_S = 60
"""The processors are shared with other tests."""


def wait_until(holds: Callable[[], object], timeout_s: float = PATIENCE_S) -> None:
    deadline = time.monotonic() + timeout_s
    while not holds():
        assert time.monotonic() < deadline, "it did not come to pass in time"
        time.sleep(0.02)
