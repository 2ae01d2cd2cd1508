"""Decides how long to wait so that an average rate is kept."""

from __future__ import annotations


class TokenBucket:
    """Allows `bytes_per_s` on average. Time without bytes saves up those of one second at most.

    now_s: of any clock in seconds. A clock that is set back costs nothing.
    """

    def __init__(self, *, bytes_per_s: int, now_s: float) -> None:
        self._bytes_per_s = bytes_per_s
        self._saved_bytes = 0.0
        self._now_s = now_s

    def take(self, count: int, now_s: float) -> float:
        """Count these bytes; return the seconds to wait before the next ones."""
        passed_s = max(now_s - self._now_s, 0.0)
        self._now_s = now_s
        self._saved_bytes = min(self._saved_bytes + passed_s * self._bytes_per_s, self._bytes_per_s) - count
        return max(-self._saved_bytes / self._bytes_per_s, 0.0)
