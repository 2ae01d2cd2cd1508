"""Calls from the conductor to a host: a long one for all images of a job, and short ones to steer it and its relays."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Protocol

from precache.background.deadline import Deadline
from precache.core.cache_cleaning import CleanRequest, CleanResult
from precache.core.cache_contents import CacheContents, ImageSize
from precache.core.images import ImageId
from precache.core.job_options import DEFAULT_JOB_OPTIONS
from precache.core.jobs import TaskPaused, TaskResult
from precache.core.operations import Operation
from precache.core.orders import ImageOrder
from precache.core.relays import Assignment, Peer
from precache.core.swarm_checks import SwarmState

HostResult = TaskResult | TaskPaused

Rates = Mapping[ImageId, int | None]
"""The highest rates of downloads, in bytes per second; None for no limit."""


@dataclass(frozen=True, slots=True)
class CallNumber:
    """The number of a call; it grows with each call of one sender. A gateway is one sender.

    Calls are handled in parallel, so one may overtake another. With the numbers the host still knows their order.
    """

    sender: str
    number: int

    def precedes(self, other: CallNumber) -> bool:
        """Return whether this call was made before the other. Calls of different senders have no order: False."""
        return self.sender == other.sender and self.number < other.number


@dataclass(frozen=True, slots=True)
class ImagesRequest:
    """The message: do this with these images, one after another, in this order.

    operation: what the host does with each of them.
    deadline: on the host, when all of them must be done. The time in which the host holds the work back, because of a
        rate limit or for another job, does not count, unless the deadline is fixed.
    call_ends: when the caller gives up, unless it is told that the deadline was postponed; None if it waits as long as
        that takes.
    is_cancelled: set if the request is sent, or sent again, after the job was cancelled. The host begins with no
        image, and answers how each has ended.
    is_paused: the same after the job was paused.
    retry_count: how often an operator retried the job. Each retry is a job of its own for the host's memory.
    priority: of the job; the host does one image at a time, that of the highest priority first.
    call: the number that `next_call` returned; without one the gateway gives it a number when it is sent. A request
        that is sent again keeps it.
    arrival: the host's own number, which grows with each message that arrives.
    """

    job_id: str
    host: str
    cell: str
    orders: tuple[ImageOrder, ...]
    deadline: Deadline = field(default_factory=lambda: Deadline(None), compare=False)
    call_ends: Deadline | None = field(default=None, compare=False)
    is_cancelled: bool = False
    is_paused: bool = False
    retry_count: int = 0
    priority: int = DEFAULT_JOB_OPTIONS.priority
    call: CallNumber | None = field(default=None, compare=False)
    arrival: int = field(default=0, compare=False)
    operation: Operation = Operation.CACHE

    @property
    def images(self) -> tuple[ImageId, ...]:
        return tuple(order.image for order in self.orders)

    @property
    def has_options(self) -> bool:
        """Return whether a host must understand options of orders."""
        return any(order.has_options for order in self.orders)

    @property
    def has_later_options(self) -> bool:
        """Return whether a host must understand `as_is` or `keep_for_s`."""
        return any(order.has_later_options for order in self.orders)

    @property
    def has_end_times(self) -> bool:
        """Return whether a host must understand `keep_until`."""
        return any(order.has_end_time for order in self.orders)


class ComputeGateway(Protocol):
    """Every call but `process_images` and `change_relay` returns when the host has confirmed it, within seconds, and
    may be repeated.

    It raises ComputeUnreachable if the host does not confirm; ComputeOutdated, with the reason, if the host does not
    know the message, or a pin forbids it; Stopped if this process or the host's compute is being stopped.
    """

    def next_call(self) -> CallNumber:
        """Return the number for a request. Call it before the orders are read, and before a check for a stop.

        The host then applies to the request a pause, and new rates, that were sent since, in whatever order they
        arrive.
        """
        ...

    def process_images(self, request: ImagesRequest) -> Sequence[HostResult]:
        """Send the request and wait until the host has dealt with every image; blocks for as long as that takes.

        Return the host's result for each image. Raises ComputeUnreachable if the host does not answer or dies
        meanwhile; ComputeOutdated; Stopped if this process or the host's compute is being stopped. Sending it again for
        the same job is harmless: the host joins the running work, answers from memory, or finds the work done. What
        failed for a reason that may pass is tried again.
        """
        ...

    def cancel(self, job_id: str, host: str, cell: str, retry_count: int = 0) -> None:
        """Make the host stop all its work for the job.

        Does not wait for the work to end: the pending `process_images` of the job returns soon after, with the outcome
        `cancelled` for each image that was not done. The host remembers the job: a request for it that comes later is
        answered at once. Harmless for a job that the host does not know.
        """
        ...

    def pause(self, job_id: str, host: str, cell: str, retry_count: int = 0) -> None:
        """Make the host stop all its work for the job, and keep what it has received.

        The pending `process_images` returns soon after, with TaskPaused for each image that was not done. A request of
        this gateway that was made before the pause is answered in the same way. A later one resumes the job, unless
        it has `is_paused`.
        """
        ...

    def limit(self, job_id: str, host: str, cell: str, rates: Rates) -> None:
        """Apply these rates to the downloads of the job now, and to those that its pending request begins later."""
        ...

    def change_relay(self, host: str, cell: str, assignment: Assignment) -> None:
        """Send the host its new assignment, without an answer; within some seconds. Never raises.

        It may be lost: the host also gets its assignment in the answer to its next report.
        """
        ...


class HostCompute(Protocol):
    """What a host does with the calls of conductors. Called from several threads at once."""

    def process_images(self, request: ImagesRequest) -> Sequence[HostResult]:
        """Return one result for each image, in the request's order. Raises Stopped if the compute is being stopped."""
        ...

    def cancel_job(self, job_id: str, retry_count: int = 0) -> None:
        """End the unfinished images of the job as `cancelled`, also those of later requests; do not wait."""
        ...

    def pause_job(self, job_id: str, retry_count: int, call: CallNumber) -> None:
        """End the unfinished images of the job as paused, also those of requests that precede `call`; do not wait."""
        ...

    def limit_job(self, job_id: str, rates: Rates, call: CallNumber) -> None:
        """Apply the rates to the job's downloads, also to those of requests that precede `call`; do not wait."""
        ...

    def change_relay(self, assignment: Assignment) -> None:
        """Follow this assignment, unless the host knows a later one, or not this relay; do not wait."""
        ...

    def describe_cache(self, images: Sequence[ImageSize]) -> CacheContents:
        """Return what the cache holds of the images; takes milliseconds. Raises an error of core/errors."""
        ...

    def clean_cache(self, request: CleanRequest) -> CleanResult:
        """Clean the cache as an operator asks, and return what was removed, or why nothing was; takes seconds."""
        ...

    def check_swarm(self, peer: Peer | None) -> SwarmState:
        """Return how the host takes part in swarms, and whether it reaches the peer; takes seconds."""
        ...
