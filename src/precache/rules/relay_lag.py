"""How fast a host receives from its parent, and when it reports that it lags behind what the parent offers."""

from __future__ import annotations

from collections import deque
from itertools import islice

LAG_S = 0.5
"""A host lags if it has so much less than its parent as that one gets in this time."""

REPORT_EVERY_S = 0.3

_GAIN = 0.75
"""A host is slow if it gains less than this share of what its parent gains."""

_FAR_BELOW = 0.3
"""A host whose parent has everything is slow if it gains less than this share of the most that it gained before. A link
that jitters by half of its rate does not."""

_RATE_WINDOW_S = 2.0
"""The rate is that of the last seconds: shorter than a link needs to change for good, longer than one piece."""

_WINDOW_S = 0.5
"""Gains are compared over this time."""

_LEAST_S = 0.25
"""Between two looks at the numbers: one piece of a slow link is no rate."""

_AT_FULL_PACE = 3
_MOST_EVERY_S = 32.0
"""A host that stays slow has been heard after some reports: the pauses double from then on."""

_FORGOTTEN_AFTER_S = 5.0
"""Then a host was not slow for so long that its next report is a first one. One whose rate jumps is slow more often."""


class RelayLag:
    """The rate and the lag of one connection to a parent. The caller passes the time, in seconds.

    A host that is behind from the start, because it joined late, and receives as fast as its parent is not slow: it
    needs its time. One that falls back further is, or its parent's link is; the conductor decides which.
    """

    def __init__(self, now_s: float) -> None:
        self._received: deque[tuple[float, int]] = deque([(now_s, 0)])
        self._looks: deque[tuple[float, int, int]] = deque()
        self._best_pace = 0.0
        self._is_slow = False
        self._reports = 0
        self._reported_at_s = -_MOST_EVERY_S
        self._slow_at_s = now_s

    def note(self, now_s: float, received_bytes: int) -> None:
        """Note how many bytes the connection has brought so far."""
        self._received.append((now_s, received_bytes))
        while len(self._received) > 2 and self._received[1][0] <= now_s - _RATE_WINDOW_S:
            self._received.popleft()

    @property
    def rate_bytes_per_s(self) -> int:
        """Return the rate of the last seconds; 0 while unknown."""
        (first_s, first), (last_s, last) = self._received[0], self._received[-1]
        return int((last - first) / (last_s - first_s)) if last_s - first_s >= _LEAST_S else 0

    def is_to_report(self, now_s: float, have_bytes: int, offered_bytes: int) -> bool:
        """Return whether a report is due that the host is slow. The answer true counts as the report."""
        if not self._looks or now_s - self._looks[-1][0] >= _LEAST_S:
            self._look(now_s, have_bytes, offered_bytes)
        doublings = max(0, self._reports - _AT_FULL_PACE + 1)
        pause_s = min(REPORT_EVERY_S * 2 ** min(doublings, 8), _MOST_EVERY_S)
        if not self._is_slow or now_s - self._reported_at_s < pause_s:
            return False
        self._reported_at_s = now_s
        self._reports += 1
        return True

    def _look(self, now_s: float, have_bytes: int, offered_bytes: int) -> None:
        self._looks.append((now_s, have_bytes, offered_bytes))
        while len(self._looks) > 2 and next(islice(self._looks, 1, None))[0] <= now_s - _WINDOW_S:
            self._looks.popleft()
        first_s, first_have, first_offered = self._looks[0]
        seconds = now_s - first_s
        if seconds < _WINDOW_S:
            self._is_slow = False
            return
        pace, parents_pace = (have_bytes - first_have) / seconds, (offered_bytes - first_offered) / seconds
        self._best_pace = max(self._best_pace, pace)
        if parents_pace:
            is_slower = pace < _GAIN * parents_pace
        else:
            is_slower, parents_pace = pace < _FAR_BELOW * self._best_pace, self._best_pace
        self._is_slow = is_slower and offered_bytes - have_bytes > LAG_S * parents_pace
        if self._is_slow:
            self._slow_at_s = now_s
        elif now_s - self._slow_at_s > _FORGOTTEN_AFTER_S:
            self._reports = 0
