"""The state of one run of a job, which its threads share."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import TypeVar

from precache.background.backoff import retry_until
from precache.background.cancel_token import CancelToken
from precache.conductor.event_queue import EventQueue
from precache.conductor.outcome_recorder import OutcomeRecorder
from precache.core.images import ImageId
from precache.core.jobs import Job
from precache.core.orders import CacheOrder
from precache.core.stopping import StopReason
from precache.ports.job_store import RemainingTasks
from precache.rules.group_by_cell import RpcRequirement

T = TypeVar("T")

LOOK_S = 0.25
"""How long an idle run may take to notice that it is to stop."""


@dataclass(frozen=True, slots=True)
class JobRun:
    """One run of a job, under the claim of `job`.

    Threads that call hosts put steps into `steps`. Everything else is for the run's own thread.

    remaining: the tasks that had not ended when the run began.
    requirement: the RPC version that this job requires of computes; None without a bus.
    stop: cancelled when the process is to stop or the lease is lost; another conductor then continues the job.
    work: its child, cancelled also when an operator cancels the job; this conductor then ends it.
    """

    job: Job
    remaining: RemainingTasks
    recorder: OutcomeRecorder
    requirement: RpcRequirement | None
    stop: CancelToken
    work: CancelToken
    steps: EventQueue = field(default_factory=EventQueue)

    @property
    def is_cancelled(self) -> bool:
        """Return whether an operator has cancelled the job, so that this conductor must end it."""
        return self.work.reason is StopReason.CANCELLED

    def orders_of(self, images: tuple[ImageId, ...]) -> tuple[CacheOrder, ...]:
        """Return the orders of these images, in the order of the request."""
        wanted = set(images)
        return tuple(order for order in self.job.orders if order.image in wanted)

    def wait_for_steps(self) -> None:
        """Wait for the first step; if some are noted already, until their write is due or no more can arrive."""
        due_in_s = self.recorder.due_in_s
        if due_in_s is None:
            self.steps.wait_for_first(LOOK_S)
        else:
            self.steps.wait_for_last(min(due_in_s, LOOK_S))

    def note_steps(self) -> None:
        """Pass the steps in the queue to the recorder."""
        for step in self.steps.take():
            self.recorder.note(step)

    def write_if_due(self, on_first_failure: Callable[[], object] = lambda: None) -> None:
        """Store the noted steps, at most once per write interval. Raises LeaseLost, Unavailable as `retry`."""
        if self.recorder.due_in_s == 0.0:
            self.retry("The record of", self.recorder.write, on_first_failure)

    def retry(
        self,
        what: str,
        act: Callable[[], T],
        on_first_failure: Callable[[], object] = lambda: None,
        until: CancelToken | None = None,
    ) -> T:
        """Return the result of `act`. Repeat it while it raises Unavailable, until the run is to stop.

        Raises Unavailable when `until`, by default `stop`, is cancelled. The end of a cancelled job needs the store, so
        operations on the store are repeated until `stop`.
        """
        wait = (until or self.stop).wait
        return retry_until(act, what=f"{what} job", of=self.job.id, wait=wait, on_first_failure=on_first_failure)
