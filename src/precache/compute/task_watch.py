"""What a driver calls while it works on one task: it reports the progress, and ends the work when it has to stop."""

from __future__ import annotations

import math
import time
from collections.abc import Callable
from dataclasses import replace
from datetime import timedelta

from precache.background.cancel_token import CancelToken
from precache.background.deadline import Deadline
from precache.core.bytes_from import BytesFrom
from precache.core.errors import DeadlinePassed, Stopped
from precache.core.images import ImageId
from precache.core.jobs import Phase, TaskProgress
from precache.core.stopping import StopReason
from precache.ports.progress import ProgressSink

LEAST_PAUSE_S = 2.0
"""Between two reports on a transfer by swarm in which nothing but the number of bytes has changed."""

_SELDOM = 5
"""How much faster than the interval of the relay this pause grows. The interval is longer than two seconds if so many
hosts take part that their reports to relays are most of what the bus may carry."""


class TaskWatch:
    """The ports `Watcher`, `SourceWatcher` and `DecodingWatcher` for one task.

    It reports progress, and stores the number of received bytes.

    Of a transfer by swarm it reports seldom: at each change of the phase or of the parent, and else every two seconds,
    or less often than the interval of the relay. Thousands of hosts work at the same time then, and each reports to the
    relay besides.

    The driver calls it some ten times a second, also while it waits. So it can end the work: when the compute is being
    stopped, when the job is cancelled or paused, and when the deadline of the request has passed.
    """

    def __init__(
        self,
        doing: str,
        beginning: TaskProgress,
        progress: ProgressSink,
        stop: CancelToken,
        deadline: Deadline,
        is_awaited: Callable[[ImageId], bool],
        monotonic: Callable[[], float] = time.monotonic,
    ) -> None:
        """doing: such as `Caching`. is_awaited: returns whether other work waits for this image.

        monotonic: a clock in seconds.
        """
        self._doing = doing
        self._is_awaited = is_awaited
        self._deadline = deadline
        self._beginning = beginning
        self._progress = progress
        self._stop = stop
        self._monotonic = monotonic
        self._pause_s = 0.0
        self._quiet_until_s = -math.inf
        self._reported: tuple[Phase, str] | None = None
        self._parent = ""
        self.bytes_done = 0
        self.bytes_from: BytesFrom | None = None
        """From where the bytes came; None unless it is a transfer by swarm."""
        self.decoded_by = ""

    @property
    def job_id(self) -> str:
        return self._beginning.job_id

    @property
    def bytes_moved(self) -> int:
        """Return what was received. What a transfer by swarm has done is more: zeros and what was in the cache."""
        moved = self.bytes_from
        return self.bytes_done if moved is None else moved.image_service + moved.hosts

    def __call__(self, phase: Phase, bytes_done: int, bytes_total: int) -> None:
        self.check_stop()
        self.bytes_done = max(self.bytes_done, bytes_done)
        if not self._is_due(phase):
            return
        if phase is Phase.WAITING and not self.bytes_done:
            self._progress.add(self._beginning)
            return
        self._progress.add(
            replace(
                self._beginning,
                phase=phase,
                bytes_done=bytes_done,
                bytes_total=bytes_total,
                parent=self._parent,
                bytes_from=self.bytes_from,
            )
        )

    def note_source(self, parent: str, bytes_from: BytesFrom, interval: timedelta) -> None:
        self._parent, self.bytes_from = parent, bytes_from
        self._pause_s = LEAST_PAUSE_S + _SELDOM * max(0.0, interval.total_seconds() - LEAST_PAUSE_S)

    def note_decoder(self, decoded_by: str) -> None:
        self.decoded_by = decoded_by

    def _is_due(self, phase: Phase) -> bool:
        """Return whether this is to be reported, and note that it is."""
        now, subject = self._monotonic(), (phase, self._parent)
        if subject == self._reported and now < self._quiet_until_s:
            return False
        self._reported, self._quiet_until_s = subject, now + self._pause_s
        return True

    def check_stop(self) -> None:
        if self._stop.is_cancelled:
            image, reason = self._beginning.image, self._stop.reason or StopReason.ABANDONED
            # What a cancelled job has received serves another job that waits for the same image.
            keeps_data = reason is StopReason.PAUSED or (reason is StopReason.CANCELLED and self._is_awaited(image))
            raise Stopped(f"{self._doing} image {image} on {self._beginning.host}", reason, keeps_data)
        if self._deadline.has_passed:
            raise DeadlinePassed(self._beginning.image, self.bytes_done)
