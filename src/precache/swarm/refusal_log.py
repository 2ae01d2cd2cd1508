"""Log lines about callers that are refused: strangers can cause as many refusals as they like, but few lines."""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Callable

_log = logging.getLogger(__name__)

INTERVAL_S = 60.0

_MOST_REASONS = 8
_MOST_ADDRESSES = 256
_OTHER = "other addresses"


class _Lines:
    """What was refused of one address for one reason: the count of those without a line, since a time."""

    def __init__(self, what: str, since_s: float) -> None:
        self.what, self.since_s, self.unlogged = what, since_s, 0


class RefusalLog:
    """Writes one line a minute at most for each address and reason, and how many others there were. Thread-safe.

    An address has at most 8 reasons, and 256 addresses are told apart: the rest is counted together.
    """

    def __init__(self, monotonic: Callable[[], float] = time.monotonic) -> None:
        self._monotonic = monotonic
        self._lines: dict[str, dict[str, _Lines]] = {}
        self._lock = threading.Lock()

    def warn(self, what: str, address: str, reason: str) -> None:
        """Log that something of this address was refused, such as `A connection`, or count it."""
        now = self._monotonic()
        with self._lock:
            if address not in self._lines and len(self._lines) >= _MOST_ADDRESSES:
                address = _OTHER
            reasons = self._lines.setdefault(address, {})
            if reason not in reasons and len(reasons) >= _MOST_REASONS:
                reason = "for other reasons"
            found = reasons.get(reason)
            if found is not None:
                found.unlogged += 1
                return
            reasons[reason] = _Lines(what, now)
        _log.warning("%s from %s was refused: %s", what, address, reason)

    def flush(self) -> None:
        """Log the counts that are a minute old. Call it regularly."""
        now = self._monotonic()
        due: list[tuple[str, str, int, str]] = []
        with self._lock:
            for address, reasons in list(self._lines.items()):
                for reason, lines in list(reasons.items()):
                    if now - lines.since_s < INTERVAL_S:
                        continue
                    if lines.unlogged:
                        due.append((lines.what, address, lines.unlogged, reason))
                        lines.since_s, lines.unlogged = now, 0
                    else:
                        del reasons[reason]
                if not reasons:
                    del self._lines[address]
        for what, address, count, reason in due:
            _log.warning(
                "%s from %s was refused %d more times in the last %.0f s: %s", what, address, count, INTERVAL_S, reason
            )
