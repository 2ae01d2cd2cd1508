"""The rate of a job, and an estimate of its end. Time is an argument."""

from __future__ import annotations

from collections import deque

from precache.cli.columns import human_seconds
from precache.cli.wait.snapshot import Snapshot, TaskView
from precache.core.sizes import human_bytes

_WINDOW_S = 15.0
"""The period of the rate: long enough to be steady, short enough to show a stall."""


class RateEstimate:
    """Computes the rate from snapshots of one job, in order."""

    def __init__(self) -> None:
        self._bytes: dict[tuple[str, str], int] = {}
        self._steps: deque[tuple[float, int, float]] = deque()  # (second, bytes since the last snapshot, tasks done)
        self._left = 0.0
        self._is_stopping = False

    def add(self, snapshot: Snapshot, now: float) -> None:
        """Add a snapshot. now: seconds from any start."""
        seen = {(view.host, view.image): view.bytes_done for view in snapshot.views}
        # A new task may have moved its bytes at any earlier time.
        moved = sum(max(0, done - self._bytes.get(task, done)) for task, done in seen.items())
        self._bytes = seen
        done = snapshot.ended_count + sum(_part(view) for view in snapshot.running)
        self._left = snapshot.task_count - done
        self._is_stopping = snapshot.is_final or snapshot.is_being_cancelled
        self._steps.append((now, moved, done))
        while len(self._steps) > 2 and now - self._steps[1][0] >= _WINDOW_S:
            self._steps.popleft()

    @property
    def bytes_per_s(self) -> float:
        elapsed = self._elapsed
        return sum(moved for _, moved, _ in list(self._steps)[1:]) / elapsed if elapsed else 0.0

    @property
    def seconds_left(self) -> float | None:
        """Return the estimated seconds until the end; None without progress."""
        gained = self._steps[-1][2] - self._steps[0][2] if self._steps else 0.0
        return self._left * self._elapsed / gained if gained > 0 and self._elapsed else None

    def text(self) -> str:
        """Return `112.4 MiB/s, about 3 min left`, or the known part of it; empty if nothing is known.

        It is empty, too, for a job that has ended or is being cancelled: its downloads do not continue.
        """
        if self._is_stopping:
            return ""
        rate = f"{human_bytes(int(self.bytes_per_s))}/s" if self.bytes_per_s >= 1 else ""
        left = "" if self.seconds_left is None else f"about {human_seconds(self.seconds_left)} left"
        return ", ".join(filter(None, (rate, left)))

    @property
    def _elapsed(self) -> float:
        return self._steps[-1][0] - self._steps[0][0] if self._steps else 0.0


def _part(view: TaskView) -> float:
    return min(1.0, view.bytes_done / view.bytes_total) if view.bytes_total else 0.0
