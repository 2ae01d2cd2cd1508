"""How fast a host receives from its parent, and when it reports that it lags behind what the parent offers."""

from __future__ import annotations

from collections import deque

LAG_S = 0.5
"""A host lags if its parent offers more than it receives in this time."""

REPORT_EVERY_S = 0.5

_WINDOW_S = 2.0
"""The rate is that of the last seconds: shorter than a link needs to change for good, longer than one piece."""

_LEAST_S = 0.25
"""Between two looks at the numbers, and before the first verdict: one piece of a slow link is no rate."""


class RelayLag:
    """The rate and the lag of one connection to a parent. The caller passes the time, in seconds.

    A host that is behind from the start, because it joined late, and comes nearer is not slow: it needs its time. One
    that falls back further is, or its parent's link is; the conductor decides which.
    """

    def __init__(self, now_s: float) -> None:
        self._samples: deque[tuple[float, int]] = deque([(now_s, 0)])
        self._received = 0
        self._looked_at_s, self._last_lag = now_s, 0
        self._grows = False
        self._reported_at_s = -REPORT_EVERY_S

    def note(self, now_s: float, received_bytes: int) -> None:
        """Note how many bytes the connection has brought so far."""
        self._received = received_bytes
        self._samples.append((now_s, received_bytes))
        while len(self._samples) > 2 and self._samples[1][0] <= now_s - _WINDOW_S:
            self._samples.popleft()

    @property
    def rate_bytes_per_s(self) -> int:
        """Return the rate of the last seconds; 0 while unknown."""
        (first_s, first), (last_s, last) = self._samples[0], self._samples[-1]
        return int((last - first) / (last_s - first_s)) if last_s - first_s >= _LEAST_S else 0

    def is_to_report(self, now_s: float, have_bytes: int, offered_bytes: int) -> bool:
        """Return whether a report is due that the host is slow. The answer true counts as the report."""
        lag = offered_bytes - have_bytes
        if now_s - self._looked_at_s >= _LEAST_S:
            self._grows = lag >= self._last_lag > 0
            self._looked_at_s, self._last_lag = now_s, lag
        is_late = self._grows and lag > LAG_S * self.rate_bytes_per_s and self._is_known
        if not is_late or now_s - self._reported_at_s < REPORT_EVERY_S:
            return False
        self._reported_at_s = now_s
        return True

    @property
    def _is_known(self) -> bool:
        return self._samples[-1][0] - self._samples[0][0] >= _LEAST_S
