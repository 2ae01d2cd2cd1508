"""The conductor's way to a host: one long call for all images of a job on that host."""

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
    """

    job_id: str
    host: str
    cell: str
    orders: tuple[CacheOrder, ...]
    deadline: Deadline = field(default_factory=lambda: Deadline(None), compare=False)

    @property
    def images(self) -> tuple[ImageId, ...]:
        return tuple(order.image for order in self.orders)

    @property
    def has_options(self) -> bool:
        """Return whether a host must understand options of orders."""
        return any(order.has_options for order in self.orders)


class ComputeGateway(Protocol):
    def cache_images(self, request: CacheRequest) -> Sequence[TaskResult]:
        """Ask the host and wait until it has dealt with every image; blocks for as long as that takes.

        Returns the host's word on each image. Raises ComputeUnreachable if the host does not answer or dies
        meanwhile, Stopped if we or the host are being stopped. Asking again for the same job is harmless: an image that
        is there is touched.
        """
        ...
