"""What a driver calls while it works on one task: it reports the progress, and ends the work when it has to stop."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

from precache.background.cancel_token import CancelToken
from precache.background.deadline import Deadline
from precache.core.errors import DeadlinePassed, Stopped
from precache.core.images import ImageId
from precache.core.jobs import Phase, TaskProgress
from precache.core.stopping import StopReason
from precache.ports.progress import ProgressSink


class TaskWatch:
    """The port `Watcher` for one task: reports progress, and stores the number of received bytes.

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
    ) -> None:
        """doing: such as `Caching`. is_awaited: returns whether other work waits for this image."""
        self._doing = doing
        self._is_awaited = is_awaited
        self._deadline = deadline
        self._beginning = beginning
        self._progress = progress
        self._stop = stop
        self.bytes_done = 0

    @property
    def job_id(self) -> str:
        return self._beginning.job_id

    def __call__(self, phase: Phase, bytes_done: int, bytes_total: int) -> None:
        self.check_stop()
        self.bytes_done = max(self.bytes_done, bytes_done)
        if phase is Phase.WAITING and not self.bytes_done:
            self._progress.add(self._beginning)
        else:
            self._progress.add(replace(self._beginning, phase=phase, bytes_done=bytes_done, bytes_total=bytes_total))

    def check_stop(self) -> None:
        if self._stop.is_cancelled:
            image, reason = self._beginning.image, self._stop.reason or StopReason.ABANDONED
            # What a cancelled job has received serves another job that waits for the same image.
            keeps_data = reason is StopReason.PAUSED or (reason is StopReason.CANCELLED and self._is_awaited(image))
            raise Stopped(f"{self._doing} image {image} on {self._beginning.host}", reason, keeps_data)
        if self._deadline.has_passed:
            raise DeadlinePassed(self._beginning.image, self.bytes_done)
