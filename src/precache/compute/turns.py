"""Turns of a host: one image at a time, over all jobs and requests."""

from __future__ import annotations

import itertools
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field

from precache.background.deadline import Deadline
from precache.core.images import ImageId

POLL_SECONDS = 0.1
"""How often the work that waits is asked whether it still wants its turn."""


_GRACE_SECONDS = 60.0
"""How long work may take to end after its deadline. A disk that does not answer may hold it for ever."""


@dataclass(order=True, slots=True)
class _Place:
    """A place in the queue: the highest priority first, then the request that came first, then its first image."""

    negative_priority: int
    arrival: int
    number: int
    image: ImageId = field(compare=False)


class Turns:
    """Gives the turn to one piece of work at a time. Thread-safe. Work that has its turn is not interrupted."""

    def __init__(self) -> None:
        self._queue: list[_Place] = []
        self._holder: Deadline | None = None
        self._numbers = itertools.count()
        self._changed = threading.Condition()

    @property
    def is_taken(self) -> bool:
        """Return whether work has the turn, and has not hung since its deadline."""
        with self._changed:
            holder = self._holder
        return holder is not None and not _is_overdue(holder)

    @property
    def is_overdue(self) -> bool:
        """Return whether the work that has the turn should have ended a while ago, and so may never end."""
        with self._changed:
            holder = self._holder
        return holder is not None and _is_overdue(holder)

    @contextmanager
    def turn(
        self, image: ImageId, *, priority: int, arrival: int, deadline: Deadline, wait: Callable[[], None]
    ) -> Iterator[None]:
        """Hold the turn within the block; wait for it without a limit.

        arrival: the place of the request among those of its priority. deadline: of the work. wait: called some ten
        times a second while another has the turn; what it raises ends the wait.
        """
        with self._changed:
            place = _Place(-priority, arrival, next(self._numbers), image)
            self._queue.append(place)
        try:
            while not self._taken_by(place, deadline):
                wait()
        except BaseException:
            with self._changed:
                self._queue.remove(place)
                self._changed.notify_all()
            raise
        try:
            yield
        finally:
            with self._changed:
                self._holder = None
                self._changed.notify_all()

    def is_awaited(self, image: ImageId) -> bool:
        """Return whether other work waits for its turn with this image."""
        with self._changed:
            return any(place.image == image for place in self._queue)

    def _taken_by(self, place: _Place, deadline: Deadline) -> bool:
        """Take the turn if it is that of this place; else wait a moment. Return whether it was taken."""

        def is_next() -> bool:
            return self._holder is None and min(self._queue) is place

        with self._changed:
            if not self._changed.wait_for(is_next, POLL_SECONDS):
                return False
            self._queue.remove(place)
            self._holder = deadline
            return True


def _is_overdue(holder: Deadline) -> bool:
    return holder.left_s < -_GRACE_SECONDS
