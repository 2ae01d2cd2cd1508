"""Delivers the notices of jobs to URLs: in order for each job, again after a failure, for a bounded time."""

from __future__ import annotations

import logging
import threading
import time
from collections import defaultdict
from collections.abc import Callable, Sequence
from dataclasses import replace
from datetime import timedelta

from precache.background.backoff import Backoff
from precache.background.daemon_pool import DaemonPool
from precache.conductor.held_duty import HeldDuty
from precache.core.errors import Unavailable, WebhookFailed
from precache.core.job_notices import Delivery
from precache.core.text import number_of
from precache.ports.job_notices import DeliveryQueue
from precache.ports.webhooks import Webhooks
from precache.rules.webhook_urls import host_of

_log = logging.getLogger(__name__)

BATCH = 200
CAPACITY = 100_000
"""The most deliveries that are kept, some kilobytes each."""

PASSES_PER_LOOK = 60
"""How often it is checked that there are not too many."""

RETRIES = Backoff(first=timedelta(seconds=1), longest=timedelta(minutes=5), jitter=0.2)


class DeliverNotices:
    """One pass, to be repeated every second. The pass is for one thread; each URL is called by a thread of `pool`.

    why_refused: returns why a URL must not be called any more; None if it may be.
    retry_for: the age at which a delivery that failed is dropped.
    """

    def __init__(
        self,
        *,
        duty: HeldDuty,
        queue: DeliveryQueue,
        webhooks: Webhooks,
        pool: DaemonPool,
        why_refused: Callable[[str], str | None],
        retry_for: timedelta,
        backoff: Backoff = RETRIES,
        capacity: int = CAPACITY,
        monotonic: Callable[[], float] = time.monotonic,
    ) -> None:
        self._duty, self._queue, self._webhooks, self._pool = duty, queue, webhooks, pool
        self._why_refused = why_refused
        self._retry_for, self._backoff, self._capacity = retry_for, backoff, capacity
        self._monotonic = monotonic
        self._lock = threading.Lock()
        self._passes = 0
        self._busy: set[str] = set()
        self._silent: dict[str, tuple[int, float]] = {}  # failures in a row without an answer; when to call again

    def __call__(self) -> None:
        """Begin to deliver what is due, except to URLs that are busy or did not answer. Raises StoreUnavailable."""
        if not self._duty.is_held():
            return
        if self._passes % PASSES_PER_LOOK == 0 and (dropped := self._queue.keep_newest(self._capacity)):
            _log.error("%i notices to webhooks were dropped, because more than %i wait", dropped, self._capacity)
        self._passes += 1
        by_url: defaultdict[str, list[Delivery]] = defaultdict(list)
        for delivery in self._queue.due(BATCH, skip=self._not_now()):
            by_url[delivery.url].append(delivery)
        for url, due in by_url.items():
            with self._lock:
                self._busy.add(url)
            try:
                self._pool.submit(self._deliver, url, due)
            except RuntimeError:  # the system can start no further thread
                self._end(url)

    def _not_now(self) -> set[str]:
        """Return the URLs that are being called, and those that did not answer a moment ago."""
        now = self._monotonic()
        with self._lock:
            return self._busy | {url for url, (_, call_at) in self._silent.items() if now < call_at}

    def _end(self, url: str) -> None:
        with self._lock:
            self._busy.discard(url)

    def _deliver(self, url: str, due: Sequence[Delivery]) -> None:
        try:
            if (reason := self._why_refused(url)) is not None:
                self._drop(due, f"the URL {reason}")
                return
            for position, delivery in enumerate(due):
                if not self._attempt(delivery):
                    # Nothing answers there: what waited too long is dropped with this one.
                    self._drop([each for each in due[position + 1 :] if each.age >= self._retry_for], "no answer")
                    return
        except Unavailable as error:  # of the store: what was delivered may be delivered again
            _log.warning("Delivering notices to %s failed: %s", host_of(url), error)
        except Exception:  # noqa: BLE001  one URL must not end the thread of the others
            _log.exception("Delivering notices to %s failed", host_of(url))
        finally:
            self._end(url)

    def _attempt(self, delivery: Delivery) -> bool:
        """Send it, or put it back, or drop it if it is too old. Return whether the receiver answers."""
        try:
            self._webhooks.post(delivery)
        except WebhookFailed as error:
            self._note_answer(delivery.url, has_answered=error.has_answered)
            self._put_back(delivery, error)
            return error.has_answered
        self._note_answer(delivery.url, has_answered=True)
        self._queue.remove([delivery.number])
        return True

    def _put_back(self, delivery: Delivery, error: WebhookFailed) -> None:
        if delivery.age >= self._retry_for:
            self._drop([replace(delivery, attempts=delivery.attempts + 1)], error.reason)
            return
        pause = self._backoff.wait_after(delivery.attempts + 1) or self._backoff.longest
        self._queue.put_back([delivery.number], pause)
        _log.warning(
            "Notice %s (%s) to %s failed, attempt %i: %s; trying again in %.0f s",
            delivery.id, delivery.event, error.place, delivery.attempts + 1, error.reason, pause.total_seconds(),
        )  # fmt: skip

    def _note_answer(self, url: str, *, has_answered: bool) -> None:
        with self._lock:
            if has_answered:
                self._silent.pop(url, None)
                return
            failures = self._silent.get(url, (0, 0.0))[0] + 1
            pause = self._backoff.wait_after(failures) or self._backoff.longest
            self._silent[url] = failures, self._monotonic() + pause.total_seconds()

    def _drop(self, dropped: Sequence[Delivery], reason: str) -> None:
        self._queue.remove([delivery.number for delivery in dropped])
        for delivery in dropped:
            _log.error(
                "Notice %s (%s) to %s was dropped after %s: %s",
                delivery.id, delivery.event, host_of(delivery.url),
                number_of(delivery.attempts, "failed attempt"), reason,
            )  # fmt: skip
