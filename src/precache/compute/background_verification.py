"""Verifies the images of the host's cache slowly, one after another, while no job works on the host."""

from __future__ import annotations

import logging
from collections.abc import Callable
from datetime import timedelta

from precache.background.cancel_token import CancelToken
from precache.compute.turns import Turns
from precache.core.images import ImageId
from precache.core.jobs import Phase
from precache.ports.virt_driver import ImageVerification

_log = logging.getLogger(__name__)

_POLL_S = 0.5
"""How soon it begins after the work of a job."""


class BackgroundVerification:
    """The verification on one host. `run` is called regularly by one thread.

    turns: of the host; nothing is read while other work has one. stop: cancelled when the compute is being stopped.
    interval: no image is verified more often. rate_bytes_per_s: of the reading. on_change: called after each image,
    which may have changed the cache. sleep: waits that many seconds.
    """

    def __init__(
        self,
        *,
        host: str,
        driver: ImageVerification,
        turns: Turns,
        stop: CancelToken,
        interval: timedelta,
        rate_bytes_per_s: int,
        on_change: Callable[[], object] = lambda: None,
        sleep: Callable[[float], object] | None = None,
    ) -> None:
        self._host = host
        self._driver = driver
        self._turns = turns
        self._stop = stop
        self._interval = interval
        self._rate_bytes_per_s = rate_bytes_per_s
        self._on_change = on_change
        self._sleep = sleep or stop.wait

    def run(self) -> None:
        """Verify what is due. Raises Stopped if the compute is being stopped; what the driver raises."""
        # A driver that was written for an earlier release lacks the method.
        verify_due = getattr(self._driver, "verify_due", None)
        while verify_due is not None:
            while self._rate_now() == 0 and not self._stop.is_cancelled:
                self._sleep(_POLL_S)
            self._watch(Phase.WAITING, 0, 0)
            image: ImageId | None = verify_due(self._interval, self._rate_now, self._watch)
            if image is None:
                return
            self._on_change()
            _log.debug("Verified image %s on %s", image, self._host)

    def _rate_now(self) -> int:
        return 0 if self._turns.is_taken else self._rate_bytes_per_s

    def _watch(self, phase: Phase, bytes_done: int, bytes_total: int) -> None:  # noqa: ARG002  the port has them
        self._stop.check(f"The verification of images on {self._host}")
