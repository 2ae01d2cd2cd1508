"""The conductor's way to its hosts: one long call for each, asked again where the answer may have been lost."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Sequence
from concurrent.futures import Future, InvalidStateError
from concurrent.futures import TimeoutError as FutureTimeout
from datetime import timedelta
from typing import Any

from precache.adapters.bus_oslo.asking import Asking
from precache.adapters.bus_oslo.bus import Bus
from precache.adapters.bus_oslo.daemon_threads import DaemonThreads
from precache.adapters.bus_oslo.topics import CACHE_IMAGES_SINCE
from precache.core.errors import ComputeOutdated, ComputeUnreachable, Stopped
from precache.core.jobs import TaskResult
from precache.ports.compute_gateway import CacheRequest
from precache.rules.rpc_versions import understands

_SPARE_S = 5.0
"""How long after `long_rpc_timeout` we wait for the thread that is to end by itself then."""

_MOST_THREADS = 20_000  # bounded by whoever calls us


class OsloComputes:
    """The port `ComputeGateway` over message buses.

    buses: gives the bus of a cell, by the cell's name; raises BusUnavailable if there is none.
    long_rpc_timeout: how long a host may take for all images of a request.
    call_monitor_timeout: after so long without a sign of life a host is given up, not counting the time for which we
        could not reach the broker. Whole seconds, at least 4.
    pinned_version: what an operator holds messages to computes down to; None for no pin.
    """

    def __init__(
        self,
        *,
        buses: Callable[[str], Bus],
        long_rpc_timeout: timedelta,
        call_monitor_timeout: timedelta,
        pinned_version: str | None = None,
    ) -> None:
        self._buses = buses
        self._long_s = long_rpc_timeout.total_seconds()
        self._silence_s = call_monitor_timeout.total_seconds()
        self._pinned_version = pinned_version
        self._threads = DaemonThreads(_MOST_THREADS)
        self._stopping = threading.Event()
        self._lock = threading.Lock()
        self._under_way: set[Future[Any]] = set()

    def cache_images(self, request: CacheRequest) -> Sequence[TaskResult]:
        if self._pinned_version is not None and not understands(self._pinned_version, CACHE_IMAGES_SINCE):
            raise ComputeOutdated(request.host, CACHE_IMAGES_SINCE, self._pinned_version, pinned=True)
        asking = Asking(
            bus=self._buses(request.cell),
            request=request,
            deadline=time.monotonic() + self._long_s,
            silence_s=self._silence_s,
            stopping=self._stopping,
        )
        return self._wait_for(asking, request)

    def stop(self) -> None:
        """End every call under way with Stopped, at once; the hosts go on, and will be asked again by somebody."""
        self._stopping.set()
        with self._lock:
            under_way = list(self._under_way)
        for answered in under_way:
            _settle(answered, Stopped("Asking a host"))

    def _wait_for(self, asking: Asking, request: CacheRequest) -> Sequence[TaskResult]:
        """Wait in a way that can be ended; the call itself cannot."""
        answered: Future[Sequence[TaskResult]] = Future()
        with self._lock:
            self._under_way.add(answered)
        try:
            if self._stopping.is_set():
                raise Stopped("Asking a host")
            self._threads.submit(_ask, asking, answered)
            return answered.result(self._long_s + _SPARE_S)
        except FutureTimeout:
            raise ComputeUnreachable(request.host, asking.too_long) from None
        finally:
            with self._lock:
                self._under_way.discard(answered)


def _ask(asking: Asking, answered: Future[Sequence[TaskResult]]) -> None:
    try:
        _settle(answered, asking.run())
    except Exception as error:  # noqa: BLE001  it belongs to the thread that waits
        _settle(answered, error)


def _settle(future: Future[Any], outcome: object) -> None:
    """Set it unless it was set before."""
    try:
        if isinstance(outcome, Exception):
            future.set_exception(outcome)
        else:
            future.set_result(outcome)
    except InvalidStateError:
        return
