"""The conductor's way to its hosts: calls that are sent again where the request or the answer may have been lost."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from datetime import timedelta
from functools import partial
from typing import TypeVar

from precache.adapters.bus_oslo.bus import Bus
from precache.adapters.bus_oslo.host_call import HostCall, HostRequest
from precache.adapters.bus_oslo.messages import cancel_message, read_results, request_message
from precache.adapters.bus_oslo.topics import CACHE_IMAGES_SINCE, CANCEL_SINCE, OPTIONS_SINCE
from precache.background.cancel_token import CancelToken
from precache.core.errors import BusUnavailable, ComputeOutdated, ComputeUnreachable
from precache.core.jobs import TaskResult
from precache.core.stopping import StopReason
from precache.ports.compute_gateway import CacheRequest
from precache.rules.rpc_versions import understands

CONFIRM_WITHIN_S = 10
"""How long a host may take to confirm that it cancels a job. A host that is up does so at once."""

TOO_LONG = "it was not done within long_rpc_timeout; the host may still be at it"
_NOT_CONFIRMED = f"it did not confirm within {CONFIRM_WITHIN_S} seconds"
_HOST_SHARE = 0.98  # of the time that is left: the host answers with what it has done before the call ends

T = TypeVar("T")


class OsloComputes:
    """The port `ComputeGateway` over message buses.

    buses: returns the bus of a cell, by the cell's name; raises BusUnavailable if there is none.
    long_rpc_timeout: how long a host may take for all images of a request.
    call_monitor_timeout: after so long without a sign of life a host is given up, not counting the time for which we
        could not reach the broker. Whole seconds, at least 4.
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

    def cache_images(self, request: CacheRequest) -> Sequence[TaskResult]:
        to_host = HostRequest(
            host=request.host,
            method="cache_images",
            version=OPTIONS_SINCE if request.has_options else CACHE_IMAGES_SINCE,
            message=lambda expires_at, left_s: request_message(request, expires_at, left_s * _HOST_SHARE),
            read=read_results,
            too_long=TOO_LONG,
        )
        return self._call(request.cell, to_host, self._long_s, self._silence_s)

    def cancel(self, job_id: str, host: str, cell: str) -> None:
        if self._pin is not None and not understands(self._pin, CANCEL_SINCE):
            raise ComputeOutdated(host, CANCEL_SINCE, self._pin, pinned=True)
        message = cancel_message(job_id, host, cell)
        to_host = HostRequest(
            host=host,
            method="cancel_job",
            version=CANCEL_SINCE,
            # It does not expire: a job that was cancelled stays so.
            message=lambda _expires_at, _left_s: message,
            read=dict,
            too_long=_NOT_CONFIRMED,
        )
        try:
            self._call(cell, to_host, CONFIRM_WITHIN_S, min(self._silence_s, CONFIRM_WITHIN_S))
        except BusUnavailable as error:
            raise ComputeUnreachable(host, str(error)) from error

    def _call(self, cell: str, request: HostRequest[T], within_s: float, silence_s: float) -> T:
        return HostCall(
            bus_now=partial(self._buses, cell),
            request=request,
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
