"""Calls from the conductor to its hosts; a call is repeated if the request or the answer may have been lost."""

from __future__ import annotations

import itertools
import time
import uuid
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from dataclasses import replace
from datetime import timedelta
from functools import partial
from typing import Any, TypeVar

from precache.adapters.bus_oslo.bus import Bus
from precache.adapters.bus_oslo.clean_messages import clean_message, read_clean_result
from precache.adapters.bus_oslo.contents_messages import describe_message, read_contents
from precache.adapters.bus_oslo.host_call import HOST_SHARE, HostRequest, RepeatedCall
from precache.adapters.bus_oslo.messages import read_results, request_message
from precache.adapters.bus_oslo.relay_messages import assignment_message
from precache.adapters.bus_oslo.steering_messages import cancel_message, limit_message, pause_message
from precache.adapters.bus_oslo.stop_memory import JobOnHost, StopMemory
from precache.adapters.bus_oslo.swarm_check_messages import check_swarm_message, read_swarm_state
from precache.adapters.bus_oslo.topics import (
    CACHE_IMAGES_SINCE,
    CANCEL_SINCE,
    CLEAN_SINCE,
    COMPUTE_TOPIC,
    DESCRIBE_SINCE,
    END_TIMES_SINCE,
    LATER_OPTIONS_SINCE,
    OPERATIONS_SINCE,
    OPTIONS_SINCE,
    STEERING_SINCE,
    SWARM_SINCE,
)
from precache.background.cancel_token import CancelToken
from precache.core.cache_cleaning import CleanRequest, CleanResult
from precache.core.cache_contents import CacheContents, ImageSize
from precache.core.errors import BusUnavailable, ComputeOutdated, ComputeUnreachable
from precache.core.operations import Operation
from precache.core.relays import Assignment, Peer
from precache.core.stopping import StopReason
from precache.core.swarm_checks import SwarmState
from precache.ports.compute_gateway import CallNumber, HostResult, ImagesRequest, Rates
from precache.rules.rpc_versions import understands

CONFIRM_WITHIN_S = 10
"""How long a host may take to confirm that it cancels, pauses or limits a job. A host that is up does so at once."""

TOO_LONG = "it was not done within long_rpc_timeout; the host may still be at it"
_NOT_CONFIRMED = f"it did not confirm within {CONFIRM_WITHIN_S} seconds"

T = TypeVar("T")


class OsloComputes:
    """The ports `ComputeGateway` and `HostCaches` over message buses.

    buses: returns the bus of a cell, by the cell's name; raises BusUnavailable if there is none.
    long_rpc_timeout: how long a host may take for all images of a request.
    call_monitor_timeout: a call fails after this time without a sign of life of the host. The time in which this
    process could not reach the broker does not count. Whole seconds, at least 4.
    pin: the newest version of messages that an operator allows; None for no limit.
    """

    def __init__(
        self,
        *,
        buses: Callable[[str], Bus],
        long_rpc_timeout: timedelta,
        call_monitor_timeout: timedelta,
        pin: str | None = None,
    ) -> None:
        self._buses = buses
        self._long_s = long_rpc_timeout.total_seconds()
        self._silence_s = call_monitor_timeout.total_seconds()
        self._pin = pin
        self._stopping = CancelToken()
        self._sender = uuid.uuid4().hex
        self._numbers = itertools.count(1)
        self._stops = StopMemory()

    def next_call(self) -> CallNumber:
        return CallNumber(self._sender, next(self._numbers))

    def process_images(self, request: ImagesRequest) -> Sequence[HostResult]:
        if self._pin is not None:
            self._check_pin(request.host, _version_of(request))
        sent = replace(request, call=request.call or self.next_call())

        def request_now() -> HostRequest[list[HostResult]]:
            # A host that was down at the cancel or pause, or has restarted since, would begin the stopped work.
            return _images_request(self._stops.marked(sent))

        return self._call(request.cell, request_now, self._long_s, self._silence_s)

    def cancel(self, job_id: str, host: str, cell: str, retry_count: int = 0) -> None:
        version = STEERING_SINCE if retry_count else CANCEL_SINCE
        message = cancel_message(job_id, host, cell, retry_count)
        with self._stops.cancelling(JobOnHost(job_id, host, retry_count)):
            self._steer("cancel_job", host, cell, version, message)

    def pause(self, job_id: str, host: str, cell: str, retry_count: int = 0) -> None:
        call = self.next_call()
        message = pause_message(job_id, host, cell, retry_count, call)
        with self._stops.pausing(JobOnHost(job_id, host, retry_count), call):
            self._steer("pause_job", host, cell, STEERING_SINCE, message)

    def limit(self, job_id: str, host: str, cell: str, rates: Rates) -> None:
        message = limit_message(job_id, host, cell, rates, self.next_call())
        self._steer("limit_job", host, cell, STEERING_SINCE, message)

    def change_relay(self, host: str, cell: str, assignment: Assignment) -> None:
        if self._pin is not None and not understands(self._pin, SWARM_SINCE):
            return
        with suppress(BusUnavailable):  # the bus logs it
            self._buses(cell).cast(
                COMPUTE_TOPIC, "change_relay", assignment_message(assignment), server=host, version=SWARM_SINCE
            )

    def _steer(self, method: str, host: str, cell: str, version: str, message: Mapping[str, Any]) -> None:
        """Send a short call. Raises ComputeOutdated, ComputeUnreachable, Stopped."""
        self._check_pin(host, version)
        to_host = HostRequest(
            host=host,
            method=method,
            version=version,
            # It does not expire, because it says itself which requests it concerns.
            message=lambda _expires_at, _left_s: message,
            read=dict,
            too_long=_NOT_CONFIRMED,
        )
        try:
            self._call(cell, lambda: to_host, CONFIRM_WITHIN_S, min(self._silence_s, CONFIRM_WITHIN_S))
        except BusUnavailable as error:
            raise ComputeUnreachable(host, str(error)) from error

    def describe_cache(self, host: str, cell: str, images: Sequence[ImageSize], within: timedelta) -> CacheContents:
        message = describe_message(host, cell, images)
        return self._ask(host, cell, "describe_cache", DESCRIBE_SINCE, message, read_contents, within)

    def clean_cache(self, host: str, cell: str, request: CleanRequest, within: timedelta) -> CleanResult:
        message, late = clean_message(host, cell, request), ", and may still be at it"
        return self._ask(host, cell, "clean_cache", CLEAN_SINCE, message, read_clean_result, within, late)

    def check_swarm(self, host: str, cell: str, peer: Peer | None, within: timedelta) -> SwarmState:
        """Ask the host for its state, and whether it reaches the peer. Raises what `describe_cache` raises."""
        message = check_swarm_message(host, peer)
        return self._ask(host, cell, "check_swarm", SWARM_SINCE, message, read_swarm_state, within)

    def _ask(
        self,
        host: str,
        cell: str,
        method: str,
        version: str,
        message: Mapping[str, Any],
        read: Callable[[Mapping[str, Any]], T],
        within: timedelta,
        late: str = "",
    ) -> T:
        """Send a question that may be sent again, and return its answer. late: what a host may do that is late."""
        self._check_pin(host, version)
        within_s = within.total_seconds()
        to_host = HostRequest(
            host=host,
            method=method,
            version=version,
            # It does not expire: a description changes nothing, and a second cleaning finds nothing more to remove.
            message=lambda _expires_at, _left_s: message,
            read=read,
            too_long=f"it did not answer within {within_s:.0f} seconds{late}",
        )
        return self._call(cell, lambda: to_host, within_s, min(self._silence_s, within_s))

    def _check_pin(self, host: str, needed: str) -> None:
        if self._pin is not None and not understands(self._pin, needed):
            raise ComputeOutdated(host, needed, self._pin, pinned=True)

    def _call(self, cell: str, request_now: Callable[[], HostRequest[T]], within_s: float, silence_s: float) -> T:
        return RepeatedCall(
            bus_now=partial(self._buses, cell),
            request_now=request_now,
            deadline=time.monotonic() + within_s,
            silence_s=silence_s,
            stopping=self._stopping,
        ).run()

    def stop(self) -> None:
        """Send no further calls, and repeat none: a call that waits for the broker raises Stopped.

        A call that was sent cannot be ended, so its caller must not wait for it. The host continues, and another
        conductor will call it again.
        """
        self._stopping.cancel(StopReason.SHUTDOWN)


def _images_request(request: ImagesRequest) -> HostRequest[list[HostResult]]:
    return HostRequest(
        host=request.host,
        # A host of an earlier version would cache the images if it were asked by the old method.
        method="cache_images" if request.operation is Operation.CACHE else "process_images",
        version=_version_of(request),
        message=lambda expires_at, left_s: request_message(request, expires_at, left_s * HOST_SHARE),
        read=read_results,
        too_long=TOO_LONG,
    )


def _version_of(request: ImagesRequest) -> str:
    """Return the lowest version that has what the request needs."""
    if request.operation is not Operation.CACHE:
        return OPERATIONS_SINCE
    if request.has_end_times:
        return END_TIMES_SINCE
    if request.is_paused or request.retry_count:
        return STEERING_SINCE
    if request.has_later_options:
        return LATER_OPTIONS_SINCE
    if request.is_cancelled:
        return CANCEL_SINCE
    return OPTIONS_SINCE if request.has_options else CACHE_IMAGES_SINCE
