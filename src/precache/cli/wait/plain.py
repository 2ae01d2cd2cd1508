"""Progress for a pipe or a log file: one line for each change."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import TextIO

from precache.cli.wait.rate_estimate import RateEstimate
from precache.cli.wait.snapshot import Snapshot, TaskView
from precache.cli.wait.wording import counted, task_count, task_line

_PACE_INTERVAL_S = 30.0


class PlainView:
    """Writes a line when the job's state, a task's phase or its outcome changes, and at each quarter of the bytes.

    Rate and remaining time follow every half minute. For a large job it writes the counts for each further percent, and
    the failed tasks.
    """

    def __init__(self, *, stream: TextIO, labels: Mapping[str, str], clock: Callable[[], float]) -> None:
        """clock: seconds from any start."""
        self._stream = stream
        self._labels = labels
        self._standing = ("", "")
        self._tasks: dict[tuple[str, str], tuple[object, ...]] = {}
        self._is_silent = False
        self._hundredths = 0
        self._clock = clock
        self._rate = RateEstimate()
        self._rated_at = clock()

    def show(self, snapshot: Snapshot) -> None:
        self._is_silent = False
        # The closing report shows the result.
        standing = (snapshot.standing, snapshot.reason)
        if standing != self._standing and not snapshot.is_final:
            self._standing = standing
            reason = f": {snapshot.reason}" if snapshot.reason else ""
            self._write(f"Job {snapshot.id} is {snapshot.standing}, {task_count(snapshot.task_count)}{reason}")
        if not snapshot.is_whole:
            self._count(snapshot)
        for view in snapshot.views if snapshot.is_whole else snapshot.failures:
            key, now = (view.host, view.image), _line_key(view)
            if now != self._tasks.get(key, _NOTHING_YET):
                self._tasks[key] = now
                self._write(task_line(view, self._labels))

        self._write_rate(snapshot)

    def silence(self, message: str) -> None:
        if not self._is_silent:
            self._write(f"{message}; still waiting")
        self._is_silent = True

    def _write_rate(self, snapshot: Snapshot) -> None:
        now = self._clock()
        self._rate.add(snapshot, now)
        if now - self._rated_at < _PACE_INTERVAL_S or snapshot.is_final:
            return
        self._rated_at = now
        if words := self._rate.text():
            self._write(f"{snapshot.ended_count} of {snapshot.task_count} ended; {words}")

    def _count(self, snapshot: Snapshot) -> None:
        hundredths = 100 * snapshot.ended_count // snapshot.task_count
        if hundredths > self._hundredths and not snapshot.is_final:
            self._hundredths = hundredths
            self._write(f"{snapshot.ended_count} of {snapshot.task_count} ended ({counted(snapshot.counts)})")

    def _write(self, line: str) -> None:
        self._stream.write(f"{line}\n")
        self._stream.flush()


_WITH_QUARTERS = frozenset({"downloading", "verifying"})
_NOTHING_YET = (None, "waiting", 0)


def _line_key(view: TaskView) -> tuple[object, ...]:
    """Return the values whose change makes a new line."""
    if view.outcome:
        return (view.outcome, "ended", 0)
    if not view.is_running:
        return (None, "waiting", 0)
    quarter = 4 * view.bytes_done // view.bytes_total if view.bytes_total and view.phase in _WITH_QUARTERS else 0
    return (None, view.phase, quarter)
