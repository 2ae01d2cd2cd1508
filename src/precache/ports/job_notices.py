"""The notices of jobs that have not been sent yet, and which conductor sends them.

Errors: StoreUnavailable. Each method is one transaction, and has the same effect if it is called twice.
"""

from __future__ import annotations

from collections.abc import Collection, Sequence
from datetime import timedelta
from typing import Protocol

from precache.core.job_notices import Delivery, JobNotice, NewDelivery


class Duties(Protocol):
    """Which process does what one process does for all."""

    def hold(self, duty: str, owner: str, lease: timedelta) -> bool:
        """Take the duty, or keep it, for `lease` from now on; return whether the owner has it.

        It is free if it was never held, or if the lease of its last owner ran out, by the store's clock.
        """
        ...


class NoticeOutbox(Protocol):
    """Every change of the state of a job puts one notice in, in the same transaction. For the process with the duty."""

    def oldest(self, limit: int) -> list[JobNotice]:
        """Return notices, oldest first. A notice of a job that was removed is removed, too."""
        ...

    def without_deliveries(self, limit: int) -> list[JobNotice]:
        """Return those for which `add_deliveries` was not called, oldest first."""
        ...

    def add_deliveries(self, notices: Collection[int], deliveries: Sequence[NewDelivery]) -> None:
        """Store the deliveries of these notices, given by their numbers; a notice may have none.

        A notice that has its deliveries already, or is gone, gets no further ones.
        """
        ...

    def remove(self, notices: Collection[int]) -> None: ...

    def keep_newest(self, count: int) -> int:
        """Remove the oldest notices, so that about `count` are left at most; return how many were removed."""
        ...


class DeliveryQueue(Protocol):
    """Deliveries of notices to URLs. For the process with the duty."""

    def due(self, limit: int, *, skip: Collection[str] = ()) -> list[Delivery]:
        """Return deliveries that are due, oldest first; of each job and URL only the oldest one.

        skip: URLs whose deliveries are left out.
        """
        ...

    def put_back(self, deliveries: Collection[int], after: timedelta) -> None:
        """Count a failed attempt; they are due again after this time."""
        ...

    def remove(self, deliveries: Collection[int]) -> None: ...

    def keep_newest(self, count: int) -> int:
        """Remove the oldest deliveries, so that about `count` are left at most; return how many were removed."""
        ...
