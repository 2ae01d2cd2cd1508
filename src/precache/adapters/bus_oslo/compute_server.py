"""The compute's end of the bus: receives requests for one host and answers them."""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Callable, Mapping
from typing import Any

import oslo_messaging

from precache.adapters.bus_oslo.bus import Bus
from precache.adapters.bus_oslo.clean_messages import clean_result_message, read_clean
from precache.adapters.bus_oslo.contents_messages import contents_message, read_describe
from precache.adapters.bus_oslo.fields import Malformed
from precache.adapters.bus_oslo.long_calls import HeldBack, LongCalls
from precache.adapters.bus_oslo.messages import (
    failure_message,
    read_operation,
    read_request,
    results_message,
)
from precache.adapters.bus_oslo.relay_messages import read_assignment
from precache.adapters.bus_oslo.rpc_server import RpcServer
from precache.adapters.bus_oslo.steering_messages import read_cancel, read_limit, read_pause
from precache.adapters.bus_oslo.swarm_check_messages import read_check_swarm, swarm_state_message
from precache.adapters.bus_oslo.topics import COMPUTE_TOPIC, RPC_VERSION
from precache.core.errors import PrecacheError, Stopped
from precache.core.operations import Operation
from precache.ports.compute_gateway import HostCompute, ImagesRequest

_log = logging.getLogger(__name__)

REQUESTS_AT_ONCE = 64
"""Concurrent requests for images; all but one of each job only wait for that one."""

_WAITING_REQUESTS = 192
"""Further requests that wait for a slot. They have threads, too, so that a request to cancel a job finds one."""


class ComputeServer(RpcServer):
    """Answers requests to `host`. `stop` waits until running ones are answered; the caller makes them end.

    compute: `process_images` is called for several requests at once, and again for a repeated request; the other
        methods at any time. What they raise is sent to the conductor, except the text of an unexpected error.
    """

    def __init__(self, *, bus: Bus, host: str, compute: HostCompute, requests_at_once: int = REQUESTS_AT_ONCE) -> None:
        places = threading.BoundedSemaphore(requests_at_once)
        super().__init__(
            bus=bus,
            topic=COMPUTE_TOPIC,
            server=host,
            endpoint=_ComputeEndpoint(host, compute, places),
            threads=requests_at_once + _WAITING_REQUESTS,
        )


class _ComputeEndpoint:
    """The methods that oslo.messaging calls. An error is part of the answer: no class name is part of the protocol."""

    target = oslo_messaging.Target(version=RPC_VERSION)

    def __init__(self, host: str, compute: HostCompute, places: threading.BoundedSemaphore) -> None:
        self._host = host
        self._compute = compute
        self._places = places
        self._calls = LongCalls(compute.process_images)

    def cache_images(self, _context: object, **message: Any) -> dict[str, Any]:
        return self._answer("images", lambda: self._accept(message, Operation.CACHE))

    def process_images(self, _context: object, **message: Any) -> dict[str, Any]:
        return self._answer("images", lambda: self._accept(message, read_operation(message)))

    def _accept(self, message: Mapping[str, Any], operation: Operation) -> dict[str, Any]:
        request, expires_at = read_request(message, self._host, operation)
        now = time.time()
        if now > expires_at:
            # It waited in the queue while this compute was down. A conductor that still waits sends it again.
            _log.info("Ignoring a request of job %s that came too late", request.job_id)
            return failure_message("expired", now=now)
        with self._places:
            return self._answer(f"job {request.job_id}", lambda: self._results(request))

    def _results(self, request: ImagesRequest) -> dict[str, Any]:
        try:
            return results_message(self._calls.results_of(request))
        except HeldBack as held:
            return failure_message("held_back", seconds=round(held.left_s, 3))

    def cancel_job(self, _context: object, **message: Any) -> dict[str, Any]:
        return self._steer(message, lambda: self._compute.cancel_job(*read_cancel(message, self._host)))

    def pause_job(self, _context: object, **message: Any) -> dict[str, Any]:
        return self._steer(message, lambda: self._compute.pause_job(*read_pause(message, self._host)))

    def limit_job(self, _context: object, **message: Any) -> dict[str, Any]:
        return self._steer(message, lambda: self._compute.limit_job(*read_limit(message, self._host)))

    def change_relay(self, _context: object, **message: Any) -> None:
        """Pass a new assignment on. A cast: without an answer."""

        def change() -> dict[str, Any]:
            self._compute.change_relay(read_assignment(message, self._host))
            return {}

        self._answer(f"relay {message.get('relay')}", change)

    def _steer(self, message: Mapping[str, Any], act: Callable[[], None]) -> dict[str, Any]:
        def confirm() -> dict[str, Any]:
            act()
            return {}

        return self._answer(f"job {message.get('job_id')}", confirm)

    def describe_cache(self, _context: object, **message: Any) -> dict[str, Any]:
        def describe() -> dict[str, Any]:
            return contents_message(self._compute.describe_cache(read_describe(message, self._host)))

        return self._answer("a plan", describe)

    def clean_cache(self, _context: object, **message: Any) -> dict[str, Any]:
        def clean() -> dict[str, Any]:
            return clean_result_message(self._compute.clean_cache(read_clean(message, self._host)))

        return self._answer("a cleaning", clean)

    def check_swarm(self, _context: object, **message: Any) -> dict[str, Any]:
        def check() -> dict[str, Any]:
            return swarm_state_message(self._compute.check_swarm(read_check_swarm(message, self._host)))

        return self._answer("a check", check)

    def _answer(self, purpose: str, act: Callable[[], dict[str, Any]]) -> dict[str, Any]:
        """Return the result of `act`, or the message for its error."""
        try:
            return act()
        except Malformed as fault:
            _log.warning("A request for %s was refused: %s", purpose, fault)
            return failure_message("malformed", reason=str(fault))
        except Stopped:
            return failure_message("stopped")
        except PrecacheError as error:
            return failure_message("failed", reason=str(error))
        except Exception:  # noqa: BLE001  the request boundary of this process
            _log.exception("A request for %s failed", purpose)
            return failure_message("failed", reason=f"unexpected error; the log of the compute on {self._host} has it")
