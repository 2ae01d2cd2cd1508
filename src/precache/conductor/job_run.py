"""The state of one run of a job, which its threads share."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import datetime
from threading import Event
from typing import TypeVar

from precache.background.backoff import retry_until
from precache.background.cancel_token import CancelToken
from precache.conductor.job_control import JobControl
from precache.conductor.outcome_recorder import OutcomeRecorder
from precache.core.hosts import Host
from precache.core.images import ImageId
from precache.core.jobs import Job, JobStep, Outcome, TaskResult
from precache.core.orders import ImageOrder
from precache.ports.clock import Clock
from precache.ports.compute_gateway import HostResult
from precache.ports.job_store import RemainingTasks
from precache.rules.group_by_cell import RpcRequirement
from precache.rules.host_answers import steps_of_answer
from precache.rules.rate_shares import limited
from precache.rules.stopping import ENDINGS, Ending, reason_to_stop
from precache.rules.transfer_choice import by_swarm

T = TypeVar("T")

LOOK_S = 0.25
"""How long an idle run may take to notice that it is to stop, or that a host is due."""


@dataclass(frozen=True, slots=True)
class HostAnswer:
    """What a host answered, before it is decided which of its tasks end."""

    host: str
    results: tuple[HostResult, ...]
    at: datetime
    cell: str = ""


RunEvent = JobStep | HostAnswer


class EventQueue:
    """The events of a job: threads that call hosts put them in, the job's own thread takes them out.

    The reader wakes for the first event, not for each one: at hundreds of hosts a second, waking up costs more
    processor time than the events themselves.
    """

    def __init__(self) -> None:
        self._events: deque[RunEvent] = deque()
        self._has_some = Event()
        self._is_last = Event()

    def put(self, event: RunEvent) -> None:
        self._events.append(event)
        if not self._has_some.is_set():
            self._has_some.set()

    def end(self) -> None:
        """Mark that no further event will arrive; a wait then returns at once."""
        self._is_last.set()
        self._has_some.set()

    def wait_for_first(self, timeout_s: float) -> None:
        """Wait until there is an event, `end` was called, or the time is over."""
        self._has_some.wait(timeout_s)

    def wait_for_last(self, timeout_s: float) -> None:
        """Wait until `end` was called or the time is over. Events that arrive meanwhile stay in the queue."""
        self._is_last.wait(timeout_s)

    def take(self) -> list[RunEvent]:
        """Remove and return all events, in their order."""
        self._has_some.clear()  # first, so that an event that arrives meanwhile ends the next wait
        self._is_last.clear()
        taken = []
        while self._events:
            taken.append(self._events.popleft())
        return taken


@dataclass(slots=True, eq=False)
class JobRun:
    """One run of a job, under the claim of `job`.

    Threads that call hosts put events into `events`, and read the orders of their host. Everything else is for the
    run's own thread.

    job: as it was claimed, with the options and orders that an operator has given it since.
    remaining: the tasks that had not ended when the run began.
    requirement: the RPC version that this job requires of computes; None without a bus.
    known: the hosts with their cells, as they were read last. up: those that could be called then.
    down: the hosts that the job waits for.
    by_swarm: the hosts that get their images from others of their site, or fetch them for these.
    outdated: the hosts whose computes do not know the message that changes their rates.
    share_bytes_per_s: the limit of each host, so that all keep the limit of the job; None if it has none.
    reason: why the job was stopped; empty if the reason to stop says it. unconfirmed: by host, why it did not confirm.
    """

    job: Job
    remaining: RemainingTasks
    recorder: OutcomeRecorder
    requirement: RpcRequirement | None
    control: JobControl
    clock: Clock
    events: EventQueue = field(default_factory=EventQueue)
    known: dict[str, Host] = field(default_factory=dict)
    up: set[str] = field(default_factory=set)
    down: dict[str, Host] = field(default_factory=dict)
    by_swarm: set[str] = field(default_factory=set)
    outdated: set[str] = field(default_factory=set)
    share_bytes_per_s: int | None = None
    reason: str = ""
    unconfirmed: dict[str, str] = field(default_factory=dict)

    @property
    def stop(self) -> CancelToken:
        return self.control.stop

    @property
    def work(self) -> CancelToken:
        return self.control.work

    @property
    def ending(self) -> Ending | None:
        """Return what becomes of the job if its work is stopped; None if it goes on, here or with another conductor."""
        return None if (reason := self.work.reason) is None else ENDINGS.get(reason)

    def stop_if_due(self) -> None:
        """Stop the work if an operator had requested it at the claim, or if the job may not run at this time."""
        reason = reason_to_stop(self.job, self.clock.now())
        if reason is not None:
            self.work.cancel(reason)

    def cell_of(self, host: str) -> str:
        """Return the cell of the host; empty if it is not known."""
        return (self.known[host].cell or "") if host in self.known else ""

    def orders_of(self, images: tuple[ImageId, ...]) -> tuple[ImageOrder, ...]:
        """Return the orders of these images, in the order of the request, with the rates that apply now."""
        wanted, share = set(images), self.share_bytes_per_s
        orders = tuple(order for order in self.job.orders if order.image in wanted)
        return orders if share is None else tuple(limited(order, share) for order in orders)

    def orders_for(self, host: Host) -> tuple[tuple[ImageOrder, ...], tuple[TaskResult, ...]]:
        """Return the host's remaining orders, and the errors in place of those that its compute is too old for."""
        orders, outdated = self._understood(host)
        return tuple(map(by_swarm, orders)) if host.name in self.by_swarm else orders, outdated

    def _understood(self, host: Host) -> tuple[tuple[ImageOrder, ...], tuple[TaskResult, ...]]:
        orders, requirement = self.orders_of(self.recorder.unended.get(host.name, ())), self.requirement
        if requirement is None or not any(order.has_later_options for order in orders):
            return orders, ()
        understood: list[ImageOrder] = []
        outdated: list[TaskResult] = []
        for order in orders:
            needed = requirement.of_order(order)
            if needed.excludes(host):
                outdated.append(TaskResult(order.image, Outcome.ERROR, reason=str(needed.error_of(host))))
            else:
                understood.append(order)
        return tuple(understood), tuple(outdated)

    def wait_for_events(self) -> None:
        """Wait for the first event; if some are noted already, until their write is due or no more can arrive."""
        due_in_s = self.recorder.due_in_s
        if due_in_s is None:
            self.events.wait_for_first(LOOK_S)
        else:
            self.events.wait_for_last(min(due_in_s, LOOK_S))

    def note_events(self) -> list[JobStep]:
        """Pass what is in the queue to the recorder, and return it."""
        noted: list[JobStep] = []
        for event in self.events.take():
            for step in self._steps_of(event) if isinstance(event, HostAnswer) else [event]:
                self.recorder.note(step)
                noted.append(step)
        return noted

    def _steps_of(self, answer: HostAnswer) -> list[JobStep]:
        ending = self.ending
        return steps_of_answer(
            answer.host,
            answer.results,
            answer.at,
            cell=answer.cell,
            failures=self.recorder.failures_of(answer.host),
            retries=self.job.options.retries,
            rest_ends_as=ending.rest if ending else None,
        )

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
