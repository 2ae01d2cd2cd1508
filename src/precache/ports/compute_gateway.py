"""Calls from the conductor to a host: a long one for all images of a job, and a short one to cancel it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Protocol

from precache.background.deadline import Deadline
from precache.core.images import ImageId
from precache.core.jobs import TaskResult
from precache.core.orders import CacheOrder


@dataclass(frozen=True, slots=True)
class CacheRequest:
    """The message: cache these images, one after another, in this order.

    deadline: on the host, when all of them must be done.
    is_cancelled: set by a gateway that sends the request again after the job was cancelled. The host begins with no
        image, and answers how each has ended.
    """

    job_id: str
    host: str
    cell: str
    orders: tuple[CacheOrder, ...]
    deadline: Deadline = field(default_factory=lambda: Deadline(None), compare=False)
    is_cancelled: bool = False

    @property
    def images(self) -> tuple[ImageId, ...]:
        return tuple(order.image for order in self.orders)

    @property
    def has_options(self) -> bool:
        """Return whether a host must understand options of orders."""
        return any(order.has_options for order in self.orders)

    @property
    def has_boot_files(self) -> bool:
        """Return whether the host must cache kernels or ramdisks as they are."""
        return any(order.options.as_is for order in self.orders)


class ComputeGateway(Protocol):
    def cache_images(self, request: CacheRequest) -> Sequence[TaskResult]:
        """Send the request and wait until the host has dealt with every image; blocks for as long as that takes.

        Return the host's result for each image. Raises ComputeUnreachable if the host does not answer or dies
        meanwhile; ComputeOutdated; Stopped if this process or the host's compute is being stopped. Sending it again for
        the same job is harmless: the host joins the running work, answers from memory, or touches the image.
        """
        ...

    def cancel(self, job_id: str, host: str, cell: str) -> None:
        """Make the host stop all its work for the job; return when the host has confirmed that it will.

        Does not wait for the work to end: the pending `cache_images` of the job returns soon after, with the outcome
        `cancelled` for each image that was not done. The host remembers the job: a request for it that comes later is
        answered at once. Idempotent, also for a job that the host does not know. Raises, after some seconds at most,
        ComputeUnreachable if the host does not confirm; ComputeOutdated if it does not know this message; Stopped if
        this process or the host's compute is being stopped.
        """
        ...
