"""Follows a job by its events until it ends; polls it if events cannot be had. Clock and sleep are arguments."""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime
from typing import Protocol

from precache.cli.client.jobs import Jobs
from precache.cli.errors import JobDeleted, ServiceFailed
from precache.cli.wait.follow import PATIENCE_S, WaitResult, follow
from precache.cli.wait.snapshot import Snapshot
from precache.cli.watch.job_model import JobModel
from precache.core.errors import PrecacheError, Unavailable

SILENCE_S = 40.0
"""The longest time without a byte: the service sends a comment every 15 seconds."""

_DRAW_S = 0.5
_FIRST_PAUSE_S = 0.2
_LONGEST_PAUSE_S = 5.0


class WatchView(Protocol):
    """Shows a job."""

    def show(self, model: JobModel) -> None:
        """Called after changes, the last time with the final state unless the wait was interrupted."""
        ...

    def silence(self, message: str) -> None:
        """Called each time the service did not answer; the wait continues. message: without advice."""
        ...


class EventFollower:
    """Follows one job. jobs: the client. Raises what `follow` raises, and JobDeleted."""

    def __init__(
        self,
        jobs: Jobs,
        job_id: str,
        *,
        view: WatchView,
        clock: Callable[[], float],
        pause: Callable[[float], None],
        timeout_s: float | None,
    ) -> None:
        self._jobs, self._job_id, self._view = jobs, job_id, view
        self._clock, self._pause, self._timeout_s = clock, pause, timeout_s
        self._begun = clock()
        self._model = JobModel()
        self._last_id: str | None = None
        self._heard_at: float | None = None
        self._drawn_at = float("-inf")

    def run(self) -> WaitResult:
        """Follow the job until it ends or the time is over."""
        breath = _FIRST_PAUSE_S
        while True:
            heard_before = self._heard_at
            try:
                if self._follow_once():
                    return WaitResult(self._model.snapshot(), timed_out=False)
            except JobDeleted:
                raise
            except PrecacheError as error:
                if self._heard_at is None:
                    return self._poll(error)
                if not isinstance(error, Unavailable) or self._clock() - self._heard_at >= PATIENCE_S:
                    raise
                if not self._is_time_over():
                    self._view.silence(error.message)
            if self._is_time_over():
                return WaitResult(self._model.snapshot(), timed_out=True)
            breath = _FIRST_PAUSE_S if self._heard_at != heard_before else min(2 * breath, _LONGEST_PAUSE_S)
            self._pause(breath if (left := self._left_s()) is None else min(breath, left))

    def _follow_once(self) -> bool:
        """Follow one connection; return whether the job has ended. Raises the service's errors."""
        left = self._left_s()
        timeout_s = SILENCE_S if left is None else max(0.01, min(SILENCE_S, left))
        with self._jobs.follow(self._job_id, last_event_id=self._last_id, timeout_s=timeout_s) as events:
            if events is None:
                self._model.job = self._jobs.get(self._job_id)
                return True
            for event in events:
                self._heard_at = self._clock()
                if event.name == "snapshot":
                    self._model.load(self._jobs, event)
                elif event.name == "deleted":
                    raise JobDeleted(str(event.data.get("message", "")))
                elif event.name == "store" and not event.data.get("is_available"):
                    self._view.silence(str(event.data.get("message", "")))
                else:
                    self._model.apply(event, datetime.now(UTC))
                self._last_id = event.id or self._last_id
                self._draw(event.name)
                if event.name == "end":
                    return True
                if self._is_time_over():
                    return False
        return False

    def _draw(self, event: str) -> None:
        """Show the model, but not after each of a thousand tasks: an event of the job follows them."""
        if event in ("job", "snapshot", "end") or (event == "task" and self._clock() - self._drawn_at >= _DRAW_S):
            self._drawn_at = self._clock()
            self._view.show(self._model)

    def _poll(self, error: PrecacheError) -> WaitResult:
        """Poll the job, because the service has no events, or none for another reader."""
        if isinstance(error, ServiceFailed):
            self._view.silence(f"{error.message}; the job is read again and again instead")
        view = _Polled(self._view, self._model)
        return follow(
            self._jobs, self._job_id, view=view, clock=self._clock, pause=self._pause, timeout_s=self._left_s()
        )

    def _left_s(self) -> float | None:
        return None if self._timeout_s is None else max(0.0, self._begun + self._timeout_s - self._clock())

    def _is_time_over(self) -> bool:
        return self._left_s() == 0.0


class _Polled:
    """Shows snapshots in a view of events."""

    def __init__(self, view: WatchView, model: JobModel) -> None:
        self._view, self._model = view, model

    def show(self, snapshot: Snapshot) -> None:
        self._model.replace(snapshot.job, snapshot.tasks, is_whole=snapshot.is_whole)
        self._view.show(self._model)

    def silence(self, message: str) -> None:
        self._view.silence(message)
