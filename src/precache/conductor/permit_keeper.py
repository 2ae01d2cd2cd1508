"""Gets and returns the permits to call hosts, for all jobs of a conductor together."""

from __future__ import annotations

import threading
import time
from datetime import timedelta

from precache.background.log_exceptions import log_exceptions
from precache.background.threads import start_thread
from precache.conductor.call_scheduler import CallScheduler
from precache.ports.call_permits import CallPermits
from precache.rules.permit_exchange import pause_before_exchange_s

RETRY_PAUSE_S = 1.0
"""How soon a failed exchange is repeated. No further host is called meanwhile."""

LONGEST_WAIT_S = 60.0


class PermitKeeper:
    """Exchanges permits in a thread of its own, from `start` until `stop`. Without jobs it does nothing."""

    def __init__(self, *, permits: CallPermits, scheduler: CallScheduler) -> None:
        self._permits = permits
        self._scheduler = scheduler
        self.held = 0
        """How many permits this conductor held after the last exchange."""
        self._is_waiting = False
        self._last_at = 0.0
        self._stopping = threading.Event()
        self._thread: threading.Thread | None = None

    def start(self) -> None:
        self._thread = start_thread(self._run, name="permits")

    def stop(self, patience: timedelta) -> None:
        """Return the permits of calls that have ended, and wait at most that long for it.

        Those of jobs that are continued by another conductor stay, as their hosts go on.
        """
        self._stopping.set()
        self._scheduler.permit_news.woken.set()
        if self._thread is not None:
            self._thread.join(patience.total_seconds())

    def _run(self) -> None:
        while not self._stopping.is_set():
            self._scheduler.permit_news.woken.wait(self._pause_s())
            self._scheduler.permit_news.woken.clear()
            if self._pause_s() <= 0:
                self._exchange_or_log("is tried again in 1 s")
        self._exchange_or_log("the permits are free when other conductors have taken over the jobs")

    def _pause_s(self) -> float:
        """Return the time until the next exchange is due."""
        news = self._scheduler.permit_news
        with self._scheduler.lock:
            pause_s = pause_before_exchange_s(
                news.returned, self.held, is_urgent=news.is_urgent, is_waiting=self._is_waiting
            )
        return LONGEST_WAIT_S if pause_s is None else self._last_at + pause_s - time.monotonic()

    def _exchange_or_log(self, then: str) -> None:
        is_done = False
        with log_exceptions(what="The exchange of permits to call hosts", then=then, stopping=self._stopping):
            self.exchange()
            is_done = True
        self._last_at = time.monotonic()
        if not is_done:
            self._scheduler.permit_news.note_change()
            self._stopping.wait(RETRY_PAUSE_S)

    def exchange(self) -> None:
        """Return unused permits, get further ones, and call their hosts. Raises StoreUnavailable."""
        scheduler = self._scheduler
        with scheduler.lock:
            for dispatcher in [each for each in scheduler.with_permits if each.is_stopped]:
                del scheduler.with_permits[dispatcher]
            scheduler.permit_news.clear()
            rooms = scheduler.room(by_swarm=False), scheduler.room(by_swarm=True)
            wished = {dispatcher: dispatcher.permit_calls(*rooms) for dispatcher in scheduler.with_permits}
        if not wished:
            self.held, self._is_waiting = 0, False
            return
        given = self._permits.exchange(list(wished.values()))
        with scheduler.lock:
            self._is_waiting = False
            for dispatcher, calls in wished.items():
                new = given.get(calls.claim, ())
                dispatcher.permit(new)
                self._is_waiting |= calls.could_use_more_than(len(new))
                if not (calls.held or calls.wanted or calls.swarm_wanted or new) and dispatcher.has_no_calls:
                    scheduler.with_permits.pop(dispatcher, None)
            self.held = sum(len(calls.held) for calls in wished.values()) + sum(map(len, given.values()))
        scheduler.fill()
