"""The conductor's way to its hosts: one long call for each, asked again where the answer may have been lost."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from datetime import timedelta
from functools import partial

from precache.adapters.bus_oslo.bus import Bus
from precache.adapters.bus_oslo.long_call import LongCall
from precache.background.cancel_token import CancelToken
from precache.core.jobs import TaskResult
from precache.core.stopping import StopReason
from precache.ports.compute_gateway import CacheRequest


class OsloComputes:
    """The port `ComputeGateway` over message buses.

    buses: gives the bus of a cell, by the cell's name; raises BusUnavailable if there is none.
    long_rpc_timeout: how long a host may take for all images of a request.
    call_monitor_timeout: after so long without a sign of life a host is given up, not counting the time for which we
        could not reach the broker. Whole seconds, at least 4.
    """

    def __init__(
        self,
        *,
        buses: Callable[[str], Bus],
        long_rpc_timeout: timedelta,
        call_monitor_timeout: timedelta,
    ) -> None:
        self._buses = buses
        self._long_s = long_rpc_timeout.total_seconds()
        self._silence_s = call_monitor_timeout.total_seconds()
        self._stopping = CancelToken()

    def cache_images(self, request: CacheRequest) -> Sequence[TaskResult]:
        call = LongCall(
            bus_now=partial(self._buses, request.cell),
            request=request,
            deadline=time.monotonic() + self._long_s,
            silence_s=self._silence_s,
            stopping=self._stopping,
        )
        return call.run()

    def stop(self) -> None:
        """Send no further calls, and repeat none: a call that waits for the broker raises Stopped.

        A call that was sent cannot be ended, so its caller must not wait for it. The host continues, and another
        conductor will call it again.
        """
        self._stopping.cancel(StopReason.SHUTDOWN)
