"""Waiting for what real processes do, with a bound."""

from __future__ import annotations

import time
from collections.abc import Callable

PATIENCE_S = 120
POLL_INTERVAL_S = 0.2


def wait_until(is_so: Callable[[], object], what: str, timeout_s: float = PATIENCE_S) -> None:
    """Wait until `is_so` gives something true. Fails saying `what` was waited for."""
    deadline = time.monotonic() + timeout_s
    while not is_so():
        assert time.monotonic() < deadline, f"waited {timeout_s:.0f} s in vain for {what}"
        time.sleep(POLL_INTERVAL_S)
