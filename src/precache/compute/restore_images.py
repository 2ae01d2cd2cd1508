"""Fetches again what is pinned in the cache of this host and is gone.

It uses the service's own credentials and takes its turn after all jobs. What is missing is found by others, who call
this. Thread-safe.
"""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Callable, Collection
from contextlib import ExitStack
from dataclasses import dataclass
from datetime import timedelta

from precache.background.backoff import Backoff
from precache.background.cancel_token import CancelToken
from precache.background.deadline import Deadline
from precache.compute.turns import Turns
from precache.core.cache_entries import AlarmKind
from precache.core.errors import DeadlinePassed, PrecacheError, Stopped
from precache.core.images import ImageId
from precache.core.jobs import Phase
from precache.core.orders import ImageOrder
from precache.core.stopping import StopReason
from precache.fetch.rate_limits import RateLimit, RateLimits
from precache.imagecache.alarms import CacheAlarms
from precache.imagecache.names import entry_name
from precache.ports.clock import Clock
from precache.ports.virt_driver import ImageCaching

_log = logging.getLogger(__name__)

PRIORITY = -1
"""Lower than that of each job."""

LONGEST_FETCH = timedelta(hours=12)
"""How long one image may take; 100 GiB over a link of 20 Mbit/s take so long. It frees the turn if the disk hangs."""

AFTER_FAILURE = Backoff(first=timedelta(minutes=1), longest=timedelta(hours=1), jitter=0.5)
"""For a service that is down, or a disk that is full. The jitter is for many hosts that miss the same image."""

AFTER_REFUSAL = timedelta(days=1)
"""For an image that has left the image service or was deactivated: it may have been activated again."""


@dataclass(slots=True)
class _Missing:
    """An image to be fetched. due_s: of the next attempt, monotonic. stop: ends the running one."""

    due_s: float
    failures: int = 0
    stop: CancelToken | None = None


class RestoreImages:
    """Fetches missing images, one at a time. `run` is called regularly by one thread, and after `wake`.

    turns: of the host. stop: cancelled when the compute is being stopped. rates: which running downloads follow.
    clock: for the text of alarms. rate_bytes_per_s: of each download; None for no limit. alarms: None if the driver
        keeps none.
    """

    def __init__(
        self,
        *,
        host: str,
        driver: ImageCaching,
        turns: Turns,
        stop: CancelToken,
        rates: RateLimits,
        clock: Clock,
        rate_bytes_per_s: int | None = None,
        alarms: CacheAlarms | None = None,
        wake: Callable[[], object] = lambda: None,
        monotonic: Callable[[], float] = time.monotonic,
    ) -> None:
        self._host = host
        self._driver = driver
        self._turns = turns
        self._stop = stop
        self._rates = rates
        self._clock = clock
        self._rate_bytes_per_s = rate_bytes_per_s
        self._alarms = alarms
        self._wake = wake
        self._monotonic = monotonic
        self._missing: dict[ImageId, _Missing] = {}
        self._lock = threading.Lock()

    def set_missing(self, images: Collection[ImageId]) -> None:
        """Fetch these images, which are pinned and gone. Those of earlier calls that are not in it are wanted no more.

        Failures of earlier attempts still count. Returns at once.
        """
        with self._lock:
            found_again = [
                image for image, known in self._missing.items() if image not in images and known.stop is None
            ]
            new = [image for image in images if image not in self._missing]
            for image in found_again:
                del self._missing[image]
            for image in new:
                self._missing[image] = _Missing(self._monotonic())
        for image in found_again:
            self._clear_alarm(image)
        if new:
            self._wake()

    def forget(self, image: ImageId) -> None:
        """Fetch the image no more, and end its running download. Returns at once."""
        with self._lock:
            known = self._missing.pop(image, None)
            running = known.stop if known is not None else None
        if running is not None:
            running.cancel(StopReason.CANCELLED)
        self._clear_alarm(image)

    def run(self) -> None:
        """Fetch what is due, one image after another, until the compute is being stopped."""
        while not self._stop.is_cancelled and (due := self._begin()) is not None:
            self._try(*due)

    def _begin(self) -> tuple[ImageId, _Missing, CancelToken] | None:
        """Return the image that has been due for longest, and the token that ends its download."""
        now_s = self._monotonic()
        with self._lock:
            due = [(known.due_s, image) for image, known in self._missing.items() if known.due_s <= now_s]
            if not due:
                return None
            _, image = min(due)
            known, stop = self._missing[image], self._stop.child()
            known.stop = stop
        return image, known, stop

    def _try(self, image: ImageId, known: _Missing, stop: CancelToken) -> None:
        _log.info("Pinned image %s is gone from the cache of %s; fetching it again", image, self._host)
        pause: timedelta | None = None
        try:
            self._fetch(image, stop)
        except NotImplementedError as error:
            pause = AFTER_REFUSAL
            self._report(image, str(error), pause)
        except Stopped:
            _log.info("Fetching image %s again on %s was stopped", image, self._host)
        except PrecacheError as error:
            pause = self._pause_after(error, known)
            self._report(image, str(error), pause, logging.WARNING if error.may_pass else logging.ERROR)
        except Exception as error:  # noqa: BLE001  the boundary of this work: the other images go on
            _log.exception("Fetching image %s again on %s failed unexpectedly", image, self._host)
            pause = AFTER_REFUSAL
            self._report(image, f"unexpected {type(error).__name__}: {error}", pause)
        else:
            _log.info("Image %s is in the cache of %s again", image, self._host)
            self._clear_alarm(image)
        with self._lock:
            known.stop = None
            if pause is not None:
                known.due_s = self._monotonic() + pause.total_seconds()
            elif self._missing.get(image) is known:
                del self._missing[image]

    def _fetch(self, image: ImageId, stop: CancelToken) -> None:
        deadline = Deadline(LONGEST_FETCH, self._monotonic)

        def watch(phase: Phase, bytes_done: int, bytes_total: int) -> None:  # noqa: ARG001  the port has them
            stop.check(f"Fetching image {image} again on {self._host}")
            if deadline.has_passed:
                raise DeadlinePassed(image, bytes_done)

        with ExitStack() as held, ExitStack() as turn:
            held.enter_context(deadline.held())  # the wait for the turn does not count
            turn.enter_context(
                self._turns.turn(
                    image,
                    priority=PRIORITY,
                    arrival=0,
                    deadline=deadline,
                    wait=lambda: watch(Phase.WAITING, 0, 0),
                )
            )
            held.close()
            limit = RateLimit(lambda: self._rate_bytes_per_s, deadline.postpone_by)
            with self._rates.applied(image, limit):
                self._driver.cache_image(ImageOrder(image), watch)

    def _pause_after(self, error: PrecacheError, known: _Missing) -> timedelta:
        known.failures += 1
        if not error.may_pass:
            return AFTER_REFUSAL
        return AFTER_FAILURE.wait_after(known.failures) or AFTER_FAILURE.longest

    def _report(self, image: ImageId, reason: str, pause: timedelta, level: int = logging.ERROR) -> None:
        next_at = (self._clock.now() + pause).isoformat(" ", "seconds")
        text = (
            f"Image {image} is pinned on {self._host} and gone, and could not be fetched again: "
            f"{reason.rstrip('.')}. The next attempt is at {next_at}; unpin the image if it is not needed here"
        )
        _log.log(level, "%s", text)
        if self._alarms is not None:
            self._alarms.set(AlarmKind.NOT_RESTORED, entry_name(image), image, text)

    def _clear_alarm(self, image: ImageId) -> None:
        if self._alarms is not None:
            self._alarms.clear(AlarmKind.NOT_RESTORED, entry_name(image))
