"""The state of one run of a job, which its threads share."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable
from dataclasses import dataclass, field
from threading import Event
from typing import TypeVar

from precache.background.backoff import retry_until
from precache.background.cancel_token import CancelToken
from precache.conductor.outcome_recorder import OutcomeRecorder
from precache.core.hosts import Host
from precache.core.images import ImageId
from precache.core.jobs import Job, JobStep, Outcome, TaskResult
from precache.core.orders import CacheOrder
from precache.core.stopping import StopReason
from precache.ports.job_store import RemainingTasks
from precache.rules.group_by_cell import RpcRequirement

T = TypeVar("T")

LOOK_S = 0.25
"""How long an idle run may take to notice that it is to stop."""


class EventQueue:
    """The steps of a job: threads that call hosts put them in, the job's own thread takes them out.

    The reader wakes for the first step, not for each one: at hundreds of hosts a second, waking up costs more processor
    time than the steps themselves.
    """

    def __init__(self) -> None:
        self._steps: deque[JobStep] = deque()
        self._has_some = Event()
        self._is_last = Event()

    def put(self, step: JobStep) -> None:
        self._steps.append(step)
        if not self._has_some.is_set():
            self._has_some.set()

    def end(self) -> None:
        """Mark that no further step will arrive; a wait then returns at once."""
        self._is_last.set()
        self._has_some.set()

    def wait_for_first(self, timeout_s: float) -> None:
        """Wait until there is a step, `end` was called, or the time is over."""
        self._has_some.wait(timeout_s)

    def wait_for_last(self, timeout_s: float) -> None:
        """Wait until `end` was called or the time is over. Steps that arrive meanwhile stay in the queue."""
        self._is_last.wait(timeout_s)

    def take(self) -> list[JobStep]:
        """Remove and return all steps, in their order."""
        self._has_some.clear()  # first, so that a step that arrives meanwhile ends the next wait
        self._is_last.clear()
        taken = []
        while self._steps:
            taken.append(self._steps.popleft())
        return taken


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

    def orders_for(self, host: Host) -> tuple[tuple[CacheOrder, ...], tuple[TaskResult, ...]]:
        """Return the host's remaining orders, and the errors in place of those that its compute is too old for."""
        orders = self.orders_of(self.remaining.images[host.name])
        requirement = self.requirement.with_boot_files() if self.requirement else None
        if requirement is None or not requirement.excludes(host):
            return orders, ()
        reason = str(requirement.error_of(host))
        outdated = (order.image for order in orders if order.options.as_is)
        return (
            tuple(order for order in orders if not order.options.as_is),
            tuple(TaskResult(image, Outcome.ERROR, reason=reason) for image in outdated),
        )

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
