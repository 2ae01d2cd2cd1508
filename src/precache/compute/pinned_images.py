"""Keeps the pinned images of a host in its cache: regular passes over them, and an earlier one if the clock jumps."""

from __future__ import annotations

import logging
import time
from collections.abc import Callable
from datetime import timedelta

from precache.background.periodic_task import PeriodicTask
from precache.compute.restore_images import RestoreImages
from precache.ports.clock import Clock
from precache.ports.virt_driver import ImagePinning

_log = logging.getLogger(__name__)

TOLERANCE = timedelta(minutes=1)
"""A smaller jump is no jump: services that set the clock correct it by seconds."""


class PinnedImages:
    """The passes over the pinned images of one host, as a periodic task: `task`, which the caller starts and stops.

    restoring: fetches again what is gone; None to leave it. monotonic: a clock in seconds that never goes back.
    """

    def __init__(
        self,
        *,
        host: str,
        driver: ImagePinning,
        clock: Clock,
        interval: timedelta,
        restoring: RestoreImages | None,
        monotonic: Callable[[], float] = time.monotonic,
    ) -> None:
        self._host = host
        # A driver that was written for an earlier release has the second method, or neither.
        self._touch = getattr(driver, "touch_pinned", None) or getattr(driver, "touch_kept", None)
        self._clock = clock
        self._restoring = restoring
        self._monotonic = monotonic
        self._passes = 0
        self._last_check = clock.now(), monotonic()
        what = "The pass over pinned images of"
        self.task = PeriodicTask(action=self.touch, interval=interval, what=what, of=host)

    def touch(self) -> None:
        """Make a pass. Raises CacheUnusable."""
        if self._touch is None:
            return
        missing = self._touch()
        self._passes += 1
        # At the first pass after a start, the file system of the cache may not be mounted.
        if self._restoring is not None and self._passes > 1:
            self._restoring.set_missing(missing or ())

    def check_clock(self) -> None:
        """Make the next pass now if the clock has jumped since the last call. Called every few seconds.

        The ages of the pinned images are then wrong: after a jump forward they look old to nova-compute.
        """
        (then, then_s), (now, now_s) = self._last_check, (self._clock.now(), self._monotonic())
        self._last_check = now, now_s
        jump = now - then - timedelta(seconds=now_s - then_s)
        if abs(jump) >= TOLERANCE:
            _log.warning("The clock of %s has jumped by %s; the pinned images are touched now", self._host, jump)
            self.task.wake()
